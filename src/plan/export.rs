//! The plan of what is there. Applied to it, it changes nothing: what the plan can't say it does not name.

use crate::document::{Document, json};
use crate::kazoo::documents::submitted;

use super::accounts;
use super::file::{GROUP_KEYS, MemberKind};
use super::known::Known;
use super::node::{Content, Node};
use super::problem::Found;

/// A plan's file, in one of the two ways in which it can be written, account by account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nested lists of keys and values, with what people call an account beside its id.
    Yaml,
    /// One JSON object, a line an account.
    Json,
}

impl Form {
    /// What stands before the first account.
    pub fn head(self) -> &'static str {
        match self {
            Self::Yaml => "accounts:\n",
            Self::Json => "{\"accounts\":[",
        }
    }

    /// An account; `is_first` if none stands before it.
    pub fn account(self, account: &accounts::Known, known: &Known, is_first: bool) -> String {
        let node = self::account(known);
        match self {
            Self::Yaml => {
                let mut text = format!("  # {}\n", json::encode(&account.label()));
                block(&mut text, &Node::list(vec![node]), 1, false);
                text
            }
            Self::Json => format!("{}\n{}", if is_first { "" } else { "," }, node.to_raw()),
        }
    }

    /// What stands after the last account; `is_empty` if there was none.
    pub fn tail(self, is_empty: bool) -> &'static str {
        match self {
            Self::Yaml if is_empty => "  []\n",
            Self::Yaml => "",
            Self::Json => "\n]}\n",
        }
    }
}

/// The plan of an account as it is.
pub fn account(known: &Known) -> Node {
    let groups = known.groups().into_iter().map(|document| group(document, known)).collect();
    Node::map(vec![
        ("account".to_owned(), Node::text(known.account.as_str())),
        ("groups".to_owned(), Node::list(groups)),
    ])
}

fn group(document: &Document, known: &Known) -> Node {
    let mut fields = vec![("id".to_owned(), Node::text(&document.id().unwrap_or_default()))];
    if let Some(name) = document.text("name") {
        fields.push(("name".to_owned(), Node::text(&name)));
    }
    if let Some(revision) = document.revision() {
        fields.push(("revision".to_owned(), Node::text(&revision.to_string())));
    }
    let endpoints = document.get("endpoints");
    let members = endpoints.and_then(Document::from_raw).and_then(|endpoints| members(&endpoints, known));
    let has_members = members.is_some();
    fields.extend(members.map(|members| ("members".to_owned(), members)));
    let is_told = |key: &str| key == "name" || GROUP_KEYS.contains(&key) || (key == "endpoints" && has_members);
    for (key, value) in submitted(document.clone()).into_iter().filter(|(key, _)| !is_told(key)) {
        // null would remove it
        if value.get() != "null" {
            fields.push((key, Node::value(value)));
        }
    }
    Node::map(fields)
}

/// The members that endpoints are; None where one is no object.
fn members(endpoints: &Document, known: &Known) -> Option<Node> {
    let members = endpoints.iter().map(|(id, raw)| {
        let endpoint = Document::from_raw(raw)?;
        let kind = endpoint.text("type").and_then(|key| MemberKind::of_key(&key));
        let kind = kind.filter(|kind| known.kind(id) == Some(*kind)).unwrap_or(MemberKind::Id);
        let is_found = |name: &String| known.find(kind, name) == Found::One(id.to_owned());
        let name = known.called(id).into_iter().find(|name| kind != MemberKind::Id && is_found(name));
        let mut fields = vec![(kind.key().to_owned(), Node::text(&name.unwrap_or_else(|| id.to_owned())))];
        let is_told = |key: &str| key == "type" || MemberKind::of_key(key).is_some();
        let is_said = |value: &str| value != "null";
        for (key, value) in submitted(endpoint).into_iter().filter(|(key, value)| !is_told(key) && is_said(value.get()))
        {
            fields.push((key, Node::value(value)));
        }
        Some(Node::map(fields))
    });
    members.collect::<Option<Vec<_>>>().map(Node::list)
}

/// Writes a list or fields as YAML, `depth` levels deep, the first line behind what stands before it or on its own.
fn block(text: &mut String, node: &Node, depth: usize, is_behind: bool) {
    match &node.content {
        Content::Value(raw) => {
            text.push_str(&printable(raw.get()));
            text.push('\n');
        }
        Content::List(items) => {
            for item in items {
                indent(text, depth);
                text.push_str("- ");
                block(text, item, depth + 1, true);
            }
        }
        Content::Map(fields) => {
            for (at, (key, value)) in fields.iter().enumerate() {
                if at > 0 || !is_behind {
                    indent(text, depth);
                }
                let is_plain = !matches!(key.as_str(), "null" | "true" | "false")
                    && key.starts_with(|c: char| c.is_ascii_lowercase())
                    && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
                text.push_str(&if is_plain { key.clone() } else { printable(&json::encode(key)) });
                text.push(':');
                let is_short = match &value.content {
                    Content::Value(_) => true,
                    Content::List(items) => items.is_empty(),
                    Content::Map(fields) => fields.is_empty(),
                };
                if is_short {
                    text.push(' ');
                    block(text, &Node::value(value.to_raw()), depth, true);
                } else {
                    text.push('\n');
                    block(text, value, depth + 1, false);
                }
            }
        }
    }
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// JSON as YAML takes it: what YAML does not take for printable is escaped. It stands in texts alone.
fn printable(json: &str) -> String {
    let is_odd =
        |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let escaped = |c: char| if is_odd(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    if json.contains(is_odd) { json.chars().map(escaped).collect() } else { json.to_owned() }
}
