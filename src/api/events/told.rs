//! What a change of a document is to one who listens to a list, and how it is told.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::document::{Document, Object, Revision, json};
use crate::kazoo::documents::is_of_type;
use crate::kazoo::filter::Filter;
use crate::kazoo::kind::Kind;
use crate::store::{Changed, Sequence};

/// Which list somebody listens to.
pub struct Scope {
    /// What is listed.
    pub kind: &'static Kind,
    /// To which user it belongs, if it is a user's list.
    pub user: Option<String>,
    /// Which of it is wanted.
    pub filter: Filter,
}

impl Scope {
    /// The row that the list has of a document; None if it has none.
    fn row(&self, document: &Document) -> Option<Arc<RawValue>> {
        let view = if self.user.is_some() { self.kind.listing_by_user } else { self.kind.listing };
        let mut found = None;
        (view.map)(document, &mut |key, row| {
            if self.user.as_ref().is_none_or(|user| user == key) {
                found = Some(Arc::clone(row));
            }
        });
        found.filter(|_| self.filter.is_empty() || self.filter.accepts(document))
    }
}

/// What is told of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// It is in the list, and was not.
    Created,
    /// It is in the list, and was.
    Edited,
    /// It was in the list, and is not any longer.
    Deleted,
}

/// What somebody who listens knows of the list.
#[derive(Default)]
pub struct Shown {
    ids: HashSet<Arc<str>>,
    /// Whether the changes are of a time of which is not known what was shown then.
    pub is_past: bool,
}

impl Shown {
    /// A row was shown.
    pub fn add(&mut self, id: Arc<str>) {
        self.ids.insert(id);
    }

    /// How many rows are shown.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// What a change is told as; None if it is none of the list. From now on it is known.
    pub fn told(&mut self, scope: &Scope, changed: &Changed) -> Option<String> {
        let document = changed.document.as_deref();
        let row = document.and_then(|document| scope.row(document));
        let what = match &row {
            Some(_) if self.ids.insert(Arc::clone(&changed.id)) => What::Created,
            // it is among those that are shown now, and may have become so by this
            Some(_) if self.is_past && changed.revision.number() == 1 => What::Created,
            Some(_) => What::Edited,
            None if self.ids.remove(&changed.id) => What::Deleted,
            None if self.is_past && document.is_none_or(|of| is_of_type(of, scope.kind.pvt_type)) => What::Deleted,
            None => return None,
        };
        let name = match what {
            What::Created => "created",
            What::Edited => "edited",
            What::Deleted => "deleted",
        };
        let row = row.unwrap_or_else(|| Arc::from(json::raw(&serde_json::json!({ "id": *changed.id }))));
        Some(event(name, Some(&changed.sequence), &data(&row, Some(&changed.revision))))
    }
}

/// A row and its revision, as events have them.
pub fn data(row: &RawValue, revision: Option<&Revision>) -> String {
    let object = Object::with_capacity(row.get().len() + 80).raw("row", row);
    object.text_if("revision", revision.map(Revision::to_string).as_deref()).end()
}

/// An event. Its data have no line breaks: a row is JSON that may, though, between its tokens.
pub fn event(name: &str, id: Option<&Sequence>, data: &str) -> String {
    let mut event = String::with_capacity(data.len() + 300);
    if let Some(id) = id {
        // a text takes whatever is written into it
        let _ = writeln!(event, "id: {id}");
    }
    let _ = writeln!(event, "event: {name}");
    for line in data.split(['\n', '\r']) {
        let _ = writeln!(event, "data: {line}");
    }
    event.push('\n');
    event
}

#[cfg(test)]
mod tests {
    use crate::kazoo::kind::GROUPS;

    use super::*;

    fn changed(json: &str) -> Changed {
        let document = Document::parse(json).unwrap();
        let (id, revision) = (document.id().unwrap().into(), document.revision().unwrap());
        let document = Some(Arc::new(document)).filter(|document| !document.contains("_deleted"));
        Changed { sequence: Sequence::new("5-x"), id, revision, document }
    }

    fn scope(user: Option<&str>, filter: &str) -> Scope {
        let filter = filter.split_once('=').map(|(key, value)| (key, Some(value)));
        let filter = Filter::of_query(filter, 10).unwrap();
        Scope { kind: &GROUPS, user: user.map(str::to_owned), filter }
    }

    fn group(rest: &str) -> Changed {
        changed(&format!(r#"{{"_id":"g","_rev":"2-a","pvt_type":"group","name":"a"{rest}}}"#))
    }

    fn names(scope: &Scope, shown: &mut Shown, changes: &[Changed]) -> Vec<String> {
        let name = |told: String| told.lines().nth(1).unwrap().strip_prefix("event: ").unwrap().to_owned();
        changes.iter().map(|changed| shown.told(scope, changed).map_or_else(|| "-".to_owned(), name)).collect()
    }

    #[test]
    fn a_change_is_told_by_what_was_shown_before() {
        let mut shown = Shown::default();
        let all = scope(None, "");
        let changes = [
            group(""),
            group(r#","x":1"#),
            group(r#","pvt_deleted":true"#),
            group(r#","pvt_deleted":true"#),
            group(""),
            changed(r#"{"_id":"g","_rev":"3-a","_deleted":true}"#),
            changed(r#"{"_id":"u","_rev":"1-a","pvt_type":"user"}"#),
        ];
        assert_eq!(names(&all, &mut shown, &changes), ["created", "edited", "deleted", "-", "created", "deleted", "-"]);
        assert_eq!(shown.len(), 0);
    }

    #[test]
    fn a_filter_and_a_user_make_another_list() {
        let changes = [group(r#","x":1"#), group(r#","x":2"#), group(r#","x":2"#), group(r#","x":1"#)];
        let of_x = scope(None, "filter_x=2");
        assert_eq!(names(&of_x, &mut Shown::default(), &changes), ["-", "created", "edited", "deleted"]);
        let member = r#","endpoints":{"u":{"type":"user"}}"#;
        let changes = [group(""), group(member), group(member), group("")];
        let of_user = scope(Some("u"), "");
        assert_eq!(names(&of_user, &mut Shown::default(), &changes), ["-", "created", "edited", "deleted"]);
    }

    #[test]
    fn of_the_past_it_is_not_known_what_was_shown() {
        let mut shown = Shown { is_past: true, ..Shown::default() };
        shown.add("g".into());
        let first = changed(r#"{"_id":"g","_rev":"1-a","pvt_type":"group","name":"a"}"#);
        let gone = changed(r#"{"_id":"h","_rev":"9-a","pvt_type":"group","pvt_deleted":true}"#);
        let other = changed(r#"{"_id":"u","_rev":"9-a","pvt_type":"user"}"#);
        let all = scope(None, "");
        assert_eq!(names(&all, &mut shown, &[first, group(""), gone, other]), ["created", "edited", "deleted", "-"]);
    }

    #[test]
    fn what_is_told() {
        let told = Shown::default().told(&scope(None, ""), &group("")).unwrap();
        let row = r#"{"id":"g","name":"a","features":[],"endpoints":0,"flags":[]}"#;
        assert_eq!(told, format!("id: 5-x\nevent: created\ndata: {{\"row\":{row},\"revision\":\"2-a\"}}\n\n"));
        assert_eq!(event("live", None, "1\n2"), "event: live\ndata: 1\ndata: 2\n\n");
    }
}
