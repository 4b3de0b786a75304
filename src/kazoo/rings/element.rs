//! A callflow's element that rings, and the members that it and groups have.

use std::str::FromStr;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::document::{Document, json};

use super::super::erlang::{as_text, integer_of, is_empty, is_true};
use super::super::group;
use super::super::javascript::property;

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

/// How long a member of a ring group rings that does not say it, where that is asked for.
pub(super) const TIMEOUT: i64 = 20;

/// A callflow's element: a module, and the data that it is given.
#[derive(Debug, Clone)]
pub struct Element {
    /// The module that the flow names.
    pub module: Module,
    /// What it is given.
    pub data: Arc<Document>,
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
        Self { module, data: Arc::new(data) }
    }

    /// Reads an element as callflows have it (`{"module", "data"}`), or its data alone. Data alone say whose they are: a
    /// `group` has an id and no endpoints, a `ring_group` a strategy (crossbar writes the default), a `page_group` neither.
    ///
    /// Errors: the element is of another module.
    pub fn read(document: Document, module: Option<Module>) -> Result<Self, NoElement> {
        let whole = document.get("data").and_then(Document::from_raw).zip(document.text("module"));
        if let Some((data, named)) = whole {
            return Ok(Self { module: module.map_or_else(|| named.parse(), Ok)?, data: Arc::new(data) });
        }
        let module = module.unwrap_or_else(|| match document.get("endpoints").is_some() {
            false if document.contains("id") => Module::Group,
            _ if document.contains("strategy") => Module::RingGroup,
            _ => Module::PageGroup,
        });
        Ok(Self { module, data: Arc::new(document) })
    }

    /// The module that rings: a `group` that has endpoints of its own is rung by `cf_ring_group`.
    pub fn rung_by(&self) -> Module {
        match self.module {
            Module::Group if !self.items().is_empty() => Module::RingGroup,
            module => module,
        }
    }

    /// The items of `endpoints`; none where it is no list.
    pub fn items(&self) -> Vec<&RawValue> {
        self.data.get("endpoints").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The group that a `group` rings.
    pub(super) fn group(&self) -> Option<String> {
        self.data.get("id").and_then(written).filter(|id| !id.is_empty())
    }

    /// How a ring group rings, at once where nothing is said. None: Kazoo knows no such strategy.
    pub fn strategy(&self) -> Option<Strategy> {
        match self.data.get("strategy").and_then(written) {
            None => Some(Strategy::Simultaneous),
            Some(name) => name.parse().ok(),
        }
    }
}

/// A value as `kz_json:get_binary_value/2` has it; None where it counts as missing.
pub(super) fn written(raw: &RawValue) -> Option<String> {
    match raw.get() {
        object if object.starts_with('{') => Some(object.to_owned()),
        value => as_text(value),
    }
}

/// What a member says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Device,
    User,
    Group,
    /// `true`, which a page group takes for having met the member.
    Met,
    /// Something else, at which Kazoo crashes.
    Odd,
}

impl Kind {
    /// By a member's type; None if it has none. A ring group reads texts (`kz_json:get_ne_binary_value/2`), the others values.
    fn of(raw: Option<&RawValue>, module: Module) -> Option<Self> {
        let raw = raw?;
        let name = match module {
            Module::RingGroup => written(raw).filter(|name| !name.is_empty())?,
            Module::PageGroup if raw.get() == "true" => return Some(Self::Met),
            Module::PageGroup | Module::Group => json::text(raw).unwrap_or_default(),
        };
        Some(match name.as_str() {
            "device" => Self::Device,
            group::USER => Self::User,
            group::TYPE => Self::Group,
            _ => Self::Odd,
        })
    }
}

/// Whom a member names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Id {
    /// Nobody: Kazoo passes over it.
    None,
    /// The document of this id.
    Of(String),
    /// What is no text, and no document's id.
    Odd,
}

impl Id {
    fn of_text(id: String) -> Self {
        if is_empty(&json::encode(&id)) { Self::None } else { Self::Of(id) }
    }

    /// `kz_doc:id/1`: the first of the keys under which documents and rows of views have it.
    fn of(item: &Document) -> Self {
        let within = |outer: &str, key: &str| property(item.get(outer)?, key);
        let first = ["_id", "id", "ID"].into_iter().find_map(|key| item.get(key));
        let id = first.or_else(|| within("value", "id")).or_else(|| within("doc", "_id"));
        match id.map(|raw| (json::text(raw), is_empty(raw.get()))) {
            None | Some((_, true)) => Self::None,
            Some((Some(id), _)) => Self::Of(id),
            Some((None, _)) => Self::Odd,
        }
    }

    /// The document's id; empty where there is none.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Of(id) => id,
            Self::None | Self::Odd => "",
        }
    }
}

/// A member of an element or, with what it has of the element's, of a group.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: Id,
    /// Whether the id is one that a group's members have of the item (`_id` comes before the `id` that each is given).
    has_private_id: bool,
    pub(super) kind: Kind,
    pub(super) delay: Option<i64>,
    pub(super) timeout: Option<i64>,
    pub(super) can_call_self: bool,
}

impl Member {
    /// Of an element's item.
    pub(super) fn of_item(item: &Document, module: Module) -> Self {
        let number = |key: &str| item.get(key).and_then(integer_of);
        Self {
            id: Id::of(item),
            has_private_id: item.contains("_id"),
            kind: Kind::of(item.get("endpoint_type"), module).unwrap_or(Kind::Device),
            delay: number("delay"),
            timeout: number("timeout"),
            can_call_self: can_call_self(item),
        }
    }

    /// A member of the group that this member is: it has the enclosing member's delay and timeout, unless it has its own, and
    /// its type too: one without a type is taken for a group. A page group takes null for nothing, not for the enclosing
    /// member's. None where Kazoo crashes.
    pub(super) fn within(&self, entry: &Entry, module: Module) -> Option<Self> {
        let value = entry.value.as_ref()?;
        let of = |key: &str, outer: Option<i64>, default: i64| match (value.get(key), module) {
            (own, Module::RingGroup) => own.and_then(integer_of).or(outer).or(Some(default)),
            (Some(own), _) => integer_of(own),
            (None, _) => outer,
        };
        Some(Self {
            id: if self.has_private_id { self.id.clone() } else { entry.id.clone() },
            kind: entry.kind(module).unwrap_or(self.kind),
            delay: of("delay", self.delay, 0),
            timeout: of("timeout", self.timeout, TIMEOUT),
            ..self.clone()
        })
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
    pub(super) id: Id,
    /// Its value; None where it is one at which Kazoo crashes.
    pub(super) value: Option<Document>,
}

impl Entry {
    /// Those of a group's document, in its order. Where its endpoints are no object there are none, but to a page group, which
    /// takes a list's places for ids. None where Kazoo crashes.
    pub(super) fn all(document: &Document, module: Module) -> Option<Vec<Self>> {
        let Some(endpoints) = document.get("endpoints") else { return Some(Vec::new()) };
        if let Some(members) = Document::from_raw(endpoints) {
            let entry = |(id, raw): (String, Box<RawValue>)| {
                // a list has none of these keys, and an empty one is an object to what sets some, as `cf_group` does
                let is_list = raw.get().starts_with('[') && (module != Module::Group || is_empty(raw.get()));
                Self {
                    id: Id::of_text(id),
                    value: if is_list { Some(Document::new()) } else { Document::from_raw(&raw) },
                }
            };
            return Some(members.into_iter().map(entry).collect());
        }
        if module != Module::PageGroup || is_empty(endpoints.get()) {
            return Some(Vec::new());
        }
        let items: Vec<&RawValue> = serde_json::from_str(endpoints.get()).ok()?;
        let entry = |item| Self { id: Id::Odd, value: Some(Document::from_raw(item).unwrap_or_default()) };
        Some(items.into_iter().map(entry).collect())
    }

    pub(super) fn kind(&self, module: Module) -> Option<Kind> {
        let kind = self.value.as_ref()?.get("type");
        match module {
            // it sets what a member has, and null takes away
            Module::PageGroup if kind.is_some_and(|raw| raw.get() == "null") => Some(Kind::Device),
            _ => Kind::of(kind, module),
        }
    }
}
