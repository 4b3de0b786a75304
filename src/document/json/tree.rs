//! JSON as a tree. serde_json's own reader takes an object whose only key is one of its private names
//! (`$serde_json::private::RawValue`, `…::Number`) for what these stand for inside of it; here it is the object that
//! whoever sent it wrote.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::limits::{DEEPEST, Refused, scan};

/// The tree of a value, or why it is not made: only for the few values that a rule walks.
pub fn tree(raw: &RawValue) -> Result<Value, Refused> {
    scan(raw.get(), DEEPEST)?;
    let mut reader = serde_json::Deserializer::from_str(raw.get());
    reader.disable_recursion_limit();
    Tree.deserialize(&mut reader).map_err(|error| Refused::Syntax(error.to_string()))
}

/// Reads a tree.
struct Tree;

/// A key of an object, or what serde_json gives in a key's place before the digits of a number.
enum Key {
    Text(String),
    OfNumber,
}

/// Reads a key: of an object's key serde_json has bytes, of its own name for a number only a text.
struct KeyReader;

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, is_true: bool) -> Result<Value, E> {
        Ok(Value::Bool(is_true))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key_seed(KeyReader)? {
            match key {
                Key::Text(key) => drop(object.insert(key, fields.next_value_seed(Self)?)),
                Key::OfNumber => {
                    let digits: String = fields.next_value()?;
                    return digits.parse::<Number>().map(Value::Number).map_err(A::Error::custom);
                }
            }
        }
        Ok(Value::Object(object))
    }
}

impl<'de> DeserializeSeed<'de> for KeyReader {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for KeyReader {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Key, E> {
        String::from_utf8(bytes.to_vec()).map(Key::Text).map_err(E::custom)
    }

    fn visit_str<E>(self, _: &str) -> Result<Key, E> {
        Ok(Key::OfNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode;
    use super::*;

    #[test]
    fn a_tree_is_what_was_written() {
        for text in [
            r#"{"a":[1,-2.50,-0.0,123456789012345678901234567890],"b":{"c":null,"d":[true,false,"x"]},"é":{}}"#,
            r#"{"$serde_json::private::RawValue":"\"ok\""}"#,
            r#"{"$serde_json::private::Number":"1"}"#,
            r#"[{"$serde_json::private::Number":"1","x":2},[],"$serde_json::private::Number"]"#,
        ] {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            let tree = tree(raw).unwrap();
            assert_eq!(encode(&tree), text);
            assert_eq!(tree.is_object(), text.starts_with('{'));
        }
        let escaped: &RawValue = serde_json::from_str(r#"{"\u0024serde_json::private::RawValue":"7"}"#).unwrap();
        assert_eq!(tree(escaped).unwrap()["$serde_json::private::RawValue"], "7");
    }
}
