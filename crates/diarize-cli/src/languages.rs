//! Converts names of languages to the codes that Whisper uses.

use diarize_words::Error;

/// The names that openai-whisper knows (`tokenizer.py`), and their codes.
#[rustfmt::skip]
const CODES: [(&str, &str); 112] = [
    ("afrikaans", "af"), ("albanian", "sq"), ("amharic", "am"), ("arabic", "ar"), ("armenian", "hy"),
    ("assamese", "as"), ("azerbaijani", "az"), ("bashkir", "ba"), ("basque", "eu"), ("belarusian", "be"),
    ("bengali", "bn"), ("bosnian", "bs"), ("breton", "br"), ("bulgarian", "bg"), ("burmese", "my"),
    ("cantonese", "yue"), ("castilian", "es"), ("catalan", "ca"), ("chinese", "zh"), ("croatian", "hr"),
    ("czech", "cs"), ("danish", "da"), ("dutch", "nl"), ("english", "en"), ("estonian", "et"),
    ("faroese", "fo"), ("finnish", "fi"), ("flemish", "nl"), ("french", "fr"), ("galician", "gl"),
    ("georgian", "ka"), ("german", "de"), ("greek", "el"), ("gujarati", "gu"), ("haitian", "ht"),
    ("haitian creole", "ht"), ("hausa", "ha"), ("hawaiian", "haw"), ("hebrew", "he"), ("hindi", "hi"),
    ("hungarian", "hu"), ("icelandic", "is"), ("indonesian", "id"), ("italian", "it"), ("japanese", "ja"),
    ("javanese", "jw"), ("kannada", "kn"), ("kazakh", "kk"), ("khmer", "km"), ("korean", "ko"),
    ("lao", "lo"), ("latin", "la"), ("latvian", "lv"), ("letzeburgesch", "lb"), ("lingala", "ln"),
    ("lithuanian", "lt"), ("luxembourgish", "lb"), ("macedonian", "mk"), ("malagasy", "mg"),
    ("malay", "ms"), ("malayalam", "ml"), ("maltese", "mt"), ("mandarin", "zh"), ("maori", "mi"),
    ("marathi", "mr"), ("moldavian", "ro"), ("moldovan", "ro"), ("mongolian", "mn"), ("myanmar", "my"),
    ("nepali", "ne"), ("norwegian", "no"), ("nynorsk", "nn"), ("occitan", "oc"), ("panjabi", "pa"),
    ("pashto", "ps"), ("persian", "fa"), ("polish", "pl"), ("portuguese", "pt"), ("punjabi", "pa"),
    ("pushto", "ps"), ("romanian", "ro"), ("russian", "ru"), ("sanskrit", "sa"), ("serbian", "sr"),
    ("shona", "sn"), ("sindhi", "sd"), ("sinhala", "si"), ("sinhalese", "si"), ("slovak", "sk"),
    ("slovenian", "sl"), ("somali", "so"), ("spanish", "es"), ("sundanese", "su"), ("swahili", "sw"),
    ("swedish", "sv"), ("tagalog", "tl"), ("tajik", "tg"), ("tamil", "ta"), ("tatar", "tt"),
    ("telugu", "te"), ("thai", "th"), ("tibetan", "bo"), ("turkish", "tr"), ("turkmen", "tk"),
    ("ukrainian", "uk"), ("urdu", "ur"), ("uzbek", "uz"), ("valencian", "ca"), ("vietnamese", "vi"),
    ("welsh", "cy"), ("yiddish", "yi"), ("yoruba", "yo"),
];

/// The code for a value of `--language`: a code, which may have a region, or a name. `None` for `auto`.
pub fn code(typed: &str) -> Option<String> {
    let name = typed.trim().to_lowercase();
    if name == "auto" {
        return None;
    }
    if let Some((_, code)) = CODES.iter().find(|(known, _)| *known == name) {
        return Some((*code).to_owned());
    }
    let (language, _) = name.split_once(['-', '_']).unwrap_or_default();
    match CODES.iter().find(|(_, code)| *code == language) {
        Some((_, code)) => Some((*code).to_owned()),
        None => Some(name),
    }
}

/// The error for a language that the model does not know.
pub fn unknown(typed: &str, mut known: Vec<&str>) -> Error {
    known.sort_unstable();
    let requirement = format!("one of {}", known.join(", "));
    Error::InvalidOption { option: "language", value: format!("`{typed}`"), requirement }
}

#[cfg(test)]
mod tests {
    use super::{code, unknown};

    #[test]
    fn names_and_regions_have_codes() {
        for (typed, expected) in [
            ("English", "en"),
            ("HAITIAN Creole", "ht"),
            ("Flemish", "nl"),
            ("en-US", "en"),
            ("zh_cn", "zh"),
            (" DE ", "de"),
            ("haw", "haw"),
            ("xx-US", "xx-us"),
            ("Klingon", "klingon"),
        ] {
            assert_eq!(code(typed).as_deref(), Some(expected));
        }
        assert_eq!(code("Auto"), None);
    }

    #[test]
    fn known_languages_are_in_alphabetical_order() {
        let error = unknown("Xy", vec!["en", "de", "haw"]);
        assert_eq!(error.to_string(), "language is `Xy`, but must be one of de, en, haw");
    }
}
