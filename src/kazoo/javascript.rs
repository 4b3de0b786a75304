//! How the JavaScript of map functions looks at documents, for its native twins: what is truthy, what `for in` walks. No
//! tree is made of what they look at, which may be large.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use crate::document::cursor::text_of;
use crate::document::{Document, json};

use super::documents::is_of_type;

/// What map functions take for a document of this type that is not deleted.
pub fn is_listed(document: &Document, kind: &str) -> bool {
    !document.get("pvt_deleted").is_some_and(is_truthy) && is_of_type(document, kind)
}

/// What JavaScript takes for true.
pub fn is_truthy(value: &RawValue) -> bool {
    match value.get() {
        "null" | "false" | "\"\"" => false,
        value => value.parse() != Ok(0.0),
    }
}

/// Whether a value is null, of which JavaScript can't tell a property.
pub fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// A property of a value; None where it has none of this name.
pub fn property<'v>(value: &'v RawValue, key: &str) -> Option<&'v RawValue> {
    json::fields(value).into_iter().rev().find(|(of, _)| of == key).map(|(_, value)| value)
}

/// What `for in` walks, but for a text's letters: an object's properties, an array's indexes.
pub fn properties(value: &RawValue) -> Vec<(Cow<'_, str>, &RawValue)> {
    match value.get().as_bytes().first() {
        Some(b'{') => in_order(last_of_each(json::fields(value))),
        _ => items(value).into_iter().enumerate().map(|(at, item)| (at.to_string().into(), item)).collect(),
    }
}

/// How many properties `for in` walks; of a string, its UTF-16 units.
pub fn count(value: &RawValue) -> usize {
    match value.get().as_bytes().first() {
        Some(b'{') => {
            let mut keys = json::keys(value);
            keys.sort_unstable();
            keys.dedup();
            keys.len()
        }
        Some(b'[') => items(value).len(),
        Some(b'"') => text_of(value.get()).encode_utf16().count(),
        _ => 0,
    }
}

/// The items of an array; none of what is no array.
fn items(value: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(value.get()).unwrap_or_default()
}

/// The fields of an object of which a key that stands twice keeps its first place and its last value.
fn last_of_each<'v>(fields: Vec<(Cow<'v, str>, &'v RawValue)>) -> Vec<(Cow<'v, str>, &'v RawValue)> {
    let mut keys: Vec<&str> = fields.iter().map(|(key, _)| &**key).collect();
    keys.sort_unstable();
    if keys.windows(2).all(|two| two.first() != two.last()) {
        return fields;
    }
    fields.into_iter().collect::<IndexMap<_, _>>().into_iter().collect()
}

/// An object's properties in JavaScript's order: those that are array indexes first, by number, then the others as
/// they stand.
fn in_order<'v>(mut properties: Vec<(Cow<'v, str>, &'v RawValue)>) -> Vec<(Cow<'v, str>, &'v RawValue)> {
    if properties.iter().any(|(key, _)| index(key).is_some()) {
        properties.sort_by_cached_key(|(key, _)| index(key).map_or((true, 0), |index| (false, index)));
    }
    properties
}

/// The array index that a key is.
fn index(key: &str) -> Option<u32> {
    key.parse().ok().filter(|index: &u32| *index < u32::MAX && index.to_string() == key)
}
