//! What would ring differently: the groups of an account that changes reach, each rung at once before and after.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::document::Document;
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::{is_deleted, is_of_type};
use crate::kazoo::group;
use crate::kazoo::rings::{Call, Element, Module, Reading, Ring, Rings, Strategy, rings};
use crate::kazoo::views::OWNED;

use super::changes::Change;
use super::known::Known;

/// How many groups of an account are compared.
const GROUPS: usize = 100;

/// How often is read at the most for one of them. What wants more is too large, as it is elsewhere.
const ROUNDS: usize = 100;

/// A group that rings others than before, or otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Differs {
    /// The group.
    id: String,
    /// What it is to be called.
    name: Option<String>,
    /// What rings now; None if it is not there, or is too large to be told.
    before: Option<Rings>,
    /// What would.
    after: Option<Rings>,
    /// The names of what rings.
    #[serde(skip)]
    names: HashMap<String, String>,
}

/// What would ring differently.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Compared {
    /// The groups that do.
    pub differ: Vec<Differs>,
    /// How many more may, which were not looked at.
    pub not_compared: usize,
}

/// Compares whom an account's groups ring before and after changes, those that are changed and those that they are members
/// of; at most 100 of them. `now` in gregorian seconds.
pub fn compare(known: &Known, changes: &[Change], now: i64) -> Compared {
    if changes.is_empty() {
        return Compared::default();
    }
    let before =
        Moment::of(known, known.documents().map(|(id, document)| (id.clone(), Arc::clone(document))).collect());
    let mut documents = before.documents.clone();
    documents.extend(changes.iter().map(|change| (change.id.to_string(), Arc::new(change.after.clone()))));
    let after = Moment { documents, owned: before.owned.clone(), account: before.account };
    let reached = reached(changes, [&before, &after]);
    let not_compared = reached.len().saturating_sub(GROUPS);
    let differ = reached.into_iter().take(GROUPS).filter_map(|id| {
        let (old, new) = (before.rings(&id, now), after.rings(&id, now));
        let all = [&old, &new].into_iter().flatten().flat_map(|rings| &rings.rings);
        let names =
            all.filter_map(|ring| Some((ring.id.clone(), known.called(&ring.id).into_iter().next()?))).collect();
        let name = after.documents.get(&id).and_then(|group| group.text("name"));
        (old != new).then_some(Differs { id, name, before: old, after: new, names })
    });
    Compared { differ: differ.collect(), not_compared }
}

/// The groups that are changed, and those that have them as members, by whatever way.
fn reached(changes: &[Change], moments: [&Moment; 2]) -> BTreeSet<String> {
    let mut holders: HashMap<String, Vec<&String>> = HashMap::new();
    for (id, document) in moments.iter().flat_map(|moment| &moment.documents) {
        if is_of_type(document, group::TYPE) {
            for (member, _) in group::endpoints(document) {
                holders.entry(member).or_default().push(id);
            }
        }
    }
    let mut reached = BTreeSet::new();
    let mut next: Vec<String> = changes.iter().map(|change| change.id.to_string()).collect();
    while let Some(id) = next.pop() {
        if !reached.contains(&id) {
            next.extend(holders.get(&id).into_iter().flatten().map(|holder| (*holder).clone()));
            reached.insert(id);
        }
    }
    reached
}

/// An account's documents at one moment.
struct Moment {
    documents: HashMap<String, Arc<Document>>,
    /// The devices of each user.
    owned: Arc<HashMap<String, Vec<Arc<Document>>>>,
    account: AccountId,
}

impl Moment {
    fn of(known: &Known, documents: HashMap<String, Arc<Document>>) -> Self {
        let mut owned: HashMap<String, Vec<Arc<Document>>> = HashMap::new();
        for document in documents.values() {
            (OWNED.view.map)(document, &mut |user, _| {
                owned.entry(user.to_owned()).or_default().push(Arc::clone(document));
            });
        }
        Self { documents, owned: Arc::new(owned), account: known.account }
    }

    /// Whom a group rings; None if it is not there, or too large to be told.
    fn rings(&self, id: &str, now: i64) -> Option<Rings> {
        self.documents.get(id).filter(|group| !is_deleted(group))?;
        let element = Element::of_group(id, Module::RingGroup, Strategy::Simultaneous);
        let mut reading = Reading::of(element, self.account);
        for _ in 0..ROUNDS {
            let wanted = reading.wanted().clone();
            if wanted.is_empty() {
                return rings(&reading, &Call { now, ..Call::default() }).ok();
            }
            let documents = wanted.documents.iter().filter_map(|id| self.documents.get(id).cloned()).collect();
            let devices = wanted.owned.iter().flat_map(|user| {
                let of_user = self.owned.get(user).into_iter().flatten();
                of_user.map(|device| (user.clone(), Arc::clone(device)))
            });
            reading.take(documents, devices.collect());
        }
        None
    }
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nobody = Vec::new();
        let of = |rings: &'_ Option<Rings>| rings.as_ref().map_or(nobody.clone(), |rings| rings.rings.clone());
        let (old, new) = (of(&self.before), of(&self.after));
        let mut said = Vec::new();
        let mut seen = HashSet::new();
        for ring in &new {
            let called = self.called(ring);
            if !seen.insert(&ring.id) {
                continue;
            }
            match old.iter().find(|other| other.id == ring.id) {
                None => said.push(format!("+ {called}{}", timed(ring))),
                Some(other) if (other.delay, other.timeout) != (ring.delay, ring.timeout) => {
                    said.push(format!("~ {called}{} instead of{}", timed(ring), or_at_once(other)));
                }
                Some(_) => {}
            }
        }
        let gone = old.iter().filter(|ring| new.iter().all(|other| other.id != ring.id));
        said.extend(gone.map(|ring| format!("- {}", self.called(ring))));
        let failure = |rings: &Option<Rings>| rings.as_ref().and_then(|rings| rings.failure);
        if failure(&self.before) != failure(&self.after) {
            said.push(failure(&self.after).map_or_else(|| "it rings again".to_owned(), |failure| failure.to_string()));
        }
        if said.is_empty() {
            said.push(if self.after.is_some() { "what is left out, or the order" } else { "nobody" }.to_owned());
        }
        writeln!(f, "    rings by {:?}: {}", self.name.as_deref().unwrap_or(&self.id), said.join("; "))
    }
}

impl Differs {
    fn called(&self, ring: &Ring) -> String {
        self.names.get(&ring.id).map_or_else(|| ring.id.clone(), |name| format!("{name} ({})", ring.id))
    }
}

fn timed(ring: &Ring) -> String {
    let delay = (ring.delay > 0).then(|| format!(" after {} s", ring.delay));
    let timeout = ring.timeout.map(|timeout| format!(" for {timeout} s"));
    [delay, timeout].into_iter().flatten().collect()
}

fn or_at_once(ring: &Ring) -> String {
    Some(timed(ring)).filter(|text| !text.is_empty()).unwrap_or_else(|| " at once".to_owned())
}
