//! From what a plan's file says to what is written: names looked up in what is known of the account, and for each group the
//! document that is to take the place of the one that is there. All of it is pure, and of the same file and the same
//! documents it makes the same changes, the ids of new groups included.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use md5::{Digest, Md5};

use crate::document::{DocId, Document, hex};
use crate::kazoo::documents::{self, Author, submitted};
use crate::kazoo::group::{self, Excess};
use crate::kazoo::schema::{self, Schema};

use super::file::{AccountEntry, GroupEntry, MemberEntry, MemberKind, set};
use super::known::Known;
use super::problem::{Found, Problem};

/// What a group must fit, as when a client writes it.
#[derive(Clone, Copy)]
pub struct Rules<'r> {
    /// The schema of groups.
    pub schema: &'r Schema,
    /// How much is checked by it.
    pub checked: schema::Limits,
    /// How large a group may be.
    pub largest: group::Limits,
}

/// What is to be done with a group.
#[derive(Debug, Clone)]
pub struct Change {
    /// The group.
    pub id: DocId,
    /// As it is; None if it is to be created.
    pub before: Option<Arc<Document>>,
    /// As it is to be; softly deleted, if it is to be deleted. It has the revision that it replaces.
    pub after: Document,
}

/// What is to be done in an account.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// In the order in which it is done: what is new first, since others may name it, and what is deleted last.
    pub changes: Vec<Change>,
    /// The groups that were written after the revision that the file is about. Where there is one, nothing is done.
    pub conflicts: Vec<Problem>,
    /// How many groups of the file are as they are to be.
    pub unchanged: usize,
}

/// What is to be done so that an account's groups are what the file says. `place` names the account in what is wrong.
///
/// Errors: all that is wrong.
pub fn changes(
    entry: &AccountEntry,
    known: &Known,
    rules: Rules<'_>,
    author: &Author,
    place: &str,
) -> Result<Changes, Vec<Problem>> {
    let mut resolver = Resolver { known, rules, author, place, problems: entry.told_twice(), groups: Vec::new() };
    let changes = resolver.changes(entry);
    if resolver.problems.is_empty() { Ok(changes) } else { Err(resolver.problems) }
}

struct Resolver<'r> {
    known: &'r Known,
    rules: Rules<'r>,
    author: &'r Author,
    place: &'r str,
    problems: Vec<Problem>,
    /// The ids and names of the groups that there will be.
    groups: Vec<(String, String)>,
}

/// A group of the file, found or new.
struct Target<'r> {
    entry: &'r GroupEntry,
    id: DocId,
    before: Option<&'r Arc<Document>>,
}

impl<'r> Resolver<'r> {
    fn changes(&mut self, entry: &'r AccountEntry) -> Changes {
        let targets: Vec<Target<'r>> = entry.groups.iter().filter_map(|group| self.target(group)).collect();
        let mut named: HashSet<&str> = HashSet::new();
        for target in &targets {
            if !named.insert(target.id.as_str()) {
                let text = format!("the group {} stands in this account twice", self.known.label(target.id.as_str()));
                self.problems.push(Problem::new(target.entry.line, text));
            }
        }
        let deleted = self.deleted(entry, &named);
        self.groups = self.groups_after(&targets, &deleted);
        let mut changes = Changes::default();
        for target in &targets {
            match self.change(target) {
                // what the file says of it may have been so when it was written
                Err(problems) => match self.conflict(target) {
                    Some(conflict) => changes.conflicts.push(conflict),
                    None => self.problems.extend(problems),
                },
                Ok(None) => changes.unchanged += 1,
                Ok(Some(change)) => {
                    changes.conflicts.extend(self.conflict(target));
                    changes.changes.push(change);
                }
            }
        }
        changes.changes.sort_by_key(|change| change.before.is_some());
        changes.changes.extend(deleted.into_iter().map(|group| Change {
            id: id_of(&group),
            after: documents::delete(&group, self.author),
            before: Some(group),
        }));
        changes
    }

    /// The group that an entry is about.
    fn target(&mut self, entry: &'r GroupEntry) -> Option<Target<'r>> {
        let known = self.known;
        let found = match (&entry.id, &entry.name) {
            (Some(id), _) => match known.group(id) {
                Some(_) => Found::One(id),
                None => Found::None(None),
            },
            (None, Some(name)) => match known.groups_named(name)[..] {
                [] => return Some(Target { entry, id: self.new_id(name), before: None }),
                [id] => Found::One(id),
                ref ids => Found::Many(ids.iter().map(|id| known.label(id)).collect()),
            },
            (None, None) => return None,
        };
        let name = entry.id.as_ref().or(entry.name.as_ref()).map(String::as_str).unwrap_or_default();
        match found.one(entry.line, "group", name, self.place) {
            Ok(id) => known.group(id).map(|group| Target { entry, id: id_of(group), before: Some(group) }),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    /// The id of a new group: always the same of the same account and name, so that who makes it twice makes it once.
    fn new_id(&self, name: &str) -> DocId {
        let id = |number: usize| hex(&Md5::digest(format!("{}/{name}/{number}", self.known.account)));
        // so many can't all be taken
        let free = (0..=self.known.documents().count()).map(id).find(|id| self.known.document(id).is_none());
        free.and_then(|id| id.parse().ok()).unwrap_or_else(|| unreachable!("hex digits are a document's id"))
    }

    /// The groups to be deleted: those that the file says and, where it says so, those that it does not name.
    fn deleted(&mut self, entry: &AccountEntry, named: &HashSet<&str>) -> Vec<Arc<Document>> {
        let mut deleted: Vec<Arc<Document>> = Vec::new();
        let mut ids = HashSet::new();
        for (line, name) in &entry.delete {
            let is_both = || Problem::new(*line, format!("the group {name:?} is to be there and to be deleted"));
            if entry.groups.iter().any(|group| group.name.as_ref() == Some(name)) {
                self.problems.push(is_both());
            } else if !self.known.was_group(name) {
                match self.known.find(MemberKind::Group, name).one(*line, "group", name, self.place) {
                    Err(problem) => self.problems.push(problem),
                    Ok(id) if named.contains(id.as_str()) => self.problems.push(is_both()),
                    Ok(id) => deleted.extend(self.known.group(&id).filter(|_| ids.insert(id.clone())).cloned()),
                }
            }
        }
        if entry.is_all {
            let is_left = |group: &&&Arc<Document>| {
                let id = group.id().unwrap_or_default();
                !named.contains(id.as_str()) && !ids.contains(&id)
            };
            deleted.extend(self.known.groups().iter().filter(is_left).map(|group| Arc::clone(group)));
        }
        deleted
    }

    fn groups_after(&self, targets: &[Target<'_>], deleted: &[Arc<Document>]) -> Vec<(String, String)> {
        let gone: HashSet<String> = deleted.iter().filter_map(|group| group.id()).collect();
        let there = self.known.groups().into_iter().filter_map(|group| Some((group.id()?, group.text("name"))));
        let mut groups: HashMap<String, String> =
            there.filter(|(id, _)| !gone.contains(id)).map(|(id, name)| (id, name.unwrap_or_default())).collect();
        for target in targets {
            if let Some(name) = &target.entry.name {
                groups.insert(target.id.to_string(), name.clone());
            }
        }
        groups.into_iter().collect()
    }

    /// What is to be done with a group; None if it is as it is to be.
    fn change(&self, target: &Target<'_>) -> Result<Option<Change>, Vec<Problem>> {
        let entry = target.entry;
        let there = target.before.map(|before| submitted(before.as_ref().clone()));
        let mut fields = there.clone().unwrap_or_default();
        if let Some(name) = &entry.name {
            fields.set_text("name", name);
        }
        if let Some(members) = &entry.members {
            let there = fields.get("endpoints").and_then(Document::from_raw).unwrap_or_default();
            fields.set("endpoints", self.endpoints(members, &there)?.to_raw());
        }
        set(&mut fields, &entry.fields);
        let is_as_it_was = |fields: &Document| there.as_ref().is_some_and(|there| there.is_same_as(fields));
        if is_as_it_was(&fields) {
            return Ok(None);
        }
        let wrong = |text: String| Problem::new(entry.line, format!("group {}: {text}", self.called(target)));
        let fields = self.rules.schema.validate(fields, self.rules.checked).map_err(|errors| {
            let messages = |(property, found): (String, serde_json::Value)| {
                let found = found.as_object().cloned().unwrap_or_default();
                let said: Vec<String> = found
                    .into_iter()
                    .map(|(rule, detail)| detail["message"].as_str().map_or(rule, str::to_owned))
                    .collect();
                wrong(format!("{property}: {}", said.join("; ")))
            };
            errors.into_iter().map(messages).collect::<Vec<_>>()
        })?;
        // what is taken away may be what the schema puts there
        if is_as_it_was(&fields) {
            return Ok(None);
        }
        let after = match target.before {
            Some(before) => documents::replace(before, fields, self.author),
            None => documents::create(&target.id, group::TYPE, fields, self.author),
        };
        group::must_fit(&after, self.rules.largest).map_err(|excess| {
            vec![wrong(match excess {
                Excess::Endpoints => format!("more than {} members", self.rules.largest.endpoints),
                Excess::Rows => format!("its rows in lists have more than {} bytes", self.rules.largest.rows),
            })]
        })?;
        Ok(Some(Change { id: target.id.clone(), before: target.before.cloned(), after }))
    }

    /// The endpoints that members are, of those that are there.
    fn endpoints(&self, members: &[MemberEntry], there: &Document) -> Result<Document, Vec<Problem>> {
        let (mut endpoints, mut problems) = (Document::new(), Vec::new());
        for member in members {
            match self.member(member, there) {
                Ok((id, _)) if endpoints.contains(&id) => {
                    let text = format!("{} is a member twice", self.known.label(&id));
                    problems.push(Problem::new(member.line, text));
                }
                Ok((id, endpoint)) => endpoints.set(id, endpoint),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(endpoints) } else { Err(problems) }
    }

    fn member(
        &self,
        member: &MemberEntry,
        there: &Document,
    ) -> Result<(String, Box<serde_json::value::RawValue>), Problem> {
        let (line, name) = (member.line, member.name.as_str());
        let (id, kind) = match member.kind {
            MemberKind::Id if there.contains(name) => (name.to_owned(), None),
            MemberKind::Id => {
                let id =
                    self.find(MemberKind::Id, name).one(line, "user, device or group of the id", name, self.place)?;
                let kind = self.known.kind(&id).unwrap_or(MemberKind::Group);
                (id, Some(kind))
            }
            kind => (self.find(kind, name).one(line, kind.key(), name, self.place)?, Some(kind)),
        };
        let endpoint = there.get(&id);
        if let (None, Some(endpoint), true) = (kind, endpoint, member.fields.is_empty()) {
            return Ok((id, endpoint.to_owned()));
        }
        let mut endpoint = endpoint.and_then(Document::from_raw).unwrap_or_default();
        if let Some(kind) = kind.filter(|kind| endpoint.text("type").as_deref() != Some(kind.key())) {
            endpoint.set_text("type", kind.key());
        }
        set(&mut endpoint, &member.fields);
        Ok((id, endpoint.to_raw()))
    }

    /// The same as [`Known::find`], of the groups that there will be.
    fn find(&self, kind: MemberKind, name: &str) -> Found<String> {
        let is_there = self.groups.iter().any(|(id, _)| id == name);
        match kind {
            MemberKind::Group | MemberKind::Id if is_there => Found::One(name.to_owned()),
            MemberKind::Id if self.known.kind(name) == Some(MemberKind::Group) => Found::None(None),
            MemberKind::User | MemberKind::Device | MemberKind::Id => self.known.find(kind, name),
            MemberKind::Group => {
                let ids: Vec<&String> = self.groups.iter().filter(|(_, of)| of == name).map(|(id, _)| id).collect();
                match ids[..] {
                    [id] => Found::One(id.clone()),
                    [] => Found::missing(name, self.groups.iter().map(|(_, name)| name.as_str())),
                    _ => Found::Many(ids.into_iter().map(|id| self.known.label(id)).collect()),
                }
            }
        }
    }

    /// That a group which is to be changed was written after the revision that the file is about.
    fn conflict(&self, target: &Target<'_>) -> Option<Problem> {
        let wanted = target.entry.revision.as_ref()?;
        let found = target.before.and_then(|before| before.revision());
        let now = found.as_ref().map_or_else(|| "not there".to_owned(), ToString::to_string);
        let text = format!("group {}: the file is about revision {wanted}, and now it is {now}", self.called(target));
        (found.as_ref() != Some(wanted)).then(|| Problem::new(target.entry.line, text))
    }

    fn called(&self, target: &Target<'_>) -> String {
        target.entry.name.clone().unwrap_or_else(|| self.known.label(target.id.as_str()))
    }
}

fn id_of(group: &Document) -> DocId {
    let id = group.id().and_then(|id| id.parse().ok());
    id.unwrap_or_else(|| unreachable!("a group that was found by its id has one"))
}
