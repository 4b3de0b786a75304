//! A CouchDB document as the rest of the crate sees it: its top-level fields, in order, each with the
//! JSON it came with. What nobody looks at is never parsed, so it can't be reshaped on its way through:
//! numbers keep their digits, objects their key order, fields that we know nothing of their place.

pub mod cursor;
mod ids;
pub mod json;
mod object;

pub use ids::{DbName, DocId, NotADbName, Revision, segment};
pub use object::Object;

use std::fmt;

use indexmap::IndexMap;
use md5::{Digest, Md5};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The top-level fields of a JSON object, in order, each with its raw JSON.
///
/// A key that stands twice keeps its first place and its last value, as in CouchDB.
#[derive(Debug, Clone, Default)]
pub struct Document(IndexMap<String, Box<RawValue>>);

/// The text is not one JSON object.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a JSON object: {0}")]
pub struct NotAnObject(String);

impl Document {
    /// An object without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one JSON object; its values are only checked to be JSON.
    pub fn parse(text: &str) -> Result<Self, NotAnObject> {
        serde_json::from_str(text).map_err(|error| NotAnObject(error.to_string()))
    }

    /// The object that `raw` holds, or None if it holds another kind of value.
    pub fn from_raw(raw: &RawValue) -> Option<Self> {
        raw.get().starts_with('{').then(|| Self::parse(raw.get()).ok()).flatten()
    }

    /// The raw JSON of a field.
    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.get(key).map(Box::as_ref)
    }

    /// A field's text, if the field holds a string.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(json::text)
    }

    /// A field's number, if the field holds an integer that an `i64` can hold.
    pub fn integer(&self, key: &str) -> Option<i64> {
        self.get(key).and_then(|raw| raw.get().parse().ok())
    }

    /// Whether a field holds `true`.
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key).is_some_and(|raw| raw.get() == "true")
    }

    /// Sets a field: in its place if it was there, at the end if not.
    pub fn set(&mut self, key: impl Into<String>, value: Box<RawValue>) {
        self.0.insert(key.into(), value);
    }

    /// Sets a field to a text.
    pub fn set_text(&mut self, key: &str, value: &str) {
        self.set(key, json::raw(value));
    }

    /// Takes a field out, leaving the others in their order.
    pub fn remove(&mut self, key: &str) -> Option<Box<RawValue>> {
        self.0.shift_remove(key)
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_ref()))
    }

    /// How many bytes its keys and values have.
    pub fn bytes(&self) -> usize {
        self.iter().map(|(key, value)| key.len() + value.get().len()).sum()
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is such a field.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Keeps the fields that `keep` says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|key, _| keep(key));
    }

    /// `_id`, as the store has it.
    pub fn id(&self) -> Option<String> {
        self.text("_id")
    }

    /// `_rev`, if the document came from a store.
    pub fn revision(&self) -> Option<Revision> {
        self.text("_rev").and_then(|text| text.parse().ok())
    }

    /// The revision that the document gets when it replaces one of revision `current` in a store of our own: a
    /// digest of what it replaces and what it holds.
    pub fn next_revision(&self, current: Option<&Revision>) -> Revision {
        let mut digest = Md5::new();
        if let Some(current) = current {
            digest.update(current.to_string());
        }
        digest.update(self.to_json());
        Revision::following(current, hex(&digest.finalize()))
    }

    /// The document as one line of JSON.
    pub fn to_json(&self) -> String {
        json::encode(self)
    }

    /// One text for all documents of the same value, whatever the order of their fields and the digits of their
    /// numbers. One that is nested too deep to be walked stands for itself.
    pub fn canonical(&self) -> String {
        json::tree(&self.to_raw()).map_or_else(|_| self.to_json(), |tree| json::canonical(&tree))
    }

    /// Whether both hold the same, by value, whatever their revisions.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let content = |document: &Self| {
            let mut document = document.clone();
            document.remove("_rev");
            document.canonical()
        };
        content(self) == content(other)
    }

    /// The document as a value, to be put into another document.
    pub fn to_raw(&self) -> Box<RawValue> {
        json::raw(self)
    }
}

/// Bytes as hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Extend<(String, Box<RawValue>)> for Document {
    fn extend<T: IntoIterator<Item = (String, Box<RawValue>)>>(&mut self, fields: T) {
        self.0.extend(fields);
    }
}

impl IntoIterator for Document {
    type Item = (String, Box<RawValue>);
    type IntoIter = indexmap::map::IntoIter<String, Box<RawValue>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(String, Box<RawValue>)> for Document {
    fn from_iter<T: IntoIterator<Item = (String, Box<RawValue>)>>(fields: T) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> de::Visitor<'de> for Fields {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let mut fields = IndexMap::with_capacity(16);
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    fields.insert(key, value);
                }
                Ok(Document(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_touched_is_not_reshaped() {
        let text = r#"{"n":1.10,"big":123456789012345678901234567890,"o":{"b":1,"a":[1e3, -0.0]},"s":"\u00e9"}"#;
        assert_eq!(Document::parse(text).unwrap().to_json(), text);
    }

    #[test]
    fn a_key_that_stands_twice_has_its_last_value() {
        let document = Document::parse(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(document.to_json(), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn only_an_object_is_a_document() {
        for text in ["[]", "5", "null", "\"x\"", "", "{", "{} x"] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
    }
}
