//! How the JavaScript of map functions looks at documents, for its native twins: what is truthy, what `for in` walks.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::document::{Document, json};

use super::documents::is_of_type;

/// What map functions take for a document of this type that is not deleted.
pub fn is_listed(document: &Document, kind: &str) -> bool {
    let deleted = document.get("pvt_deleted").is_some_and(|raw| is_truthy(&value(raw)));
    !deleted && is_of_type(document, kind)
}

/// A field's value as a tree; null for one that is nested too deep to be walked.
pub fn value(raw: &RawValue) -> Value {
    json::tree(raw).unwrap_or_default()
}

/// What JavaScript takes for true.
pub fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_true) => *is_true,
        Value::Number(number) => number.as_f64().is_none_or(|number| number != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// What `for in` walks: an object's properties, an array's indexes.
pub fn properties(value: &Value) -> Vec<(String, &Value)> {
    match value {
        Value::Object(fields) => in_order(fields),
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        _ => Vec::new(),
    }
}

/// An object's properties in JavaScript's order: those that are array indexes first, by number, then the others as
/// they stand.
fn in_order(fields: &Map<String, Value>) -> Vec<(String, &Value)> {
    let index = |key: &str| key.parse::<u32>().ok().filter(|index| *index < u32::MAX && index.to_string() == key);
    let mut properties: Vec<_> = fields.iter().map(|(key, value)| (key.clone(), value)).collect();
    properties.sort_by_key(|(key, _)| index(key).map_or((true, 0), |index| (false, index)));
    properties
}

/// How many properties `for in` walks; of a string, its UTF-16 units.
pub fn count(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.len(),
        Value::Array(items) => items.len(),
        Value::String(text) => text.encode_utf16().count(),
        _ => 0,
    }
}
