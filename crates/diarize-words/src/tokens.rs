//! Text as tokens, and the tokens with a meaning of their own.
//!
//! Source: `whisper.tokenizer`.

use std::path::Path;

use serde::Deserialize;
use tokenizers::{
    AddedToken, TokenizerImpl, models::bpe::BPE, normalizers::Lowercase,
    pre_tokenizers::byte_level::ByteLevel,
};

use crate::{Error, Result};

/// Languages that are written without spaces: a word is whatever decodes to whole characters.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

/// Python's `string.punctuation`.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// Byte-pair encoding, as in GPT-2. It has no normalizer: the type stands for none. The library's own `Tokenizer` knows all
/// kinds of tokenizers, which would make programs larger by megabytes.
type Tokenizer = TokenizerImpl<BPE, Lowercase, ByteLevel, ByteLevel, ByteLevel>;

/// `tokenizer.json`, as far as Whisper's differ.
#[derive(Deserialize)]
struct File {
    model: BPE,
    added_tokens: Vec<AddedToken>,
}

/// The vocabulary of a model.
#[derive(Debug)]
pub struct Tokens {
    tokenizer: Tokenizer,
    /// Ends the text. All tokens of text are below it.
    pub end: u32,
    /// Starts the answer.
    pub start: u32,
    /// Starts what was said before.
    pub start_of_previous: u32,
    /// Asks for the text in its own language.
    pub transcribe: u32,
    /// Asks for the text in English.
    pub translate: u32,
    /// Says that nobody speaks.
    pub no_speech: u32,
    /// Says that no times follow.
    pub no_timestamps: u32,
    /// The time 0. The next tokens are later by 20 ms each.
    pub first_timestamp: u32,
    /// The languages with their codes.
    pub languages: Vec<(String, u32)>,
    /// Tokens that stand for sounds, speakers and comments, and those that the model must not answer.
    pub suppressed: Vec<u32>,
    /// The token of a single space.
    pub blank: Vec<u32>,
}

/// A word of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct WordTokens {
    /// Its text, with the space before it.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
}

impl Tokens {
    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// The file is missing or damaged, or is not Whisper's.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = crate::weights::read_bytes(path)?;
        let invalid = |reason: String| Error::InvalidFile { path: path.to_owned(), reason };
        let file: File = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        let mut tokenizer = Tokenizer::new(file.model);
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        tokenizer.add_tokens(file.added_tokens).map_err(|error| invalid(error.to_string()))?;
        Self::new(tokenizer).map_err(invalid)
    }

    fn new(tokenizer: Tokenizer) -> Result<Self, String> {
        let find = |name: &str| tokenizer.token_to_id(&format!("<|{name}|>"));
        let need = |name: &str| {
            find(name).ok_or_else(|| format!("it has no token <|{name}|>: not a tokenizer of Whisper"))
        };
        let start = need("startoftranscript")?;
        let (translate, transcribe) = (need("translate")?, need("transcribe")?);
        let no_timestamps = need("notimestamps")?;
        // The first models called it <|nocaptions|>.
        let no_speech = find("nospeech").map_or_else(|| need("nocaptions"), Ok)?;
        let code = |id: u32| {
            let token = tokenizer.id_to_token(id)?;
            Some((token.strip_prefix("<|")?.strip_suffix("|>")?.to_owned(), id))
        };
        let languages = (start + 1..translate.min(transcribe)).filter_map(code).collect();
        let special = [start, transcribe, translate, need("startofprev")?, need("startoflm")?, no_speech];
        let mut tokens = Self {
            end: need("endoftext")?,
            start,
            start_of_previous: need("startofprev")?,
            transcribe,
            translate,
            no_speech,
            no_timestamps,
            first_timestamp: no_timestamps + 1,
            languages,
            suppressed: special.to_vec(),
            blank: Vec::new(),
            tokenizer,
        };
        tokens.blank = tokens.encode(" ")?;
        tokens.suppressed.extend(tokens.non_speech()?);
        tokens.suppressed.sort_unstable();
        tokens.suppressed.dedup();
        Ok(tokens)
    }

    /// The largest token that is not a time.
    pub fn largest(&self) -> u32 {
        let languages = self.languages.iter().map(|&(_, token)| token);
        let others = [self.end, self.start, self.no_timestamps];
        let answers = self.suppressed.iter().chain(&self.blank).copied();
        languages.chain(answers).chain(others).max().unwrap_or(0)
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let encoding = self.tokenizer.encode(text, false).map_err(|error| error.to_string())?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens. Special tokens are left out.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        let text: Vec<u32> = tokens.iter().copied().filter(|&token| token < self.end).collect();
        self.tokenizer.decode(&text, false).map_err(Error::Compute)
    }

    /// The token of a language, given its code.
    pub fn language(&self, code: &str) -> Option<u32> {
        self.languages.iter().find(|(known, _)| known == code).map(|(_, token)| *token)
    }

    /// Tokens that start a comment such as `[MUSIC]` or `♪`, or the name of a speaker.
    fn non_speech(&self) -> Result<Vec<u32>, String> {
        const SYMBOLS: &str = "\" # ( ) * + / : ; < = > @ [ \\ ] ^ _ ` { | } ~ 「 」 『 』 << >> <<< >>> -- --- -( -[ \
                               (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪";
        // Some of these have several tokens. The first, which they share, is suppressed.
        const NOTES: &str = "♩ ♪ ♫ ♬ ♭ ♮ ♯";
        let mut found: Vec<u32> = Vec::new();
        for text in [" -", " '"] {
            found.extend(self.encode(text)?.first());
        }
        let symbols = SYMBOLS.split(' ').map(|symbol| (symbol, false));
        for (symbol, is_note) in symbols.chain(NOTES.split(' ').map(|note| (note, true))) {
            for text in [symbol.to_owned(), format!(" {symbol}")] {
                let tokens = self.encode(&text)?;
                found.extend(tokens.first().filter(|_| tokens.len() == 1 || is_note));
            }
        }
        Ok(found)
    }

    /// Splits tokens of text into words.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn words(&self, tokens: &[u32], language: &str) -> Result<Vec<WordTokens>> {
        let pieces = self.pieces(tokens)?;
        if WITHOUT_SPACES.contains(&language) {
            return Ok(pieces);
        }
        let mut words: Vec<WordTokens> = Vec::new();
        for piece in pieces {
            let begins = piece.text.starts_with(' ') || PUNCTUATION.contains(piece.text.trim());
            match words.last_mut() {
                Some(word) if !begins => {
                    word.text += &piece.text;
                    word.tokens.extend(piece.tokens);
                }
                _ => words.push(piece),
            }
        }
        Ok(words)
    }

    /// The shortest runs of tokens that decode to whole characters.
    fn pieces(&self, tokens: &[u32]) -> Result<Vec<WordTokens>> {
        let whole: Vec<char> = self.decode(tokens)?.chars().collect();
        let (mut pieces, mut run, mut offset) = (Vec::new(), Vec::new(), 0);
        for &token in tokens {
            run.push(token);
            let text = self.decode(&run)?;
            let replaced = text.chars().position(|letter| letter == char::REPLACEMENT_CHARACTER);
            // A character that is not valid in the whole text either will not become whole.
            let is_whole =
                replaced.is_none_or(|index| whole.get(offset + index) == Some(&char::REPLACEMENT_CHARACTER));
            if is_whole {
                offset += text.chars().count();
                pieces.push(WordTokens { text, tokens: std::mem::take(&mut run) });
            }
        }
        Ok(pieces)
    }
}
