//! What is wrong with what rings: an account's groups and callflows, and what they name. All of it is pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::document::Document;
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::{CALLFLOW, TYPE, is_deleted, is_of_type, title};
use crate::kazoo::erlang::integer_of;
use crate::kazoo::group::{self, Says, members};
use crate::kazoo::rings::{Call, Element, Failure, Module, Reading, Strategy, owners, rings_of};
use crate::kazoo::used;

use super::fault::{Affected, Kind, Target};
use super::{is_group, is_named_type};

/// What of an account rings, or names what does.
pub(super) struct Account {
    id: AccountId,
    /// The account's own, its groups, users and devices, and what else is named.
    documents: HashMap<String, Arc<Document>>,
    callflows: Vec<Document>,
    bytes: usize,
}

/// A callflow's element that names groups.
struct Naming<'a> {
    callflow: &'a Document,
    element: Arc<used::Element>,
    groups: Vec<String>,
    /// The module that rings them; None where none does.
    module: Option<Module>,
    /// How a ring group rings them.
    strategy: Option<Strategy>,
}

impl Account {
    pub(super) fn new(id: AccountId) -> Self {
        Self { id, documents: HashMap::new(), callflows: Vec::new(), bytes: 0 }
    }

    /// Takes a document, if it counts.
    pub(super) fn take(&mut self, document: Document) {
        let is_named = document.text(TYPE).is_some_and(|of| is_named_type(&of) || of == "account");
        let is_callflow = is_of_type(&document, CALLFLOW) && !is_deleted(&document);
        let Some(id) = document.id().filter(|_| is_named || is_callflow) else { return };
        self.bytes += document.bytes();
        match is_callflow {
            true => self.callflows.push(document),
            false => drop(self.documents.insert(id, Arc::new(document))),
        }
    }

    /// Takes a document that is named, whatever it is.
    pub(super) fn take_named(&mut self, document: Arc<Document>) {
        self.bytes += document.bytes();
        self.documents.extend(document.id().map(|id| (id, document)));
    }

    /// How much there is to be looked at.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The ids of its groups, users and devices.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        let live = self.documents.iter().filter(|(_, document)| !is_deleted(document));
        live.map(|(id, _)| id.as_str()).filter(|id| *id != self.id.as_str())
    }

    /// What its groups and callflows name that is not there, as far as is known.
    pub(super) fn unknown(&self) -> BTreeSet<String> {
        let of_groups = self.groups().flat_map(|(_, group)| members(group)).map(|member| member.id);
        let of_callflows = self.naming().into_iter().flat_map(|naming| naming.groups);
        of_groups.chain(of_callflows).filter(|id| self.live(id).is_none()).collect()
    }

    /// What is wrong, each with the document and the callflows that are affected.
    pub(super) fn faults(&self) -> Vec<(String, Kind, Vec<Affected>)> {
        let naming = self.naming();
        let inner: Inner<'_> = self.groups().map(|(id, group)| (id, self.inner(group))).collect();
        let ringing = naming.iter().filter(|naming| naming.module.is_some());
        let (mut by_any, mut by_single): (Reached, Reached) = (Reached::default(), Reached::default());
        for naming in ringing {
            for group in reached(&inner, &naming.groups) {
                by_any.entry(group.clone()).or_default().insert(affected(naming.callflow));
                if naming.strategy == Some(Strategy::Single) {
                    by_single.entry(group).or_default().insert(affected(naming.callflow));
                }
            }
        }
        let of = |reached: &Reached, id: &str| reached.get(id).into_iter().flatten().cloned().collect::<Vec<_>>();
        let mut faults = Vec::new();
        for (id, group) in self.groups() {
            let kinds = self.of_members(group).into_iter().chain(circle(&inner, id));
            faults.extend(kinds.map(|kind| (id.to_owned(), kind, of(&by_any, id))));
            if by_single.contains_key(id) {
                faults.extend(of_weights(group).into_iter().map(|kind| (id.to_owned(), kind, of(&by_single, id))));
            }
        }
        // what no callflow rings may be about to be made
        for (id, members) in self.silent(|id| by_any.contains_key(id)) {
            let affected = of(&by_any, &id);
            faults.push((id, Kind::RingsNobody { members }, affected));
        }
        for naming in &naming {
            let id = naming.callflow.id().unwrap_or_default();
            faults.extend(self.of_element(naming).map(|kind| (id.clone(), kind, vec![affected(naming.callflow)])));
        }
        faults
    }

    fn live(&self, id: &str) -> Option<&Arc<Document>> {
        self.documents.get(id).filter(|document| !is_deleted(document))
    }

    fn groups(&self) -> impl Iterator<Item = (&str, &Arc<Document>)> {
        self.documents.iter().filter(|(_, document)| is_group(document)).map(|(id, group)| (id.as_str(), group))
    }

    /// What became of a document; None if it is there.
    fn lost(&self, id: &str) -> Option<Target> {
        match self.documents.get(id) {
            None => Some(Target::Missing),
            Some(document) => is_deleted(document).then_some(Target::Deleted),
        }
    }

    /// The elements that name groups, or ring at random.
    fn naming(&self) -> Vec<Naming<'_>> {
        let of =
            |callflow| used::elements(callflow).into_iter().filter_map(move |element| Naming::of(callflow, element));
        self.callflows.iter().flat_map(of).collect()
    }

    /// What is wrong with a group's members.
    fn of_members(&self, group: &Document) -> Vec<Kind> {
        let kind = |member: group::Member| {
            let is = self.live(&member.id).and_then(|document| document.text(TYPE));
            let endpoint = member.id.clone();
            match member.says() {
                Says::Known(names) => {
                    let target = self.lost(&endpoint)?;
                    Some(Kind::DanglingEndpoint { endpoint, names, target, account: None })
                }
                Says::Nothing if member.value.is_none() => Some(Kind::NotAnObject { endpoint, is }),
                Says::Nothing => Some(Kind::NoType { endpoint, is }),
                Says::Odd(says) => Some(Kind::OddType { endpoint, says, is }),
            }
        };
        members(group).filter_map(kind).collect()
    }

    /// The groups that a group has as members: by type, or without one.
    fn inner(&self, group: &Document) -> Vec<String> {
        let may_be_group = |member: &group::Member| match member.says() {
            Says::Known(names) => names == group::TYPE,
            Says::Nothing => member.value.is_some() || member.is_list,
            Says::Odd(_) => false,
        };
        let inner = members(group).filter(may_be_group).map(|member| member.id);
        inner.filter(|id| self.live(id).is_some_and(|of| is_group(of))).collect()
    }

    /// Of some groups those that ring nobody when they ring, and how many members they have.
    fn silent(&self, is_asked: impl Fn(&str) -> bool) -> Vec<(String, usize)> {
        let groups: Vec<(&str, &Arc<Document>)> = self.groups().filter(|(id, _)| is_asked(id)).collect();
        let element = |(id, _): &(&str, _)| Element::of_group(id, Module::RingGroup, Strategy::Simultaneous);
        let mut reading = Reading::of_all(groups.iter().map(element).collect(), self.id);
        let mut owned: HashMap<String, Vec<Arc<Document>>> = HashMap::new();
        for device in self.documents.values().filter(|of| is_of_type(of, "device") && !is_deleted(of)) {
            for owner in owners(device) {
                owned.entry(owner).or_default().push(Arc::clone(device));
            }
        }
        while !reading.wanted().is_empty() {
            let wanted = reading.wanted().clone();
            for id in &wanted.documents {
                reading.document(id, self.documents.get(id).cloned());
            }
            for user in &wanted.owned {
                reading.devices(user, owned.get(user).into_iter().flatten().cloned());
            }
        }
        let is_silent = |element: &Element| {
            // what is too large to be told rings somebody
            let rings = rings_of(&reading, element, &Call::default());
            rings.is_ok_and(|rings| rings.failure == Some(Failure::Nobody))
        };
        let silent = groups.iter().zip(reading.elements()).filter(|(_, element)| is_silent(element));
        silent.map(|((id, group), _)| ((*id).to_owned(), members(group).count())).collect()
    }

    /// What is wrong with an element.
    fn of_element(&self, naming: &Naming<'_>) -> impl Iterator<Item = Kind> {
        let used::Element { module, children, .. } = naming.element.as_ref();
        let module = module.clone().unwrap_or_default();
        let random = (naming.strategy == Some(Strategy::WeightedRandom))
            .then(|| Kind::WeightedRandom { children: children.clone() });
        let lost = naming.groups.iter().filter_map(move |group| {
            let (group, target) = (group.clone(), self.lost(group)?);
            Some(Kind::NamesNoGroup { group, module: module.clone(), children: children.clone(), target })
        });
        random.into_iter().chain(lost)
    }
}

/// The groups that are members of each group.
type Inner<'a> = HashMap<&'a str, Vec<String>>;

/// The callflows by which groups are reached.
type Reached = BTreeMap<String, BTreeSet<Affected>>;

impl<'a> Naming<'a> {
    fn of(callflow: &'a Document, element: Arc<used::Element>) -> Option<Self> {
        let (name, data) = (element.module.as_deref()?, element.data.as_ref()?);
        let ringing = name.parse().ok().map(|module| Element { module, data: Arc::clone(data) });
        let module = ringing.as_ref().map(Element::rung_by);
        let texts = |keys: &[&str]| keys.iter().filter_map(|key| data.text(key)).filter(|id| !id.is_empty()).collect();
        let groups: Vec<String> = match (&ringing, module) {
            (_, Some(Module::Group)) => texts(&["id"]),
            (Some(element), _) => {
                let items = element.items().into_iter().filter_map(Document::from_raw);
                let groups = items.filter(|item| item.text("endpoint_type").as_deref() == Some(group::TYPE));
                groups.filter_map(|item| item.text("id")).collect()
            }
            // `group_pickup`, `intercept`, `eavesdrop`
            (None, _) => texts(&["group_id", "approved_group_id"]),
        };
        let strategy = ringing.filter(|_| module == Some(Module::RingGroup)).and_then(|element| element.strategy());
        let says_something = module.is_some() || !groups.is_empty();
        says_something.then_some(Self { callflow, element, groups, module, strategy })
    }
}

fn affected(callflow: &Document) -> Affected {
    let numbers: Option<Vec<Box<RawValue>>> =
        callflow.get("numbers").and_then(|raw| serde_json::from_str(raw.get()).ok());
    let numbers = numbers.unwrap_or_default();
    Affected {
        id: callflow.id().unwrap_or_default(),
        name: title(callflow),
        numbers: numbers.iter().filter_map(|number| crate::document::json::text(number)).collect(),
    }
}

/// The groups themselves, and all that are in them.
fn reached(inner: &Inner<'_>, groups: &[String]) -> BTreeSet<String> {
    let mut reached: BTreeSet<String> = groups.iter().cloned().collect();
    let mut next: Vec<String> = groups.to_vec();
    while let Some(id) = next.pop() {
        let inner = inner.get(id.as_str()).into_iter().flatten();
        next.extend(inner.filter(|inner| reached.insert((*inner).clone())).cloned());
    }
    reached
}

/// The shortest way from a group back to itself.
fn circle(inner: &Inner<'_>, id: &str) -> Option<Kind> {
    let mut ways: VecDeque<Vec<&str>> = VecDeque::from([vec![id]]);
    let mut seen = HashSet::new();
    while let Some(way) = ways.pop_front() {
        for inner in inner.get(way.last()?).into_iter().flatten() {
            if inner == id {
                return Some(Kind::Circle { groups: way.into_iter().map(str::to_owned).collect() });
            }
            if seen.insert(inner.as_str()) {
                ways.push_back([way.as_slice(), &[inner]].concat());
            }
        }
    }
    None
}

/// What is wrong with a group's weights where it is rung by `single`.
fn of_weights(group: &Document) -> Vec<Kind> {
    let (mut without, mut by_weight): (Vec<String>, BTreeMap<i64, Vec<String>>) = Default::default();
    for member in members(group) {
        match member.value.as_ref().and_then(|value| value.get("weight")).and_then(integer_of) {
            None => without.push(member.id),
            Some(weight) => by_weight.entry(weight.clamp(1, 100)).or_default().push(member.id),
        }
    }
    let without = (!without.is_empty()).then_some(Kind::NoWeight { endpoints: without });
    let equal = by_weight.into_iter().filter(|(_, endpoints)| endpoints.len() > 1);
    without.into_iter().chain(equal.map(|(weight, endpoints)| Kind::EqualWeight { weight, endpoints })).collect()
}
