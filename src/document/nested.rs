//! JSON whose objects are taken apart at every depth, each other value with the JSON it came with. However deep it is
//! nested, it is read in one pass and written in another, and no value is copied in between.

use indexmap::IndexMap;
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::json::{DEEPEST, string_length};

/// An object's fields in order. A key that stands twice keeps its first place and its last value.
pub type Fields<'a> = IndexMap<String, Nested<'a>>;

/// A value: an object by its fields, or anything else.
#[derive(Debug)]
pub enum Nested<'a> {
    /// An object.
    Object(Fields<'a>),
    /// What is no object, or is nested deeper than [`DEEPEST`].
    Other(&'a RawValue),
}

impl Default for Nested<'_> {
    fn default() -> Self {
        Self::Other(RawValue::NULL)
    }
}

impl<'a> Nested<'a> {
    /// Takes a value apart.
    pub fn of(raw: &'a RawValue) -> Self {
        read(&mut raw.get(), DEEPEST)
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Other(raw) if raw.get() == "null")
    }
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(fields) => serializer.collect_map(fields),
            Self::Other(raw) => raw.serialize(serializer),
        }
    }
}

/// The value that well-formed JSON begins with, which is taken away from it.
fn read<'a>(rest: &mut &'a str, deepest: usize) -> Nested<'a> {
    *rest = rest.trim_ascii_start();
    if !rest.starts_with('{') || deepest == 0 {
        let value = take(rest, value_length(rest));
        return Nested::Other(serde_json::from_str(value).unwrap_or(RawValue::NULL));
    }
    let mut fields = Fields::new();
    // what a field begins after: the brace or a comma
    while !matches!(take(rest, 1), "}" | "") {
        *rest = rest.trim_ascii_start();
        if rest.starts_with('"') {
            let key = serde_json::from_str(take(rest, string_length(rest))).unwrap_or_default();
            *rest = rest.trim_ascii_start();
            take(rest, ":".len());
            fields.insert(key, read(rest, deepest - 1));
            *rest = rest.trim_ascii_start();
        }
    }
    Nested::Object(fields)
}

/// Takes so many bytes, or what is left.
fn take<'a>(rest: &mut &'a str, length: usize) -> &'a str {
    let (taken, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
    *rest = after;
    taken
}

/// How long the value is that well-formed JSON begins with.
fn value_length(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => at += string_length(&text[at..]) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::json;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_taken_apart_is_put_together_again() {
        for text in [
            "null",
            "-1.50e3",
            r#""a{\"b""#,
            r#"[{"a":[1,"]"]},{}]"#,
            "{}",
            r#"{"a":{"b":{},"c,}":[{"x":null}]},"\"":"\\","é":1.10,"d":true}"#,
        ] {
            assert_eq!(json::encode(&Nested::of(raw(text))), text);
        }
        let spaced = "{ \"a\" :\n{ \"b\" : [ 1 , 2 ] , \"c\": 3 } , \"a\":\t{ } }";
        assert_eq!(json::encode(&Nested::of(raw(spaced))), r#"{"a":{}}"#);
    }

    #[test]
    fn what_is_nested_too_deep_stays_whole() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
        let mut nested = Nested::of(raw(&deep));
        assert_eq!(json::encode(&nested), deep);
        let mut depth = 0;
        while let Nested::Object(mut fields) = nested {
            nested = fields.swap_remove("a").unwrap();
            depth += 1;
        }
        assert_eq!(depth, DEEPEST);
    }
}
