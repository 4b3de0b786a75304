//! A client's changes merged into a document, as Kazoo's `kz_json:merge_left` does. Objects are made a tree, once, however
//! deep the changes lie; all else stays the text that it is.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use crate::document::Document;
use crate::document::cursor::Cursor;
use crate::document::json::{self, DEEPEST};

use super::documents::submitted;

/// JSON as far as merging looks into it.
#[derive(Debug)]
enum Node<'t> {
    Object(Fields<'t>),
    /// Anything else, and what is nested too deep to be walked.
    Other(&'t str),
}

type Fields<'t> = IndexMap<Cow<'t, str>, Node<'t>>;

/// The public fields of `existing` with a client's changes merged in: objects key by key at every depth, but an empty one
/// takes the place of what is there; everything else replaces. `null` removes a key, and no null is left in an object,
/// whoever put it there; lists stay as they are, and so does an object that takes the place of what was none.
pub fn merge(existing: &Document, changes: &Document) -> Document {
    let (existing, changes) = (submitted(existing.clone()), submitted(changes.clone()));
    let merged = merged(fields(&existing), fields(&changes));
    merged.into_iter().filter_map(|(key, node)| Some((key.into_owned(), node.to_raw()?))).collect()
}

fn fields(document: &Document) -> Fields<'_> {
    let mut fields = Fields::with_capacity(document.len());
    for (key, value) in document.iter() {
        fields.insert(Cow::Borrowed(key), Node::read(&mut Cursor::new(value.get()), 1));
    }
    fields
}

fn merged<'t>(existing: Fields<'t>, changes: Fields<'t>) -> Fields<'t> {
    let mut changes: IndexMap<Cow<'t, str>, Option<Node<'t>>> =
        changes.into_iter().map(|(key, change)| (key, Some(change))).collect();
    let mut target = Fields::with_capacity(existing.len());
    for (key, value) in existing {
        let node = match changes.get_mut(&key).and_then(Option::take) {
            Some(change) => value.changed(change),
            None => value.without_nulls(),
        };
        target.extend(node.map(|node| (key, node)));
    }
    let new = changes.into_iter().filter_map(|(key, change)| Some((key, change?.without_nulls()?)));
    target.extend(new);
    target
}

impl<'t> Node<'t> {
    fn read(cursor: &mut Cursor<'t>, depth: usize) -> Self {
        if cursor.peek() != Some(b'{') || depth > DEEPEST {
            return Self::Other(cursor.value());
        }
        cursor.token();
        let mut fields = Fields::new();
        while let Some(key) = cursor.key() {
            fields.insert(key, Self::read(cursor, depth + 1));
        }
        Self::Object(fields)
    }

    /// What a change makes of it; None if it takes it away.
    fn changed(self, change: Self) -> Option<Self> {
        match (self, change) {
            (Self::Object(existing), Self::Object(changes)) if !changes.is_empty() => {
                Some(Self::Object(merged(existing, changes)))
            }
            (_, Self::Other("null")) => None,
            (_, change) => Some(change),
        }
    }

    /// It without the nulls of its objects; None if it is one.
    fn without_nulls(self) -> Option<Self> {
        match self {
            Self::Object(fields) => Some(Self::Object(merged(fields, Fields::new()))),
            Self::Other("null") => None,
            other @ Self::Other(_) => Some(other),
        }
    }

    fn to_raw(&self) -> Option<Box<RawValue>> {
        let mut text = String::new();
        self.write(&mut text);
        RawValue::from_string(text).ok()
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Object(fields) => {
                text.push('{');
                for (at, (key, node)) in fields.iter().enumerate() {
                    if at > 0 {
                        text.push(',');
                    }
                    text.push_str(&json::encode(key));
                    text.push(':');
                    node.write(text);
                }
                text.push('}');
            }
            Self::Other(other) => text.push_str(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merge_texts(existing: &str, changes: &str) -> String {
        merge(&Document::parse(existing).unwrap(), &Document::parse(changes).unwrap()).to_json()
    }

    #[test]
    fn changes_are_merged_as_kazoo_merges_them() {
        for (existing, changes, merged) in [
            (r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"c":3,"d":4}}"#, r#"{"a":{"b":1,"c":3,"d":4}}"#),
            (r#"{"a":{"b":{"c":1}},"d":1}"#, r#"{"a":{"b":{"c":null}},"d":null}"#, r#"{"a":{"b":{}}}"#),
            // an empty object replaces
            (r#"{"endpoints":{"u":{}}}"#, r#"{"endpoints":{}}"#, r#"{"endpoints":{}}"#),
            // so do lists and scalars, and what was none
            (
                r#"{"a":[1,2],"b":{"c":1},"d":5}"#,
                r#"{"a":[null],"b":7,"d":{"e":1}}"#,
                r#"{"a":[null],"b":7,"d":{"e":1}}"#,
            ),
            // no null is left in an object
            (
                r#"{"a":null,"b":{"c":null,"d":[{"e":null}]}}"#,
                r#"{"f":{"g":null}}"#,
                r#"{"b":{"d":[{"e":null}]},"f":{}}"#,
            ),
            // but in the place of what was no object, one stays as it came
            (
                r#"{"t":"x","l":[1],"n":5,"z":null,"o":{"t":1}}"#,
                r#"{"t":{"a":null},"l":{"a":{"b":null}},"n":{"a":null,"b":1},"z":{"a":null},"o":{"t":{"a":null}}}"#,
                r#"{"t":{"a":null},"l":{"a":{"b":null}},"n":{"a":null,"b":1},"z":{"a":null},"o":{"t":{"a":null}}}"#,
            ),
            // private fields are nobody's to change, and the id is the document's name
            (r#"{"_id":"x","pvt_a":1,"n":1}"#, r#"{"_id":"y","id":"z","pvt_a":2,"n":2}"#, r#"{"n":2}"#),
            // numbers keep their digits
            (
                r#"{"n":1.10,"o":{"m":123456789012345678901234567890}}"#,
                r#"{"o":{"k":1e3}}"#,
                r#"{"n":1.10,"o":{"m":123456789012345678901234567890,"k":1e3}}"#,
            ),
        ] {
            assert_eq!(merge_texts(existing, changes), merged, "{existing} with {changes}");
        }
    }

    /// Objects of these values.
    fn object_of(value: BoxedStrategy<String>) -> BoxedStrategy<String> {
        let key = prop_oneof![Just("a"), Just("b"), Just("c")];
        let object = |fields: std::collections::BTreeMap<&str, String>| {
            let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{{{}}}", fields.join(","))
        };
        prop::collection::btree_map(key, value, 0..4).prop_map(object).boxed()
    }

    fn any_object() -> BoxedStrategy<String> {
        let scalars = ["null", "1", "\"x\"", "[null]"].map(str::to_owned).to_vec();
        object_of(prop::sample::select(scalars).prop_recursive(3, 20, 4, object_of).boxed())
    }

    proptest! {
        #[test]
        fn from_the_second_time_on_merging_the_same_changes_changes_nothing(
            existing in any_object(), changes in any_object()
        ) {
            // the first time, an object with nulls may have taken the place of what was none
            let twice = merge_texts(&merge_texts(&existing, &changes), &changes);
            prop_assert_eq!(merge_texts(&twice, &changes), twice);
        }

        #[test]
        fn merging_nothing_only_takes_nulls_away(existing in any_object()) {
            let once = merge_texts(&existing, "{}");
            prop_assert_eq!(merge_texts(&once, "{}"), once.clone());
            prop_assert!(!once.replace("[null]", "").contains("null"));
        }
    }

    #[test]
    fn what_lies_deep_is_merged_in_one_walk() {
        let nested = |inner: &str| format!("{}{inner}{}", r#"{"a":"#.repeat(500), "}".repeat(500));
        let existing = nested(&format!(r#"{{"l":[{}1],"n":null}}"#, "1,".repeat(500_000)));
        let started = std::time::Instant::now();
        let merged = merge_texts(&existing, &nested(r#"{"m":2}"#));
        assert!(merged.contains(r#"1],"m":2}"#));
        assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
    }

    #[test]
    fn many_fields_are_taken_away_in_one_walk() {
        let fields = |value: &str| {
            let fields: Vec<String> = (0..100_000).map(|number| format!("\"k{number}\":{value}")).collect();
            format!("{{{}}}", fields.join(","))
        };
        let started = std::time::Instant::now();
        assert_eq!(merge_texts(&fields("1"), &fields("null")), "{}");
        assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
    }
}
