//! Names of speakers that are already in the text, such as `SPEAKER_00: Hello`, `[Ann] Hello` or `Ann: Hello`.

/// Longest name, in characters.
const LONGEST: usize = 30;

/// The number of bytes before the words of each text: its length if it begins with the name of a speaker.
///
/// A name that diarizers write, such as `SPEAKER_00` or `Speaker 1`, is always one. Other words before a colon or in
/// brackets are names only if at least two texts, and half of them, begin like that: `Note: this` is not a speaker.
pub(super) fn lengths(texts: &[&str]) -> Vec<Option<usize>> {
    let labels: Vec<Option<(usize, &str)>> = texts.iter().map(|text| label(text)).collect();
    let spoken = texts.iter().filter(|text| !text.trim().is_empty()).count();
    let labeled = labels.iter().flatten().count();
    let all = labeled >= 2 && 2 * labeled >= spoken;
    labels
        .into_iter()
        .map(|label| label.filter(|(_, name)| all || is_diarizers(name)).map(|(length, _)| length))
        .collect()
}

/// What may be the name of a speaker at the start of a text, and the length up to the words.
fn label(text: &str) -> Option<(usize, &str)> {
    let body = text.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}');
    let bracket = body.strip_prefix('[').map(|rest| (rest, ']'));
    let bracket = bracket.or_else(|| body.strip_prefix('(').map(|rest| (rest, ')')));
    let (name, rest) = match bracket {
        Some((rest, closing)) => {
            let (name, rest) = rest.split_once(closing)?;
            (name, rest.strip_prefix(':').unwrap_or(rest))
        }
        None => body.split_once(':').filter(|(_, rest)| rest.starts_with(char::is_whitespace))?,
    };
    let words = rest.trim_start_matches([' ', '\t']);
    (is_name(name) && !words.trim().is_empty()).then(|| (text.len() - words.len(), name))
}

fn is_name(name: &str) -> bool {
    let capital = name.chars().next().is_some_and(|first| first.is_alphabetic() && !first.is_lowercase());
    let short = name.chars().count() <= LONGEST && name.split(' ').count() <= 4;
    is_diarizers(name) || capital && short && !name.contains(['\n', '\r', '<', '>', ',', '.', '?', '!'])
}

/// Whether diarizers write such a name: SPEAKER_00, Speaker 1, Speaker A, speaker ?, spk_0.
fn is_diarizers(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let Some(rest) = name.strip_prefix("speaker").or_else(|| name.strip_prefix("spk")) else { return false };
    let number = rest.trim_start_matches([' ', '_', '-', '#']);
    let letter = number.len() == 1 && number.len() < rest.len();
    letter || !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::lengths;

    fn without(texts: &[&str]) -> Vec<String> {
        let lengths = lengths(texts);
        texts.iter().zip(lengths).map(|(text, length)| text[length.unwrap_or(0)..].to_owned()).collect()
    }

    #[test]
    fn labels_of_diarizers_are_always_names() {
        for label in [
            "SPEAKER_00: ",
            "[SPEAKER_00]: ",
            "[SPEAKER_12] ",
            "Speaker 1: ",
            " Speaker A: ",
            "(speaker ?) ",
            "spk_0:  ",
        ] {
            let text = format!("{label}Hello: you");
            assert_eq!(without(&[&text, "one", "two", "three"])[0], "Hello: you", "{label}");
        }
    }

    #[test]
    fn other_names_count_if_most_texts_have_one() {
        let named = ["Ann: Hello", "[Bob] Yes", "", "Mary Ann Lee: no: never"];
        assert_eq!(without(&named), ["Hello", "Yes", "", "no: never"]);
        let once = ["Note: this", "that", "and 10:30", "[Music] la"];
        assert_eq!(without(&once[..3]), once[..3]);
        assert_eq!(without(&once[..1]), once[..1]);
    }

    #[test]
    fn other_texts_have_no_label() {
        for text in [
            "at 10:30",
            "http://x",
            "[Music]",
            "(laughs) yes",
            "Speaker",
            "speakers: two",
            "Well, I said: no",
            "Ann:",
            ": a",
        ] {
            assert_eq!(lengths(&[text]), [None], "{text}");
        }
    }
}
