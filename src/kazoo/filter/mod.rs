//! Filters in a query string (`filter_K=V`, `has_key=K`, `created_from=T`, …), applied to whole documents, private
//! fields too, as Kazoo's `crossbar_filter` does: values are compared as Erlang would write them, and a filter that
//! can't be applied to a document (a path that leads through a text, a time that is no number) leaves it out.

mod places;

use std::cell::OnceCell;
use std::collections::HashSet;

use serde_json::Value;

use crate::document::Document;

use super::erlang::{NoText, integer, integer_of, is_empty, json_within, text_within};

use places::{Found, Places};

/// All filters of a request; a document must pass each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    conditions: Vec<Condition>,
    places: Places,
    /// How long the longest text is that is compared with.
    longest: usize,
}

/// A filter has more conditions than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyConditions;

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    /// What is at a place, by its number, is so.
    At(usize, Test),
    /// A time field, and from when (None: the request gave no number, which nothing passes).
    From(&'static str, Option<i64>),
    To(&'static str, Option<i64>),
    /// Nothing passes: the request gave no path, or one deeper than JSON is nested.
    Never,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Is(Wanted),
    IsNot(Wanted),
    HasKey,
    KeyMissing,
    HasValue,
    ValueMissing,
}

/// A value to compare with: a text, or one of the texts of a JSON list, or the text that is quoted in JSON.
#[derive(Debug, Clone, PartialEq)]
struct Wanted(HashSet<String>);

impl Wanted {
    fn new(text: &str) -> Self {
        let alternatives = match serde_json::from_str(text) {
            Ok(Value::String(text)) => vec![text],
            Ok(Value::Array(items)) => items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        Self(alternatives.into_iter().chain([text.to_owned()]).collect())
    }

    fn longest(&self) -> usize {
        self.0.iter().map(String::len).max().unwrap_or_default()
    }
}

impl Filter {
    /// The filters among a query's parameters, of which one without `=` has no value; other parameters are none. What
    /// stands there twice is one condition.
    ///
    /// Errors: there are more than `most`.
    pub fn of_query<'a>(
        query: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
        most: usize,
    ) -> Result<Self, TooManyConditions> {
        let mut filter = Self::default();
        let mut known = HashSet::new();
        for (key, value) in query {
            if !known.insert((key, value)) {
                continue;
            }
            let Some(condition) = Condition::of_parameter(key, value, &mut filter.places) else { continue };
            if filter.conditions.len() == most {
                return Err(TooManyConditions);
            }
            if let Condition::At(_, Test::Is(wanted) | Test::IsNot(wanted)) = &condition {
                filter.longest = filter.longest.max(wanted.longest());
            }
            filter.conditions.push(condition);
        }
        Ok(filter)
    }

    /// Whether there is no filter: then documents need not be read.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether a document passes every filter.
    pub fn accepts(&self, document: &Document) -> bool {
        let found = self.places.look_into(document).into_iter();
        let seen: Vec<Seen<'_>> = found.map(|found| Seen { found, text: OnceCell::new() }).collect();
        let holds = |condition: &Condition| condition.holds(document, &seen, self.longest).unwrap_or(false);
        self.conditions.iter().all(holds)
    }
}

/// A filter can't be applied to a document.
struct NotApplicable;

impl Condition {
    fn of_parameter(key: &str, value: Option<&str>, places: &mut Places) -> Option<Self> {
        let mut at = |path, test| places.add(path).map_or(Self::Never, |place| Self::At(place, test));
        // no value is the atom `true`: a text where one is compared, but no path and no number
        let mut of_path = |test| value.map_or(Self::Never, |path| at(path, test));
        let time = value.and_then(integer);
        Some(match key {
            "has_key" => of_path(Test::HasKey),
            "key_missing" => of_path(Test::KeyMissing),
            "has_value" => of_path(Test::HasValue),
            "value_missing" => of_path(Test::ValueMissing),
            "created_from" => Self::From("pvt_created", time),
            "created_to" => Self::To("pvt_created", time),
            "modified_from" => Self::From("pvt_modified", time),
            "modified_to" => Self::To("pvt_modified", time),
            _ => {
                let wanted = || Wanted::new(value.unwrap_or("true"));
                match (key.strip_prefix("filter_not_"), key.strip_prefix("filter_")) {
                    (Some(path), _) => at(path, Test::IsNot(wanted())),
                    (None, Some(path)) => at(path, Test::Is(wanted())),
                    (None, None) => return None,
                }
            }
        })
    }

    fn holds(&self, document: &Document, seen: &[Seen<'_>], longest: usize) -> Result<bool, NotApplicable> {
        Ok(match self {
            Self::At(place, test) => seen.get(*place).ok_or(NotApplicable)?.is(test, longest)?,
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

/// What was found at a place, and its text, which is made once.
struct Seen<'d> {
    found: Found<'d>,
    text: OnceCell<Option<String>>,
}

impl Seen<'_> {
    fn is(&self, test: &Test, longest: usize) -> Result<bool, NotApplicable> {
        let value = match self.found {
            Found::Missing => None,
            Found::Value(value) => Some(value),
            Found::Unreachable => return Err(NotApplicable),
        };
        let is_wanted = |wanted: &Wanted| {
            let text = self.text.get_or_init(|| text(value, longest));
            text.as_ref().is_some_and(|text| wanted.0.contains(text))
        };
        Ok(match test {
            Test::Is(wanted) => is_wanted(wanted),
            Test::IsNot(wanted) => !is_wanted(wanted),
            Test::HasKey => value.is_some(),
            Test::KeyMissing => value.is_none(),
            Test::HasValue => value.is_some_and(|value| !is_empty(value)),
            Test::ValueMissing => value.is_none_or(is_empty),
        })
    }
}

/// A value as a text, empty if there is none: an object is written as JSON, its keys in order. None if the text is longer
/// than any that it is compared with.
fn text(value: Option<&str>, longest: usize) -> Option<String> {
    let text = match value {
        Some(object) if object.starts_with('{') => json_within(object, longest),
        Some(value) => text_within(value, longest),
        None => Ok(String::new()),
    };
    match text {
        Ok(text) => Some(text),
        Err(NoText::NotAText) => Some(String::new()),
        Err(NoText::TooLong) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(filter: &[(&str, &str)], document: &str) -> bool {
        let query = filter.iter().map(|(key, value)| (*key, Some(*value)));
        Filter::of_query(query, 100).unwrap().accepts(&Document::parse(document).unwrap())
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
        assert!(
            Filter::of_query([("page_size", Some("2")), ("sort", Some("x")), ("has_keys", None)], 0)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_filter_without_a_value_has_the_atom_true() {
        let passes = |key| {
            Filter::of_query([(key, None)], 1).unwrap().accepts(&Document::parse(r#"{"t":true,"true":1}"#).unwrap())
        };
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

    #[test]
    fn of_a_key_that_stands_twice_the_last_value_counts() {
        let document = r#"{"o":{"a":{"b":1},"a":{"c":2},"l":[[1],[2]]}}"#;
        assert!(passes(&[("key_missing", "o.a.b"), ("has_key", "o.a.c"), ("filter_o.a.c", "2")], document));
        // places of lists, also where several paths lead to one
        assert!(passes(&[("filter_o.l.2.1", "2"), ("filter_o.l.02.1", "2"), ("filter_o.l.1", "\u{1}")], document));
        assert!(passes(&[("has_value", "o.l"), ("has_value", "o.l.1"), ("key_missing", "o.l.3")], document));
    }

    #[test]
    fn the_same_condition_many_times_is_one() {
        let same = [("has_key", Some("x")); 200];
        assert!(Filter::of_query(same, 1).is_ok());
        let other = [("has_key", Some("x")), ("has_key", Some("y"))];
        assert_eq!(Filter::of_query(other, 1), Err(TooManyConditions));
    }

    #[test]
    fn a_path_deeper_than_json_is_nested_finds_nothing() {
        let path = "a.".repeat(5_000);
        for key in ["has_key", "key_missing"] {
            assert!(!passes(&[(key, &path)], "{}"));
        }
    }

    #[test]
    fn texts_are_as_long_as_they_are() {
        for (value, text) in
            [(r#"["a","bc"]"#, "abc"), (r#"{"a":"\u0041\n"}"#, r#"{"a":"A\n"}"#), (r#""\u00e9""#, "é"), ("[1.0]", "")]
        {
            let document = format!("{{\"k\":{value}}}");
            assert!(passes(&[("filter_k", text)], &document), "{value}");
        }
        // what has no text is as if it were empty, however long it is before that is seen
        assert!(passes(&[("filter_k", "")], r#"{"k":["abc",{}]}"#));
    }
}
