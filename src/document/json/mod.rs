//! JSON from people we don't know: limits that are checked before anything recurses, and small conversions.

mod tree;

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::cursor::string_length;

use tree::Tree;

/// How deep arrays and objects may be nested. Clients' documents have a handful of levels and the recorded ones up to
/// 200; what is deeper is refused, since reading, comparing and dropping a tree recurse.
pub const DEEPEST: usize = 512;

/// Why a text that may be JSON is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not JSON, or not in UTF-8.
    #[error("{0}")]
    Syntax(String),
    /// It is nested more levels deep than these.
    #[error("JSON must not be nested more than {0} levels")]
    TooDeep(usize),
    /// A string holds half of a surrogate pair, which no Unicode text can.
    #[error("a string holds half of a surrogate pair")]
    LoneSurrogate,
    /// A number is larger than any double.
    #[error("a number is too large")]
    NumberTooLarge,
}

/// Checks that `bytes` are one JSON value that may be kept, nested so many levels deep at the most, and gives it.
///
/// Errors: [`Refused`], which says why.
pub fn check(bytes: &[u8], deepest: usize) -> Result<&RawValue, Refused> {
    let text = std::str::from_utf8(bytes).map_err(|error| Refused::Syntax(error.to_string()))?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| Refused::Syntax(error.to_string()))?;
    scan(raw.get(), deepest)?;
    Ok(raw)
}

/// The tree of a value, or why it is not made: only for the few values that a rule walks.
pub fn tree(raw: &RawValue) -> Result<Value, Refused> {
    scan(raw.get(), DEEPEST)?;
    let mut reader = serde_json::Deserializer::from_str(raw.get());
    reader.disable_recursion_limit();
    Tree.deserialize(&mut reader).map_err(|error| Refused::Syntax(error.to_string()))
}

/// One pass over well-formed JSON, for what its grammar doesn't rule out.
fn scan(text: &str, deepest: usize) -> Result<(), Refused> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = 0usize;
    let mut in_string = false;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                if let Some(unit) = escaped_unit(&bytes[at..]) {
                    let paired = (0xd800..0xdc00).contains(&unit)
                        && escaped_unit(&bytes[at + 6..]).is_some_and(|low| (0xdc00..0xe000).contains(&low));
                    if paired {
                        at += 6;
                    } else if (0xd800..0xe000).contains(&unit) {
                        return Err(Refused::LoneSurrogate);
                    }
                    at += 4;
                }
                at += 1;
            }
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > deepest {
                    return Err(Refused::TooDeep(deepest));
                }
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// The UTF-16 unit of a `\uXXXX` that `bytes` begin with.
fn escaped_unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// JSON as a store would write it: without the white space between its tokens, and `0.0` for a number that is too
/// small for a double.
///
/// Errors: [`Refused::NumberTooLarge`].
pub fn compact(text: &str) -> Result<String, Refused> {
    let mut compact = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' => rest.bytes().take_while(|byte| b"+-.eE0123456789".contains(byte)).count(),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        match first {
            b'-' | b'0'..=b'9' => compact.push_str(number_as_kept(token)?),
            _ if token.trim_ascii().is_empty() => {}
            _ => compact.push_str(token),
        }
        rest = after;
    }
    Ok(compact)
}

/// A number as CouchDB would keep it: with all of its digits, as long as a double can be as large.
fn number_as_kept(digits: &str) -> Result<&str, Refused> {
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    match digits.parse::<f64>() {
        Ok(number) if number.is_infinite() => Err(Refused::NumberTooLarge),
        Ok(0.0) if mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) => Ok("0.0"),
        _ => Ok(digits),
    }
}

/// `{}`
pub fn empty_object() -> &'static RawValue {
    serde_json::from_str("{}").unwrap_or(RawValue::NULL)
}

/// JSON without white space, such as [`encode`] gives, with line breaks and indentation; None if that makes it longer than
/// `most` bytes: what is nested deep is mostly indentation. It is to stand `depth` levels deep in other JSON.
pub fn pretty(text: &str, depth: usize, most: usize) -> Option<String> {
    let mut pretty = String::with_capacity(most.min(text.len().saturating_mul(2)));
    let mut depth = depth;
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let length = if first == b'"' { string_length(rest) } else { 1 };
        let (token, after) = rest.split_at_checked(length)?;
        let opens = matches!(first, b'{' | b'[');
        let closes = matches!(first, b'}' | b']');
        let is_empty = opens && after.starts_with(['}', ']']);
        depth = depth.saturating_sub(usize::from(closes));
        if closes && !pretty.ends_with(['{', '[']) {
            break_line(&mut pretty, depth);
        }
        pretty.push_str(token);
        if first == b':' {
            pretty.push(' ');
        }
        depth += usize::from(opens);
        if first == b',' || opens && !is_empty {
            break_line(&mut pretty, depth);
        }
        if pretty.len() > most {
            return None;
        }
        rest = after;
    }
    Some(pretty)
}

fn break_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

/// The text of a raw string, or None for another kind of value.
pub fn text(raw: &RawValue) -> Option<String> {
    raw.get().starts_with('"').then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

/// A value as one line of JSON. The values of this crate always can be: their keys are texts.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| unreachable!("a value that is not JSON: {error}"))
}

/// One text for all JSON of the same value: an object's keys sorted, a number by its value whatever its digits.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (at, (key, value)) in fields.into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                text.push_str(&encode(key));
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Number(number) => text.push_str(&canonical_number(&number.to_string())),
        value => text.push_str(&encode(value)),
    }
}

/// Integers keep their digits, however many; of others, those that are whole are written as integers.
fn canonical_number(digits: &str) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    match digits.parse::<f64>() {
        Ok(0.0) => "0".to_owned(),
        Ok(number) if !is_integer && number.fract() == 0.0 && number.abs() < EXACT => format!("{number:.0}"),
        Ok(number) if !is_integer && number.is_finite() => format!("{number:?}"),
        _ => digits.to_owned(),
    }
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
pub(crate) fn any_tree() -> proptest::strategy::BoxedStrategy<Value> {
    use proptest::prelude::*;

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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn depth_and_surrogates_are_checked_wherever_they_stand() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check(nested(DEEPEST).as_bytes(), DEEPEST).is_ok());
        assert_eq!(check(nested(DEEPEST + 1).as_bytes(), DEEPEST).unwrap_err(), Refused::TooDeep(DEEPEST));
        assert!(check(nested(100_000).as_bytes(), DEEPEST).is_err());

        for text in [r#"{"a":["\ud800"]}"#, r#"{"\udc00":1}"#, r#""\ud800\ud800""#, r#""\ud800x""#] {
            assert_eq!(check(text.as_bytes(), DEEPEST).unwrap_err(), Refused::LoneSurrogate, "{text}");
        }
        for text in [r#""\ud83d\ude00""#, r#""\\ud800""#, r#""[[[\"{{{""#, r#""\u00e9""#] {
            assert!(check(text.as_bytes(), DEEPEST).is_ok(), "{text}");
        }
    }

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

    #[test]
    fn white_space_in_texts_is_kept() {
        let text = "{ \"a b\" : [ 1 , \"x \\\" y\" ] , \n\t\"c\\\\\" : { } }";
        assert_eq!(compact(text).unwrap(), r#"{"a b":[1,"x \" y"],"c\\":{}}"#);
        for text in [r#""é \\\" [ 1e400 ""#, "\"\"", "[]", "-1"] {
            assert_eq!(compact(text).unwrap(), text);
        }
    }

    #[test]
    fn a_number_is_one_that_couchdb_holds() {
        let too_large = "9".repeat(400);
        for kept in ["1.7976931348623157e308", "-1E-300", "0e999", "0.0e-999", "123456789012345678901234567890"] {
            assert_eq!(compact(kept).unwrap(), kept);
        }
        for too_small in ["1e-400", "-0.1E-999", "0.000001e-400"] {
            assert_eq!(compact(&format!("[{too_small}]")).unwrap(), "[0.0]");
        }
        for too_large in ["1e400", "-1.5E999", "1.8e308", &too_large, &format!("{too_large}.0")] {
            assert_eq!(compact(&format!("{{\"x\":[{too_large}]}}")).unwrap_err(), Refused::NumberTooLarge);
        }
    }

    #[test]
    fn values_that_are_equal_have_one_canonical_text() {
        let canonical = |text: &str| canonical(&serde_json::from_str(text).unwrap());
        let same = [
            (r#"{"b":[1,{"d":1,"c":2}],"a":"\u00e9"}"#, r#"{"a":"é","b":[1.0,{"c":2,"d":1e0}]}"#),
            ("[1e3,-0.0,1.10,5e-1]", "[1000,0,1.1,0.5]"),
        ];
        for (one, other) in same {
            assert_eq!(canonical(one), canonical(other));
        }
        let different = [
            ("[1,2]", "[2,1]"),
            ("1", "\"1\""),
            ("null", "false"),
            ("12345678901234567890", "12345678901234567891"),
            ("1e400", "1e401"),
        ];
        for (one, other) in different {
            assert_ne!(canonical(one), canonical(other));
        }
    }

    #[test]
    fn pretty_json_has_a_bound() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert!(pretty(&deep, 0, 1 << 20).unwrap().len() > 100 * deep.len());
        assert_eq!(pretty(&deep, 0, 10_000), None);
        assert_eq!(pretty(r#"{"a":[],"b":{},"c":[{"é":"x,{y"}]}"#, 0, 100).unwrap().lines().count(), 9);
    }

    proptest! {
        #[test]
        fn pretty_json_is_what_serde_json_makes_of_it(tree in any_tree()) {
            let most = usize::MAX;
            prop_assert_eq!(pretty(&encode(&tree), 0, most).unwrap(), serde_json::to_string_pretty(&tree).unwrap());
            let below = format!("[\n  {}\n]", pretty(&encode(&tree), 1, most).unwrap());
            prop_assert_eq!(below, serde_json::to_string_pretty(&[&tree]).unwrap());
        }
    }

    #[test]
    fn the_first_of_two_fields() {
        let raw = raw(&serde_json::json!({}));
        assert!(first_field(&raw, "a").is_none());
        let twice: &RawValue = serde_json::from_str(r#"{"a":1,"b":[{}],"a":2}"#).unwrap();
        assert_eq!(first_field(twice, "a").unwrap().get(), "1");
    }
}
