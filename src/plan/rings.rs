//! What would ring differently: the groups of an account that changes reach, each rung at once before and after.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::document::Document;
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::{is_deleted, is_of_type};
use crate::kazoo::group;
use crate::kazoo::rings::{Call, Element, Failure, Module, Reading, Ring, Rings, Strategy, TooLarge, rings};
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
    /// What rings now; None if it is not there.
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
    /// How many more may, which were not looked at or are too large to be told.
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
    let mut compared = Compared { differ: Vec::new(), not_compared: reached.len().saturating_sub(GROUPS) };
    for id in reached.into_iter().take(GROUPS) {
        let (Ok(old), Ok(new)) = (before.rings(&id, now), after.rings(&id, now)) else {
            compared.not_compared += 1;
            continue;
        };
        if whom(old.as_ref()) != whom(new.as_ref()) {
            let all = [&old, &new].into_iter().flatten().flat_map(|rings| &rings.rings);
            let called = |ring: &Ring| Some((ring.id.clone(), known.called(&ring.id).into_iter().next()?));
            let names = all.filter_map(called).collect();
            let name = after.documents.get(&id).and_then(|group| group.text("name"));
            compared.differ.push(Differs { id, name, before: old, after: new, names });
        }
    }
    compared
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

    /// Whom a group rings; None if it is not there.
    ///
    /// Errors: it is too large to be told.
    fn rings(&self, id: &str, now: i64) -> Result<Option<Rings>, TooLarge> {
        if self.documents.get(id).is_none_or(|group| is_deleted(group)) {
            return Ok(None);
        }
        let element = Element::of_group(id, Module::RingGroup, Strategy::Simultaneous);
        let mut reading = Reading::of(element, self.account);
        for _ in 0..ROUNDS {
            let wanted = reading.wanted().clone();
            if wanted.is_empty() {
                return rings(&reading, &Call { now, ..Call::default() }).map(Some);
            }
            let documents = wanted.documents.iter().filter_map(|id| self.documents.get(id).cloned()).collect();
            let devices = wanted.owned.iter().flat_map(|user| {
                let of_user = self.owned.get(user).into_iter().flatten();
                of_user.map(|device| (user.clone(), Arc::clone(device)))
            });
            reading.take(documents, devices.collect());
        }
        Err(TooLarge)
    }
}

/// What rings and what goes wrong, which is what counts; a group that is not there rings nobody.
fn whom(rings: Option<&Rings>) -> (&[Ring], Option<Failure>) {
    rings.map_or((&[], Some(Failure::Nobody)), |rings| (&rings.rings, rings.failure))
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "    rings by {:?}: ", self.name.as_deref().unwrap_or(&self.id))?;
        let ((old, old_failure), (new, failure)) = (whom(self.before.as_ref()), whom(self.after.as_ref()));
        let mut seen = HashSet::new();
        let mut said = Vec::new();
        for id in new.iter().chain(old).map(|ring| &ring.id).filter(|id| seen.insert(*id)) {
            let called = self.names.get(id).map_or_else(|| id.clone(), |name| format!("{name} ({id})"));
            match (times(old, id), times(new, id)) {
                (None, Some(times)) => said.push(format!("+ {called} {times}")),
                (Some(_), None) => said.push(format!("- {called}")),
                (Some(old), Some(new)) if old != new => said.push(format!("~ {called} {new}, not {old}")),
                _ => {}
            }
        }
        if let Some(failure) = failure.filter(|failure| old_failure != Some(*failure)) {
            said.push(failure.to_string());
        }
        writeln!(f, "{}", if said.is_empty() { "the same in another order".to_owned() } else { said.join("; ") })
    }
}

/// When a device rings; None if it does not.
fn times(rings: &[Ring], id: &str) -> Option<String> {
    let times = rings.iter().filter(|ring| ring.id == id).map(|ring| {
        let delay = if ring.delay > 0 { format!("after {} s", ring.delay) } else { "at once".to_owned() };
        ring.timeout.map_or_else(|| delay.clone(), |timeout| format!("{delay} for {timeout} s"))
    });
    let times: Vec<String> = times.collect();
    (!times.is_empty()).then(|| times.join(" and "))
}
