//! What is known of an account: its users, devices and groups, and by which names each of them is found.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::{TryStreamExt, pin_mut};

use crate::databases::{Error, documents};
use crate::document::{Document, json};
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::{CALLFLOW, is_deleted, is_of_type, person};
use crate::kazoo::group;
use crate::kazoo::javascript::property;
use crate::store::{Attachments, Server};

use super::file::MemberKind;
use super::problem::Found;

/// The types of what may be a member, and so is kept.
const MEMBERS: [MemberKind; 3] = [MemberKind::User, MemberKind::Device, MemberKind::Group];

/// An account's users, devices and groups.
#[derive(Debug)]
pub struct Known {
    /// The account.
    pub account: AccountId,
    /// Those documents and the account's own, also such as are deleted.
    documents: HashMap<String, Arc<Document>>,
    /// The users and devices that an extension rings, by the extension.
    extensions: HashMap<String, BTreeSet<String>>,
    /// What is there by its names.
    names: [HashMap<String, BTreeSet<String>>; 3],
}

impl Known {
    /// Reads an account's database, 200 documents in a request: the same in any store, whatever views are there.
    ///
    /// Errors: it is not there, or the store fails.
    pub async fn read(store: &dyn Server, account: AccountId) -> Result<Self, Error> {
        let database = account.database();
        let all = documents(store, &database, Attachments::Named);
        pin_mut!(all);
        let mut found = Vec::new();
        while let Some(document) = all.try_next().await? {
            if is_of_interest(account, &document) {
                found.push(document);
            }
        }
        Ok(Self::of(account, found))
    }

    /// What an account's documents say.
    pub fn of(account: AccountId, documents: impl IntoIterator<Item = Document>) -> Self {
        let mut known =
            Self { account, documents: HashMap::new(), extensions: HashMap::new(), names: Default::default() };
        for mut document in documents.into_iter().filter(|document| is_of_interest(account, document)) {
            if is_of_type(&document, CALLFLOW) {
                known.extensions_of(&document);
            } else if let Some(id) = document.id() {
                // how the store tells of revisions that lost; it is none of the document's
                document.remove("_conflicts");
                known.documents.insert(id, Arc::new(document));
            }
        }
        let named: Vec<_> = known.documents.values().cloned().collect();
        for document in named {
            known.name(&document);
        }
        known
    }

    /// A group that is there and not deleted.
    pub fn group(&self, id: &str) -> Option<&Arc<Document>> {
        self.documents.get(id).filter(|document| is_live(document, MemberKind::Group))
    }

    /// The groups that are there, by name and id.
    pub fn groups(&self) -> Vec<&Arc<Document>> {
        let mut groups: Vec<_> =
            self.documents.values().filter(|document| is_live(document, MemberKind::Group)).collect();
        groups.sort_by_cached_key(|group| (group.text("name"), group.id()));
        groups
    }

    /// A document, deleted or not.
    pub fn document(&self, id: &str) -> Option<&Arc<Document>> {
        self.documents.get(id)
    }

    /// All documents.
    pub fn documents(&self) -> impl Iterator<Item = (&String, &Arc<Document>)> {
        self.documents.iter()
    }

    /// What a live document may be as a member.
    pub fn kind(&self, id: &str) -> Option<MemberKind> {
        let document = self.documents.get(id)?;
        MEMBERS.into_iter().find(|kind| is_live(document, *kind))
    }

    /// The ids of the groups of a name.
    pub fn groups_named(&self, name: &str) -> Vec<&String> {
        self.named(MemberKind::Group, name).collect()
    }

    /// Whether this is the id of a deleted group, or was the name of one and is no other's.
    pub fn was_group(&self, name: &str) -> bool {
        let is_group = |document: &&Arc<Document>| is_of_type(document, group::TYPE);
        match self.documents.get(name).filter(is_group) {
            Some(group) => is_deleted(group),
            None => {
                let mut named = self
                    .documents
                    .values()
                    .filter(is_group)
                    .filter(|group| group.text("name").as_deref() == Some(name));
                named.clone().all(|group| is_deleted(group)) && named.next().is_some()
            }
        }
    }

    /// The id of the member of a kind that is called so: by id, else by name or extension.
    pub fn find(&self, kind: MemberKind, name: &str) -> Found<String> {
        if kind == MemberKind::Id {
            return match self.kind(name) {
                Some(_) => Found::One(name.to_owned()),
                None => Found::None(None),
            };
        }
        if self.kind(name) == Some(kind) {
            return Found::One(name.to_owned());
        }
        let mut ids: BTreeSet<&String> = self.named(kind, name).collect();
        if matches!(kind, MemberKind::User | MemberKind::Device) {
            ids.extend(self.extensions.get(name).into_iter().flatten().filter(|id| self.kind(id) == Some(kind)));
        }
        match ids.len() {
            1 => Found::One(ids.into_iter().next().cloned().unwrap_or_default()),
            0 => Found::missing(name, self.table(kind).keys().map(String::as_str)),
            _ => Found::Many(ids.into_iter().map(|id| self.label(id)).collect()),
        }
    }

    fn named<'k>(&'k self, kind: MemberKind, name: &str) -> impl Iterator<Item = &'k String> {
        let lower = (kind == MemberKind::User).then(|| name.to_lowercase()).filter(|lower| lower != name);
        let table = self.table(kind);
        let lower = lower.and_then(|lower| table.get(&lower));
        [table.get(name), lower].into_iter().flatten().flatten()
    }

    /// The names that are tried for a document, the best first.
    pub fn called(&self, id: &str) -> Vec<String> {
        self.documents.get(id).zip(self.kind(id)).map(|(document, kind)| called(document, kind)).unwrap_or_default()
    }

    /// What people call a document, and its id.
    pub fn label(&self, id: &str) -> String {
        let name = self.documents.get(id).and_then(|document| {
            let kind = MEMBERS.into_iter().find(|kind| is_of_type(document, kind.key()))?;
            called(document, kind).into_iter().next()
        });
        name.map_or_else(|| id.to_owned(), |name| format!("{name} ({id})"))
    }

    fn table(&self, kind: MemberKind) -> &HashMap<String, BTreeSet<String>> {
        match kind {
            MemberKind::User => &self.names[0],
            MemberKind::Device => &self.names[1],
            MemberKind::Group | MemberKind::Id => &self.names[2],
        }
    }

    fn name(&mut self, document: &Document) {
        let Some(id) = document.id() else { return };
        for (at, kind) in MEMBERS.into_iter().enumerate().filter(|(_, kind)| is_live(document, *kind)) {
            for name in called(document, kind) {
                self.names[at].entry(name).or_default().insert(id.clone());
            }
        }
    }

    /// The numbers of a callflow that begins with a user or a device: who calls one calls that.
    fn extensions_of(&mut self, callflow: &Document) {
        let Some(flow) = callflow.get("flow").and_then(Document::from_raw) else { return };
        let rings = flow.text("module").is_some_and(|module| matches!(module.as_str(), "user" | "device"));
        let target = flow.get("data").and_then(|data| property(data, "id"));
        let Some(target) = target.and_then(json::text).filter(|_| rings) else { return };
        let numbers =
            callflow.get("numbers").and_then(|numbers| serde_json::from_str::<Vec<String>>(numbers.get()).ok());
        for number in numbers.into_iter().flatten() {
            self.extensions.entry(number).or_default().insert(target.clone());
        }
    }
}

fn is_of_interest(account: AccountId, document: &Document) -> bool {
    MEMBERS.into_iter().any(|kind| is_of_type(document, kind.key()))
        || (is_of_type(document, CALLFLOW) && !is_deleted(document))
        || document.id().as_deref() == Some(account.as_str())
}

fn is_live(document: &Document, kind: MemberKind) -> bool {
    !is_deleted(document) && is_of_type(document, kind.key())
}

/// What a document is called, the best first: a user's name to sign in, its `presence_id`, which is its extension, and what it
/// is called itself; of others the name, and of a device its `presence_id`.
fn called(document: &Document, kind: MemberKind) -> Vec<String> {
    let text = |key: &str| document.text(key).filter(|text| !text.is_empty());
    let names = match kind {
        MemberKind::User => [text("username").map(|name| name.to_lowercase()), person(document), text("presence_id")],
        MemberKind::Device => [text("name"), text("presence_id"), None],
        MemberKind::Group | MemberKind::Id => [text("name"), None, None],
    };
    names.into_iter().flatten().collect()
}
