//! What a change does, as it is told: field by field and member by member.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::document::Document;
use crate::kazoo::documents::{is_deleted, submitted};

use super::changes::Change;
use super::known::Known;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Action {
    Create,
    Change,
    Delete,
}

/// What is done with a group.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// What.
    pub action: Action,
    /// The group.
    pub id: String,
    /// As it is, or is to be, called.
    pub name: Option<String>,
    /// The revision that it has now.
    pub revision: Option<String>,
    /// What becomes of its fields.
    pub fields: Vec<Field>,
    /// What becomes of its members.
    pub members: Vec<Member>,
}

/// What becomes of a field; None where it is not there.
#[derive(Debug, Clone, Serialize)]
pub struct Field {
    #[serde(rename = "field")]
    key: String,
    from: Option<Box<RawValue>>,
    to: Option<Box<RawValue>>,
}

/// What becomes of a member.
#[derive(Debug, Clone, Serialize)]
pub struct Member {
    action: Action,
    id: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
    fields: Vec<Field>,
}

impl Change {
    /// What it does.
    pub fn action(&self) -> Action {
        match &self.before {
            None => Action::Create,
            Some(_) if is_deleted(&self.after) => Action::Delete,
            Some(_) => Action::Change,
        }
    }

    /// What it does, in words.
    pub fn told(&self, known: &Known) -> Told {
        let public = |document: &Document| submitted(document.clone());
        let before = self.before.as_deref().map(public).unwrap_or_default();
        let after = public(&self.after);
        let mut told = Told {
            action: self.action(),
            id: self.id.to_string(),
            name: after.text("name"),
            revision: self.after.revision().map(|revision| revision.to_string()),
            fields: Vec::new(),
            members: Vec::new(),
        };
        let endpoints = |document: &Document| match document.get("endpoints") {
            None => Some(Document::new()),
            Some(raw) => Document::from_raw(raw),
        };
        let members = endpoints(&before).zip(endpoints(&after));
        told.fields = fields(&before, &after);
        told.fields.retain(|field| !(field.key == "name" && told.action == Action::Create));
        if let Some((before, after)) = members {
            told.fields.retain(|field| field.key != "endpoints");
            told.members = self::members(&before, &after, known);
        }
        told
    }
}

/// The fields that differ, those of `after` first.
fn fields(before: &Document, after: &Document) -> Vec<Field> {
    let gone = before.iter().map(|(key, _)| key).filter(|key| !after.contains(key));
    let keys = after.iter().map(|(key, _)| key).chain(gone);
    keys.filter_map(|key| differs(key, before.get(key), after.get(key))).collect()
}

fn differs(field: &str, from: Option<&RawValue>, to: Option<&RawValue>) -> Option<Field> {
    let is_same = match (from, to) {
        (Some(from), Some(to)) => from.get() == to.get() || one(from).is_same_as(&one(to)),
        _ => false,
    };
    (!is_same).then(|| Field {
        key: field.to_owned(),
        from: from.map(ToOwned::to_owned),
        to: to.map(ToOwned::to_owned),
    })
}

/// A document of one value, by which it is compared.
fn one(raw: &RawValue) -> Document {
    [("value".to_owned(), raw.to_owned())].into_iter().collect()
}

fn members(before: &Document, after: &Document, known: &Known) -> Vec<Member> {
    let gone = before.iter().map(|(id, _)| id).filter(|id| !after.contains(id));
    let ids = after.iter().map(|(id, _)| id).chain(gone);
    let told = |id: &str| {
        let (from, to) = (before.get(id), after.get(id));
        let (old, new) = (from.and_then(Document::from_raw), to.and_then(Document::from_raw));
        let action = match (from, to) {
            (None, _) => Action::Create,
            (_, None) => Action::Delete,
            _ => Action::Change,
        };
        let kind = new.as_ref().or(old.as_ref()).and_then(|endpoint| endpoint.text("type"));
        let mut changed = match (from, to) {
            (Some(from), Some(to)) if old.is_none() || new.is_none() => {
                differs("endpoint", Some(from), Some(to)).into_iter().collect()
            }
            (_, None) => Vec::new(),
            _ => fields(&old.unwrap_or_default(), &new.unwrap_or_default()),
        };
        if action == Action::Create {
            changed.retain(|field| field.key != "type");
        }
        let name = known.called(id).into_iter().next();
        let is_told = action != Action::Change || !changed.is_empty();
        is_told.then(|| Member { action, id: id.to_owned(), kind, name, fields: changed })
    };
    ids.filter_map(told).collect()
}

impl Action {
    fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Change => '~',
            Self::Delete => '-',
        }
    }
}

impl Told {
    /// What is done, and with which group.
    pub fn in_short(&self) -> String {
        format!("{} {:?} ({})", self.action.sign(), self.name.as_deref().unwrap_or_default(), self.id)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.in_short())?;
        if self.action == Action::Delete {
            return Ok(());
        }
        self.fields.iter().try_for_each(|field| writeln!(f, "      {field}"))?;
        self.members.iter().try_for_each(|member| writeln!(f, "      {member}"))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<Box<RawValue>>| value.as_ref().map_or("none", |raw| raw.get()).to_owned();
        match self.from {
            None => write!(f, "{} {}", self.key, value(&self.to)),
            Some(_) => write!(f, "{} {} -> {}", self.key, value(&self.from), value(&self.to)),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action.sign(), self.kind.as_deref().unwrap_or("member"))?;
        match &self.name {
            Some(name) => write!(f, " {name} ({})", self.id)?,
            None => write!(f, " {}", self.id)?,
        }
        let fields: Vec<String> = self.fields.iter().map(ToString::to_string).collect();
        if fields.is_empty() { Ok(()) } else { write!(f, ": {}", fields.join(", ")) }
    }
}
