//! JSON from people we don't know: limits that are checked before anything recurses, and small conversions.

mod canonical;
mod compact;
mod limits;
mod pretty;
mod tree;

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use canonical::canonical;
pub use compact::compact;
pub use limits::{DEEPEST, Refused, check};
pub use pretty::pretty;
pub use tree::tree;

/// `{}`
pub fn empty_object() -> &'static RawValue {
    serde_json::from_str("{}").unwrap_or(RawValue::NULL)
}

/// The text of a raw string, or None for another kind of value.
pub fn text(raw: &RawValue) -> Option<String> {
    raw.get().starts_with('"').then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

/// A value as one line of JSON. The values of this crate always can be: their keys are texts.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| unreachable!("a value that is not JSON: {error}"))
}

/// A value as raw JSON, to be kept in a document.
pub fn raw<T: Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|error| unreachable!("a value that is not JSON: {error}"))
}

/// The value of the first field of this name, where an object has the same key twice.
pub fn first_field(object: &RawValue, key: &str) -> Option<Box<RawValue>> {
    fields(object).into_iter().find(|(of, _)| of == key).map(|(_, value)| value.to_owned())
}

/// The fields of an object as they stand, also those whose key stands twice; none of what is no object.
pub fn fields(object: &RawValue) -> Vec<(Cow<'_, str>, &RawValue)> {
    fields_as(object)
}

/// The keys of an object as they stand; none of what is no object.
pub fn keys(object: &RawValue) -> Vec<Cow<'_, str>> {
    fields_as(object).into_iter().map(|(key, IgnoredAny)| key).collect()
}

fn fields_as<'o, V: Deserialize<'o>>(object: &'o RawValue) -> Vec<(Cow<'o, str>, V)> {
    struct Fields<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> serde::de::Visitor<'de> for Fields<V> {
        type Value = Vec<(Cow<'de, str>, V)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some((Key(key), value)) = map.next_entry()? {
                fields.push((key, value));
            }
            Ok(fields)
        }
    }

    if !object.get().starts_with('{') {
        return Vec::new();
    }
    let mut reader = serde_json::Deserializer::from_str(object.get());
    serde::Deserializer::deserialize_map(&mut reader, Fields(PhantomData)).unwrap_or_default()
}

/// A key, which is copied only where it is escaped.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Any JSON, for property tests.
#[cfg(test)]
pub(crate) fn any_tree() -> proptest::strategy::BoxedStrategy<serde_json::Value> {
    use proptest::prelude::*;
    use serde_json::Value;

    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\"\\\\{}\\[\\],: é\n]{0,6}".prop_map(Value::from),
    ];
    let deeper = |inner: BoxedStrategy<Value>| {
        let object = prop::collection::btree_map("[a\":,{]{0,3}", inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
        .boxed()
    };
    scalar.prop_recursive(4, 24, 4, move |inner| deeper(inner.boxed())).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_fields() {
        let raw = raw(&serde_json::json!({}));
        assert!(first_field(&raw, "a").is_none());
        let twice: &RawValue = serde_json::from_str(r#"{"a":1,"b":[{}],"a":2}"#).unwrap();
        assert_eq!(first_field(twice, "a").unwrap().get(), "1");
    }
}
