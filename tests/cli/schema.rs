//! Whether a document is what a JSON schema says, for the keywords that the schema of this program has. (A crate for all of
//! JSON schema would change the features of many dependencies, which the Python package would then compile again.)

use regex_lite::Regex;
use serde_json::Value;

/// Where a document differs from a schema. `place` is the name of the document.
///
/// # Panics
/// The schema has a keyword that is not known here.
pub fn errors(schema: &Value, document: &Value, place: &str) -> Vec<String> {
    let mut errors = Vec::new();
    for (keyword, expected) in schema.as_object().expect("a schema is an object") {
        for Part { name, value, schema } in parts(schema, keyword, document) {
            errors.extend(self::errors(schema, value, &format!("{place}{name}")));
        }
        if !fits(document, keyword, expected) {
            errors.push(format!("{place} is {document}, which does not fit {keyword} {expected}"));
        }
    }
    errors
}

/// A part of a document.
struct Part<'a> {
    name: String,
    value: &'a Value,
    schema: &'a Value,
}

/// The parts of a document that a keyword of a schema describes.
fn parts<'a>(all: &'a Value, keyword: &str, document: &'a Value) -> Vec<Part<'a>> {
    let schema = &all[keyword];
    let items = document.as_array().into_iter().flatten().enumerate();
    let fields = document.as_object().into_iter().flatten();
    match keyword {
        "items" => items.map(|(index, value)| Part { name: format!("[{index}]"), value, schema }).collect(),
        "properties" => {
            let described = fields.filter_map(|(key, value)| Some((key, value, schema.get(key)?)));
            described.map(|(key, value, schema)| Part { name: format!(".{key}"), value, schema }).collect()
        }
        "additionalProperties" => {
            let others = fields.filter(|(key, _)| all["properties"].get(key).is_none());
            others.map(|(key, value)| Part { name: format!(".{key}"), value, schema }).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a document is what a keyword says of it, apart from its parts.
fn fits(document: &Value, keyword: &str, expected: &Value) -> bool {
    let number = |is_met: &dyn Fn(f64, f64) -> bool| {
        document.as_f64().is_none_or(|number| is_met(number, expected.as_f64().unwrap()))
    };
    match keyword {
        "$id" | "$schema" | "description" | "title" | "items" | "properties" | "additionalProperties" => true,
        "const" => document == expected,
        "enum" => expected.as_array().unwrap().contains(document),
        "exclusiveMinimum" => number(&|number, least| number > least),
        "maximum" => number(&|number, most| number <= most),
        "minimum" => number(&|number, least| number >= least),
        "minLength" => {
            document.as_str().is_none_or(|text| text.chars().count() as u64 >= expected.as_u64().unwrap())
        }
        "pattern" => {
            let pattern = Regex::new(expected.as_str().unwrap()).unwrap();
            document.as_str().is_none_or(|text| pattern.is_match(text))
        }
        "required" => document.as_object().is_none_or(|object| {
            expected.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "type" => match expected {
            Value::Array(types) => types.iter().any(|expected| is_a(document, expected)),
            expected => is_a(document, expected),
        },
        _ => panic!("the keyword `{keyword}` is not known here"),
    }
}

fn is_a(document: &Value, expected: &Value) -> bool {
    match expected.as_str().unwrap() {
        "array" => document.is_array(),
        "boolean" => document.is_boolean(),
        "integer" => document.is_i64() || document.is_u64(),
        "null" => document.is_null(),
        "number" => document.is_number(),
        "object" => document.is_object(),
        "string" => document.is_string(),
        other => panic!("the type `{other}` is not known here"),
    }
}

#[test]
fn what_does_not_fit_a_schema_is_found() {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": { "type": "string", "pattern": "^[a-z]+$", "minLength": 2 },
            "kind": { "enum": ["a", "b"] },
            "version": { "const": 1 },
            "parts": { "type": "array", "items": { "type": ["number", "null"], "minimum": 0, "maximum": 1 } },
            "length": { "type": "integer", "exclusiveMinimum": 0 },
        },
        "additionalProperties": { "type": "boolean" },
    });
    let found = |document: Value| errors(&schema, &document, "it");
    let right = serde_json::json!({
        "name": "ab", "kind": "b", "version": 1, "parts": [0, 1.0, null], "length": 1, "other": true
    });
    assert_eq!(found(right), [""; 0]);
    for (wrong, place) in [
        (serde_json::json!([]), "it is"),
        (serde_json::json!({}), "it is"),
        (serde_json::json!({ "name": 5 }), "it.name is"),
        (serde_json::json!({ "name": "AB" }), "it.name is"),
        (serde_json::json!({ "name": "a" }), "it.name is"),
        (serde_json::json!({ "name": "ab", "kind": "c" }), "it.kind is"),
        (serde_json::json!({ "name": "ab", "version": 2 }), "it.version is"),
        (serde_json::json!({ "name": "ab", "parts": [0, -0.5] }), "it.parts[1] is"),
        (serde_json::json!({ "name": "ab", "parts": [1.5] }), "it.parts[0] is"),
        (serde_json::json!({ "name": "ab", "parts": ["0"] }), "it.parts[0] is"),
        (serde_json::json!({ "name": "ab", "length": 0 }), "it.length is"),
        (serde_json::json!({ "name": "ab", "length": 0.5 }), "it.length is"),
        (serde_json::json!({ "name": "ab", "other": 1 }), "it.other is"),
    ] {
        let errors = found(wrong);
        assert!(errors.len() == 1 && errors[0].starts_with(place), "{errors:?}");
    }
}
