//! JSON that knows where in the text each value is, so that speakers can be added without changing anything else.
//!
//! Python's `NaN` and `Infinity` are read too, and so are commas after the last value and several documents below each
//! other. `serde_json` has neither these nor the places of values.

use std::{borrow::Cow, ops::Range};

use anyhow::{Result, bail};

use super::{
    faults::{Fault, Faults, place},
    lines::Edit,
};

/// Deepest nesting that is read.
const DEEPEST: usize = 100;

const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A value.
#[derive(Debug)]
pub(super) enum Value<'t> {
    Number(f64),
    /// Text with its quotation marks and escapes.
    Text(&'t str),
    List(Vec<Value<'t>>),
    Object(Object<'t>),
    /// `true`, `false` or `null`.
    Other,
}

/// An object and the place of its opening brace.
#[derive(Debug)]
pub(super) struct Object<'t> {
    pub(super) at: usize,
    fields: Vec<Field<'t>>,
}

#[derive(Debug)]
struct Field<'t> {
    /// Without quotation marks. The known keys have no escapes.
    key: &'t str,
    range: Range<usize>,
    value: Value<'t>,
}

impl<'t> Value<'t> {
    pub(super) fn number(&self) -> Option<f64> {
        if let Value::Number(number) = self { Some(*number) } else { None }
    }

    /// Text without its escapes. Escapes that are broken stay.
    pub(super) fn text(&self) -> Option<Cow<'t, str>> {
        let Value::Text(quoted) = self else { return None };
        let inner = &quoted[1..quoted.len() - 1];
        let unescaped = || serde_json::from_str(quoted).map_or(Cow::Borrowed(inner), Cow::Owned);
        Some(if inner.contains('\\') { unescaped() } else { Cow::Borrowed(inner) })
    }

    pub(super) fn list(&self) -> Option<&[Value<'t>]> {
        if let Value::List(list) = self { Some(list) } else { None }
    }

    pub(super) fn object(&self) -> Option<&Object<'t>> {
        if let Value::Object(object) = self { Some(object) } else { None }
    }
}

impl<'t> Object<'t> {
    pub(super) fn get(&self, key: &str) -> Option<&Value<'t>> {
        self.field(key).map(|field| &field.value)
    }

    fn field(&self, key: &str) -> Option<&Field<'t>> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// How to give a field a value: the place of its value, and what to write before the new value there. A new
    /// field comes last, formatted as the others are. `None` if the object is empty.
    pub(super) fn assignment(&self, text: &str, key: &str) -> Option<Edit> {
        if let Some(field) = self.field(key) {
            return Some(Edit { range: field.range.clone(), text: String::new() });
        }
        let (first, last) = (self.fields.first()?, self.fields.last()?);
        let colon = &text[..first.range.start];
        let after_colon = &colon[colon.trim_end_matches(WHITE_SPACE).len()..];
        let inside = &text[self.at + 1..];
        let indentation = &inside[..inside.len() - inside.trim_start_matches(WHITE_SPACE).len()];
        let after_comma = if indentation.contains(['\n', '\r']) { indentation } else { after_colon };
        Some(Edit {
            range: last.range.end..last.range.end,
            text: format!(",{after_comma}\"{key}\":{after_colon}"),
        })
    }
}

/// Parses a document. Several documents below each other are a list.
pub(super) fn parse<'t>(text: &'t str, faults: &mut Faults) -> Result<Value<'t>> {
    let mut parser = Parser { text, at: 0, faults };
    let mut documents = vec![parser.value(0)?];
    while parser.peek().is_some() {
        documents.push(parser.value(0)?);
    }
    Ok(if documents.len() == 1 { documents.remove(0) } else { Value::List(documents) })
}

struct Parser<'t, 'f> {
    text: &'t str,
    at: usize,
    faults: &'f mut Faults,
}

impl<'t> Parser<'t, '_> {
    /// The next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.text[self.at..].trim_start_matches(WHITE_SPACE);
        self.at = self.text.len() - rest.len();
        rest.chars().next()
    }

    fn take(&mut self, expected: char) -> Result<()> {
        if self.peek() != Some(expected) {
            return self.unexpected(&format!("`{expected}`"));
        }
        self.at += expected.len_utf8();
        Ok(())
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T> {
        let place = place(self.text, self.at);
        match self.text[self.at..].chars().next() {
            Some(found) => bail!("invalid JSON: expected {expected} at {place}, found `{found}`"),
            None => bail!("incomplete JSON: expected {expected} at {place}, where the text ends"),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'t>> {
        if depth > DEEPEST {
            bail!("JSON nested more than {DEEPEST} levels deep at {}", place(self.text, self.at));
        }
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => {
                let mut list = Vec::new();
                self.entries(']', |parser| {
                    list.push(parser.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Value::List(list))
            }
            Some('"') => self.string().map(Value::Text),
            _ => self.literal(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'t>> {
        let at = self.at;
        let mut fields = Vec::new();
        self.entries('}', |parser| {
            let key =
                if parser.peek() == Some('"') { parser.string()? } else { parser.unexpected("a key")? };
            parser.take(':')?;
            parser.peek();
            let start = parser.at;
            let value = parser.value(depth + 1)?;
            fields.push(Field { key: &key[1..key.len() - 1], range: start..parser.at, value });
            Ok(())
        })?;
        Ok(Value::Object(Object { at, fields }))
    }

    /// Entries between brackets, separated by commas.
    fn entries(&mut self, closing: char, mut entry: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.at += 1;
        while self.peek() != Some(closing) {
            entry(self)?;
            if self.peek() != Some(closing) {
                self.take(',')?;
            }
        }
        self.take(closing)
    }

    /// A string with its quotation marks.
    fn string(&mut self) -> Result<&'t str> {
        let start = self.at;
        let mut escaped = true; // the opening quotation mark
        for (index, byte) in self.text[start..].bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    self.at = start + index + 1;
                    return Ok(&self.text[start..self.at]);
                }
                _ => {}
            }
        }
        self.at = self.text.len();
        self.unexpected("the end of a string")
    }

    fn literal(&mut self) -> Result<Value<'t>> {
        let rest = &self.text[self.at..];
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.');
        let literal = &rest[..rest.find(|letter| !is_part(letter)).unwrap_or(rest.len())];
        let value = match literal {
            "true" | "false" | "null" => Value::Other,
            "NaN" | "Infinity" | "-Infinity" => {
                self.faults.note(Fault::NotFinite, self.at);
                Value::Other
            }
            _ if literal.trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit()) => {
                match literal.parse() {
                    Ok(number) => Value::Number(number),
                    Err(_) => return self.unexpected("a number"),
                }
            }
            _ => return self.unexpected("a value"),
        };
        self.at += literal.len();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::{Faults, Value, parse};

    fn assigned(text: &str) -> String {
        let value = parse(text, &mut Faults::default()).unwrap();
        let mut edit = value.object().unwrap().assignment(text, "speaker").unwrap();
        edit.text += "\"A\"";
        super::super::lines::edited(text, vec![edit])
    }

    #[test]
    fn a_new_field_looks_like_the_others() {
        for (text, expected) in [
            ("{\"a\":1,\"b\":[ ]}", "{\"a\":1,\"b\":[ ],\"speaker\":\"A\"}"),
            ("{\"a\": 1, \"b\": 2}\n", "{\"a\": 1, \"b\": 2, \"speaker\": \"A\"}\n"),
            ("{\r\n\t\"a\": 1\r\n}", "{\r\n\t\"a\": 1,\r\n\t\"speaker\": \"A\"\r\n}"),
            ("{\"speaker\" : null, \"a\": NaN}", "{\"speaker\" : \"A\", \"a\": NaN}"),
        ] {
            assert_eq!(assigned(text), expected);
        }
    }

    #[test]
    fn values_are_read() {
        let text = r#"[1.5e0, "\"\\", "a\nb", "\ud800", true, -Infinity, {"k": 12345678901234567890},]"#;
        let mut faults = Faults::default();
        let value = parse(text, &mut faults).unwrap();
        let list = value.list().unwrap();
        assert_eq!(list[0].number(), Some(1.5));
        let texts: Vec<_> = list[1..4].iter().map(|value| value.text().unwrap()).collect();
        assert_eq!(texts, ["\"\\", "a\nb", "\\ud800"]);
        assert!(matches!(list[5], Value::Other) && faults.sentences(text).count() == 1);
        assert_eq!(list[6].object().unwrap().get("k").unwrap().number(), Some(12345678901234567890.0));
        assert_eq!(parse("{}\n[]\n1 2", &mut faults).unwrap().list().unwrap().len(), 4);
    }

    #[test]
    fn errors_name_the_place() {
        for (text, reason) in [
            ("{", "incomplete JSON: expected a key at line 1, column 2, where the text ends"),
            ("[1\n 2]", "expected `,` at line 2, column 2, found `2`"),
            ("{\"a\"}", "expected `:`"),
            ("[nan]", "expected a value"),
            ("[1x]", "expected a number"),
            ("[\"a]", "expected the end of a string"),
            (&"[".repeat(1_000_000), "nested more than 100 levels deep"),
        ] {
            let error = parse(text, &mut Faults::default()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
