//! Filters in a query string (`filter_K=V`, `has_key=K`, `created_from=T`, …), applied to whole documents, private
//! fields too, as Kazoo's `crossbar_filter` does: values are compared as Erlang would write them, and a filter that
//! can't be applied to a document (a path that leads through a text, a time that is no number) leaves it out.

use serde_json::Value;

use crate::document::{Document, json};

use super::erlang::{as_text, integer, integer_of, is_empty, with_plain_numbers};

/// All filters of a request; a document must pass each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter(Vec<Condition>);

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Is(Path, Wanted),
    IsNot(Path, Wanted),
    HasKey(Path),
    KeyMissing(Path),
    HasValue(Path),
    ValueMissing(Path),
    /// A time field, and from when (None: the request gave no number, which nothing passes).
    From(&'static str, Option<i64>),
    To(&'static str, Option<i64>),
    /// Nothing passes: the request gave no path.
    Never,
}

/// A value to compare with: a text, or one of the texts of a JSON list, or the text that is quoted in JSON.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    text: String,
    alternatives: Vec<String>,
}

impl Wanted {
    fn new(text: &str) -> Self {
        let alternatives = match serde_json::from_str(text) {
            Ok(Value::String(text)) => vec![text],
            Ok(Value::Array(items)) => items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        Self { text: text.to_owned(), alternatives }
    }

    fn accepts(&self, text: &str) -> bool {
        self.text == text || self.alternatives.iter().any(|alternative| alternative == text)
    }
}

impl Filter {
    /// The filters among a query's parameters, of which one without `=` has no value; other parameters are none.
    pub fn of_query<'a>(query: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Self {
        Self(query.into_iter().filter_map(|(key, value)| Condition::of_parameter(key, value)).collect())
    }

    /// Whether there is no filter: then documents need not be read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a document passes every filter.
    pub fn accepts(&self, document: &Document) -> bool {
        self.0.iter().all(|condition| condition.holds(document).unwrap_or(false))
    }
}

/// A filter can't be applied to a document.
struct NotApplicable;

impl Condition {
    fn of_parameter(key: &str, value: Option<&str>) -> Option<Self> {
        let of_path = |condition: fn(Path) -> Self| value.map_or(Self::Never, |path| condition(Path::new(path)));
        let time = value.and_then(integer);
        // no value is the atom `true`: a text where one is compared, but no path and no number
        let wanted = || Wanted::new(value.unwrap_or("true"));
        Some(match key {
            "has_key" => of_path(Self::HasKey),
            "key_missing" => of_path(Self::KeyMissing),
            "has_value" => of_path(Self::HasValue),
            "value_missing" => of_path(Self::ValueMissing),
            "created_from" => Self::From("pvt_created", time),
            "created_to" => Self::To("pvt_created", time),
            "modified_from" => Self::From("pvt_modified", time),
            "modified_to" => Self::To("pvt_modified", time),
            _ => match (key.strip_prefix("filter_not_"), key.strip_prefix("filter_")) {
                (Some(path), _) => Self::IsNot(Path::new(path), wanted()),
                (None, Some(path)) => Self::Is(Path::new(path), wanted()),
                (None, None) => return None,
            },
        })
    }

    fn holds(&self, document: &Document) -> Result<bool, NotApplicable> {
        Ok(match self {
            Self::Is(path, wanted) => wanted.accepts(&path.text_in(document)?),
            Self::IsNot(path, wanted) => !wanted.accepts(&path.text_in(document)?),
            Self::HasKey(path) => path.find(document)?.is_some(),
            Self::KeyMissing(path) => path.find(document)?.is_none(),
            Self::HasValue(path) => path.find(document)?.is_some_and(|value| !is_empty(&value)),
            Self::ValueMissing(path) => path.find(document)?.is_none_or(|value| is_empty(&value)),
            // a document without the time passes every `from` and no `to`: Erlang orders numbers before atoms
            Self::From(field, from) => {
                let from = from.ok_or(NotApplicable)?;
                document.get(field).and_then(integer_of).is_none_or(|time| from <= time)
            }
            Self::To(field, to) => {
                let to = to.ok_or(NotApplicable)?;
                document.get(field).and_then(integer_of).is_some_and(|time| to >= time)
            }
            Self::Never => false,
        })
    }
}

/// A path into a document: keys separated by dots, or, in a list, positions from 1.
#[derive(Debug, Clone, PartialEq)]
struct Path(Vec<String>);

impl Path {
    fn new(text: &str) -> Self {
        Self(text.split('.').map(str::to_owned).collect())
    }

    /// The value at the path; None if there is none. Not applicable where the path leads through what is neither an
    /// object nor a list.
    fn find(&self, document: &Document) -> Result<Option<Value>, NotApplicable> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(None) };
        let Some(raw) = document.get(first) else { return Ok(None) };
        let mut value = json::tree(raw).map_err(|_| NotApplicable)?;
        for key in rest {
            let next = match &mut value {
                Value::Object(fields) => fields.get_mut(key),
                Value::Array(items) => {
                    let position = key.parse::<usize>().ok().and_then(|position| position.checked_sub(1));
                    position.and_then(|position| items.get_mut(position))
                }
                _ => return Err(NotApplicable),
            };
            match next {
                Some(next) => value = next.take(),
                None => return Ok(None),
            }
        }
        Ok(Some(value))
    }

    /// The value at the path as a text, empty if there is none: an object is written as JSON, its keys in order.
    fn text_in(&self, document: &Document) -> Result<String, NotApplicable> {
        Ok(match self.find(document)? {
            Some(object @ Value::Object(_)) => json::encode(&with_plain_numbers(object)),
            Some(value) => as_text(&value).unwrap_or_default(),
            None => String::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(filter: &[(&str, &str)], document: &str) -> bool {
        let query = filter.iter().map(|(key, value)| (*key, Some(*value)));
        Filter::of_query(query).accepts(&Document::parse(document).unwrap())
    }

    #[test]
    fn values_are_compared_as_erlang_writes_them() {
        for (value, text) in [
            ("\"a\"", "a"),
            ("3", "3"),
            ("\"3\"", "3"),
            ("1.50", "1.5"),
            ("true", "true"),
            ("null", "null"),
            ("[\"a\",\"b\"]", "ab"),
            ("[]", ""),
            ("{}", "{}"),
            (r#"{"b":[1.50,null],"a":{}}"#, r#"{"b":[1.5,null],"a":{}}"#),
            (r#"[{"a":1}]"#, ""),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ] {
            let document = format!("{{\"k\":{value}}}");
            assert!(passes(&[("filter_k", text)], &document), "{value}");
            assert!(!passes(&[("filter_not_k", text)], &document), "{value}");
        }
        assert!(passes(&[("filter_k", "")], "{}"));
        assert!(passes(&[("filter_k", r#"["x","a"]"#)], r#"{"k":"a"}"#));
        assert!(passes(&[("filter_k", r#""a""#)], r#"{"k":"a"}"#));
    }

    #[test]
    fn a_path_leads_through_objects_and_lists_only() {
        let document = r#"{"o":{"l":[{"x":"1"}]},"t":"text","z":null}"#;
        assert!(passes(&[("filter_o.l.1.x", "1")], document));
        assert!(passes(&[("key_missing", "o.l.2")], document));
        for through_a_scalar in ["t.x", "z.x"] {
            for kind in ["has_key", "key_missing", "has_value", "value_missing"] {
                assert!(!passes(&[(kind, through_a_scalar)], document), "{kind}={through_a_scalar}");
            }
        }
        assert!(passes(&[("has_key", "z"), ("value_missing", "z")], document));
    }

    #[test]
    fn times() {
        assert!(passes(&[("created_from", "5"), ("created_to", "5.4")], r#"{"pvt_created":5}"#));
        assert!(!passes(&[("created_from", "abc")], r#"{"pvt_created":5}"#));
        assert!(passes(&[("modified_from", "9")], "{}"));
        assert!(!passes(&[("modified_to", "9")], "{}"));
    }

    #[test]
    fn what_is_no_filter_filters_nothing() {
        assert!(Filter::of_query([("page_size", Some("2")), ("sort", Some("x")), ("has_keys", None)]).is_empty());
    }

    #[test]
    fn a_filter_without_a_value_has_the_atom_true() {
        let passes = |key| Filter::of_query([(key, None)]).accepts(&Document::parse(r#"{"t":true,"true":1}"#).unwrap());
        for key in ["filter_t", "filter_not_x"] {
            assert!(passes(key), "{key}");
        }
        for key in ["filter_x", "filter_not_t", "has_key", "key_missing", "has_value", "value_missing"] {
            assert!(!passes(key), "{key}");
        }
        for key in ["created_from", "created_to", "modified_from", "modified_to"] {
            assert!(!passes(key), "{key}");
        }
    }

    #[test]
    fn an_object_is_compared_with_the_order_of_its_keys() {
        assert!(passes(&[("filter_o", r#"{"a":1,"b":2}"#)], r#"{"o":{"a":1,"b":2}}"#));
        assert!(!passes(&[("filter_o", r#"{"a":1,"b":2}"#)], r#"{"o":{"b":2,"a":1}}"#));
        assert!(passes(&[("filter_not_o", r#"{"a":1}"#)], r#"{"o":{"a":1,"b":2}}"#));
    }
}
