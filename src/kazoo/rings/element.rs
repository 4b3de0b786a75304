//! A callflow's element that rings, and the members that it and groups have.

use std::str::FromStr;

use serde_json::value::RawValue;

use crate::document::{Document, json};

use super::super::erlang::{as_text, integer_of, is_empty, is_true};
use super::super::group;

/// Which of Kazoo's modules rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// `ring_group`
    RingGroup,
    /// `page_group`
    PageGroup,
    /// `group`
    Group,
}

/// It is none of the modules that ring groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a module that rings groups: ring_group, page_group or group")]
pub struct NoElement;

impl Module {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RingGroup, Self::PageGroup, Self::Group];

    /// What callflows call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RingGroup => "ring_group",
            Self::PageGroup => "page_group",
            Self::Group => "group",
        }
    }
}

impl FromStr for Module {
    type Err = NoElement;

    fn from_str(name: &str) -> Result<Self, NoElement> {
        Self::ALL.into_iter().find(|module| module.name() == name).ok_or(NoElement)
    }
}

/// In which order a ring group rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// All at once, but for their delays.
    Simultaneous,
    /// One after the other.
    Single,
    /// By chance: in Kazoo 4.3 nobody.
    WeightedRandom,
}

/// It is none of the strategies that Kazoo knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a strategy: simultaneous, single or weighted_random")]
pub struct NoStrategy;

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Simultaneous, Self::Single, Self::WeightedRandom];

    /// What elements call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simultaneous => "simultaneous",
            Self::Single => "single",
            Self::WeightedRandom => "weighted_random",
        }
    }
}

impl FromStr for Strategy {
    type Err = NoStrategy;

    fn from_str(name: &str) -> Result<Self, NoStrategy> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name).ok_or(NoStrategy)
    }
}

/// A callflow's element: a module, and the data that it is given.
#[derive(Debug, Clone)]
pub struct Element {
    pub(super) module: Module,
    pub(super) data: Document,
}

impl Element {
    /// One that rings a group as such. A strategy counts in a ring group alone.
    pub fn of_group(id: &str, module: Module, strategy: Strategy) -> Self {
        let mut data = Document::new();
        match module {
            Module::Group => data.set_text("id", id),
            Module::RingGroup | Module::PageGroup => {
                data.set("endpoints", json::raw(&[serde_json::json!({"endpoint_type": "group", "id": id})]));
                data.set_text("strategy", strategy.name());
            }
        }
        Self { module, data }
    }

    /// Reads an element as callflows have it (`{"module", "data"}`), or its data alone. Data alone say whose they are: a
    /// `group` has an id and no endpoints, a `ring_group` a strategy (crossbar writes the default), a `page_group` neither.
    ///
    /// Errors: the element is of another module.
    pub fn read(document: Document, module: Option<Module>) -> Result<Self, NoElement> {
        let whole = document.get("data").and_then(Document::from_raw).zip(document.text("module"));
        if let Some((data, named)) = whole {
            return Ok(Self { module: module.map_or_else(|| named.parse(), Ok)?, data });
        }
        let module = module.unwrap_or_else(|| match document.get("endpoints").is_some() {
            false if document.contains("id") => Module::Group,
            _ if document.contains("strategy") => Module::RingGroup,
            _ => Module::PageGroup,
        });
        Ok(Self { module, data: document })
    }

    /// The module that rings: a `group` that has endpoints of its own is rung by `cf_ring_group`.
    pub(super) fn rung_by(&self) -> Module {
        match self.module {
            Module::Group if !self.items().is_empty() => Module::RingGroup,
            module => module,
        }
    }

    /// The items of `endpoints`; none where it is no list.
    pub(super) fn items(&self) -> Vec<&RawValue> {
        self.data.get("endpoints").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// How a ring group rings, at once where nothing is said. None: Kazoo knows no such strategy.
    pub(super) fn strategy(&self) -> Option<Strategy> {
        match self.data.get("strategy") {
            None => Some(Strategy::Simultaneous),
            Some(raw) => as_text(raw.get())?.parse().ok(),
        }
    }
}

/// What a member says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Device,
    User,
    Group,
    /// Something else, at which Kazoo crashes.
    Odd,
}

impl Kind {
    /// By a member's type (`kz_json:get_ne_binary_value/2`); None if it has none.
    fn of(raw: Option<&RawValue>) -> Option<Self> {
        let Some(name) = as_text(raw.filter(|raw| !is_empty(raw.get()))?.get()) else { return Some(Self::Odd) };
        match name.as_str() {
            "" => None,
            "device" => Some(Self::Device),
            group::USER => Some(Self::User),
            group::TYPE => Some(Self::Group),
            _ => Some(Self::Odd),
        }
    }
}

/// A member of an element or, with what it has of the element's, of a group.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) delay: Option<i64>,
    pub(super) timeout: Option<i64>,
    pub(super) can_call_self: bool,
}

impl Member {
    /// Of an element's item; one that names nothing has an empty id.
    pub(super) fn of_item(item: &Document) -> Self {
        let number = |key: &str| item.get(key).and_then(integer_of);
        Self {
            id: item.text("id").filter(|id| !is_empty(&json::encode(id))).unwrap_or_default(),
            kind: Kind::of(item.get("endpoint_type")).unwrap_or(Kind::Device),
            delay: number("delay"),
            timeout: number("timeout"),
            can_call_self: can_call_self(item),
        }
    }
}

/// Whether a member rings devices of the user who calls.
pub(super) fn can_call_self(member: &Document) -> bool {
    member.get("can_call_self").is_some_and(said)
}

/// Whether a value is what Kazoo takes for true.
pub(super) fn said(raw: &RawValue) -> bool {
    json::tree(raw).is_ok_and(|value| is_true(&value))
}

/// A member of a group's document.
pub(super) struct Entry {
    pub(super) id: String,
    /// Its value; None where it is one at which Kazoo crashes.
    pub(super) value: Option<Document>,
}

impl Entry {
    /// Those of a group's document, in its order; none where its endpoints are no object.
    pub(super) fn all(document: &Document) -> Vec<Self> {
        let endpoints = document.get("endpoints").and_then(Document::from_raw).unwrap_or_default();
        let entry = |(id, raw): (String, Box<RawValue>)| {
            // a list is to Kazoo an object without keys
            let value = if raw.get().starts_with('[') { Some(Document::new()) } else { Document::from_raw(&raw) };
            Self { id, value }
        };
        endpoints.into_iter().map(entry).collect()
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        Kind::of(self.value.as_ref()?.get("type"))
    }
}
