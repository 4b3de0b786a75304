//! Which documents are wanted to say what an element rings, or many. Each answer may name more, level by level; in which order they
//! come, and how many at a time, makes no difference.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::document::Document;
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::{DELETED, title};
use crate::kazoo::javascript::{properties, property};

use super::element::{Element, Entry, Kind, Member, Module, said};

/// What is known of the documents that elements reach.
#[derive(Debug)]
pub struct Reading {
    elements: Arc<[Element]>,
    account: AccountId,
    documents: HashMap<String, Option<Arc<Document>>>,
    owned: HashMap<String, BTreeSet<String>>,
    /// As what each id was reached.
    reached: HashSet<(Role, String)>,
    wanted: Wanted,
    /// How many bytes the documents have.
    bytes: usize,
}

/// What is to be read next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// These documents.
    pub documents: BTreeSet<String>,
    /// The devices of these users, as `attributes/owned` has them.
    pub owned: BTreeSet<String>,
}

impl Wanted {
    /// Whether all is known.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.owned.is_empty()
    }
}

/// As what a document counts: a group leads to its members, a device to its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Group,
    /// One that `cf_group` rings: groups in it are passed over.
    Alone,
    Device,
    Other,
}

impl Reading {
    /// What an element of an account's callflow needs first.
    pub fn of(element: Element, account: AccountId) -> Self {
        Self::of_all(vec![element], account)
    }

    /// The same of many elements.
    pub fn of_all(elements: Vec<Element>, account: AccountId) -> Self {
        let elements: Arc<[Element]> = elements.into();
        let mut reading = Self {
            elements: Arc::clone(&elements),
            account,
            documents: HashMap::new(),
            owned: HashMap::new(),
            reached: HashSet::new(),
            wanted: Wanted::default(),
            bytes: 0,
        };
        reading.reach(Role::Other, account.as_str());
        for element in elements.iter() {
            match element.rung_by() {
                Module::Group => reading.reach(Role::Alone, &element.group().unwrap_or_default()),
                module => {
                    for item in element.items().into_iter().filter_map(Document::from_raw) {
                        let member = Member::of_item(&item, module);
                        reading.reach_member(Role::Group, member.id.as_str(), Some(member.kind));
                    }
                }
            }
        }
        reading
    }

    /// The elements whose documents are wanted.
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// What is to be read before more can be said; nothing once all is known.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Takes a document that was read; None if it is not there.
    pub fn document(&mut self, id: &str, document: Option<Arc<Document>>) {
        self.wanted.documents.remove(id);
        self.bytes += document.as_deref().map_or(0, Document::bytes);
        self.documents.insert(id.to_owned(), document);
        for role in [Role::Group, Role::Alone, Role::Device] {
            if self.reached.contains(&(role, id.to_owned())) {
                self.expand(role, id);
            }
        }
    }

    /// Takes the devices of a user.
    pub fn devices(&mut self, user: &str, devices: impl IntoIterator<Item = Arc<Document>>) {
        self.wanted.owned.remove(user);
        let mut ids = BTreeSet::new();
        for (id, document) in devices.into_iter().filter_map(|device| Some((device.id()?, device))) {
            if !self.documents.contains_key(&id) {
                self.document(&id, Some(document));
            }
            self.reach(Role::Device, &id);
            ids.insert(id);
        }
        self.owned.insert(user.to_owned(), ids);
    }

    /// Takes what was wanted: the documents that are there or, once none are wanted any longer, the devices by user.
    pub fn take(&mut self, documents: Vec<Arc<Document>>, devices: Vec<(String, Arc<Document>)>) {
        let ids = std::mem::take(&mut self.wanted.documents);
        let users = if ids.is_empty() { std::mem::take(&mut self.wanted.owned) } else { BTreeSet::new() };
        let mut found: HashMap<String, Arc<Document>> =
            documents.into_iter().filter_map(|document| Some((document.id()?, document))).collect();
        for id in ids {
            let document = found.remove(&id);
            self.document(&id, document);
        }
        let mut of: HashMap<String, Vec<Arc<Document>>> = HashMap::new();
        for (user, device) in devices {
            of.entry(user).or_default().push(device);
        }
        for user in users {
            let devices = of.remove(&user).unwrap_or_default();
            self.devices(&user, devices);
        }
    }

    /// How many documents are known.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// How many bytes the known documents have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no document is known.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// A document that is there and not deleted: none other is to Kazoo.
    pub(super) fn live(&self, id: &str) -> Option<&Document> {
        self.documents.get(id)?.as_deref().filter(|document| is_there(document))
    }

    /// The account's own document.
    pub(super) fn account(&self) -> Option<&Document> {
        self.live(self.account.as_str())
    }

    /// The devices of a user, in the order of their ids.
    pub(super) fn owned(&self, user: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.owned.get(user).into_iter().flatten().map(String::as_str)
    }

    /// What people call a document that was read, if it has a name.
    pub fn name(&self, id: &str) -> Option<String> {
        title(self.documents.get(id)?.as_deref()?)
    }

    /// Reaches a member of a group that counts as `within`.
    fn reach_member(&mut self, within: Role, id: &str, kind: Option<Kind>) {
        let by_group = within == Role::Alone;
        match kind {
            Some(Kind::Device) => self.reach(Role::Device, id),
            Some(Kind::User) => self.want_devices(id),
            Some(Kind::Group) if !by_group => self.reach(Role::Group, id),
            // `cf_group` takes it for a device, and then for a user
            None if by_group => {
                self.reach(Role::Device, id);
                self.want_devices(id);
            }
            None => self.reach(Role::Group, id),
            Some(Kind::Group | Kind::Met | Kind::Odd) => {}
        }
    }

    fn want_devices(&mut self, user: &str) {
        if !user.is_empty() && !self.owned.contains_key(user) {
            self.wanted.owned.insert(user.to_owned());
        }
        // Kazoo does not look at it; here it has a name
        self.reach(Role::Other, user);
    }

    fn reach(&mut self, role: Role, id: &str) {
        if id.is_empty() || !self.reached.insert((role, id.to_owned())) {
            return;
        }
        match self.documents.contains_key(id) {
            true => self.expand(role, id),
            false => drop(self.wanted.documents.insert(id.to_owned())),
        }
    }

    fn expand(&mut self, role: Role, id: &str) {
        let Some(document) = self.documents.get(id).cloned().flatten().filter(|document| is_there(document)) else {
            return;
        };
        match role {
            Role::Group | Role::Alone => {
                // by which module a group is rung is not known here: some are read that only one of them needs
                let (first, others): (_, &[Module]) = match role {
                    Role::Alone => (Module::Group, &[]),
                    _ => (Module::RingGroup, &[Module::PageGroup]),
                };
                for entry in Entry::all(&document, first).unwrap_or_default() {
                    for module in [first].iter().chain(others) {
                        self.reach_member(role, entry.id.as_str(), entry.kind(*module));
                    }
                }
            }
            Role::Device => {
                for owner in [sole_hotdesk_user(&document), document.text("owner_id")].into_iter().flatten() {
                    self.reach(Role::Other, &owner);
                }
            }
            Role::Other => {}
        }
    }
}

/// The users whose device a document is, as `attributes/owned` has it: who is signed in at it or, where nobody is, its owner.
pub fn owners(device: &Document) -> Vec<String> {
    let users = hotdesk_users(device);
    if users.is_empty() { device.text("owner_id").filter(|id| !id.is_empty()).into_iter().collect() } else { users }
}

/// Whether Kazoo opens a document (`kz_doc:is_soft_deleted/1`, which takes a text too).
fn is_there(document: &Document) -> bool {
    !document.get(DELETED).is_some_and(said)
}

/// The users who are signed in at a device.
pub(super) fn hotdesk_users(device: &Document) -> Vec<String> {
    let users = device.get("hotdesk").and_then(|hotdesk| property(hotdesk, "users"));
    users.map(properties).unwrap_or_default().into_iter().map(|(id, _)| id.into_owned()).collect()
}

/// The one user who is signed in at a device.
pub(super) fn sole_hotdesk_user(device: &Document) -> Option<String> {
    let mut users = hotdesk_users(device);
    users.pop().filter(|_| users.is_empty())
}
