//! The file of a plan: what it says of accounts and their groups, not yet looked up.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::document::{Document, Revision};
use crate::kazoo::documents::submitted;

use super::node::{Content, Node};
use super::problem::{Problem, Problems};

/// A plan as it is written.
#[derive(Debug, Clone)]
pub struct PlanFile {
    /// Its accounts.
    pub accounts: Vec<AccountEntry>,
}

/// What is planned for an account.
#[derive(Debug, Clone)]
pub struct AccountEntry {
    /// Where it stands.
    pub line: usize,
    /// The account's id, realm or name.
    pub account: String,
    /// Its groups.
    pub groups: Vec<GroupEntry>,
    /// The groups to be deleted, each with its line: ids or names.
    pub delete: Vec<(usize, String)>,
    /// Whether groups that are not named are deleted.
    pub is_all: bool,
}

/// What a group is to be. What it does not say stays.
#[derive(Debug, Clone)]
pub struct GroupEntry {
    /// Where it stands.
    pub line: usize,
    /// The group's id; without one its name says which it is.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// The revision that the file is about: a later one is not changed.
    pub revision: Option<Revision>,
    /// All of its members.
    pub members: Option<Vec<MemberEntry>>,
    /// Other fields of its document.
    pub fields: Fields,
}

/// What a member of a group is to be. What it does not say stays, if it is a member already.
#[derive(Debug, Clone)]
pub struct MemberEntry {
    /// Where it stands.
    pub line: usize,
    /// What it is.
    pub kind: MemberKind,
    /// Its name, extension or id.
    pub name: String,
    /// `weight`, `delay`, `timeout`, and whatever else endpoints have.
    pub fields: Fields,
}

/// What a member is called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MemberKind {
    User,
    Device,
    Group,
    /// The id of any of them, or of an endpoint that the group has, whatever that is.
    Id,
}

/// Fields to be set; None: to be removed.
pub type Fields = Vec<(String, Option<Box<RawValue>>)>;

/// The keys of a group in the file that are no fields of its document.
pub const GROUP_KEYS: [&str; 3] = ["id", "revision", "members"];

impl MemberKind {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::User, Self::Device, Self::Group, Self::Id];

    /// The key that says so.
    pub fn key(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Device => "device",
            Self::Group => "group",
            Self::Id => "id",
        }
    }

    /// The kind of a key.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.key() == key)
    }
}

impl PlanFile {
    /// Reads a file, YAML or JSON.
    ///
    /// Errors: all that is wrong with its form.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let root = Node::parse(text).map_err(|problem| Problems::new(vec![problem]))?;
        let mut problems = Vec::new();
        let accounts = Reader(&mut problems).accounts(&root);
        if problems.is_empty() { Ok(Self { accounts }) } else { Err(Problems::new(problems)) }
    }
}

/// Reads the parts of a file, and gathers what is wrong with them.
struct Reader<'p>(&'p mut Vec<Problem>);

impl Reader<'_> {
    fn wrong(&mut self, line: usize, text: impl Into<String>) {
        self.0.push(Problem::new(line, text));
    }

    fn fields<'n>(&mut self, node: &'n Node, what: &str) -> &'n [(String, Node)] {
        match &node.content {
            Content::Map(fields) => fields,
            _ => {
                self.wrong(node.line, format!("{what} must be an object of keys and values"));
                &[]
            }
        }
    }

    /// The items of a list; nothing is an empty one.
    fn items<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Node] {
        match &node.content {
            Content::List(items) => items,
            _ if node.is_null() => &[],
            _ => {
                self.wrong(node.line, format!("{key} must be a list"));
                &[]
            }
        }
    }

    fn name(&mut self, node: &Node, key: &str) -> Option<String> {
        let name = node.name();
        if name.is_none() {
            self.wrong(node.line, format!("{key} must be a text: put it into quotes"));
        }
        name
    }

    fn accounts(&mut self, root: &Node) -> Vec<AccountEntry> {
        let mut accounts = Vec::new();
        for (key, node) in self.fields(root, "the file") {
            match key.as_str() {
                "accounts" => {
                    for item in self.items(node, key) {
                        accounts.extend(self.account(item));
                    }
                }
                _ => self.wrong(node.line, format!("{key:?} is no key of a plan, which has accounts")),
            }
        }
        accounts
    }

    fn account(&mut self, node: &Node) -> Option<AccountEntry> {
        let mut entry = AccountEntry {
            line: node.line,
            account: String::new(),
            groups: Vec::new(),
            delete: Vec::new(),
            is_all: false,
        };
        let mut account = None;
        for (key, node) in self.fields(node, "an account") {
            match key.as_str() {
                "account" => account = Some(self.name(node, key)?),
                "groups" => {
                    for item in self.items(node, key) {
                        entry.groups.extend(self.group(item));
                    }
                }
                "delete" => {
                    for item in self.items(node, key) {
                        entry.delete.extend(self.name(item, key).map(|name| (item.line, name)));
                    }
                }
                "only" => match &node.content {
                    Content::Value(raw) if matches!(raw.get(), "true" | "false") => entry.is_all = raw.get() == "true",
                    _ => self.wrong(node.line, "only must be true or false"),
                },
                _ => self.wrong(
                    node.line,
                    format!("{key:?} is no key of an account, which has account, groups, delete and only"),
                ),
            }
        }
        match account {
            Some(account) => Some(AccountEntry { account, ..entry }),
            None => {
                self.wrong(node.line, "account is missing: the id, realm or name of one");
                None
            }
        }
    }

    fn group(&mut self, node: &Node) -> Option<GroupEntry> {
        let mut entry =
            GroupEntry { line: node.line, id: None, name: None, revision: None, members: None, fields: Vec::new() };
        for (key, value) in self.fields(node, "a group") {
            match key.as_str() {
                "id" => entry.id = Some(self.name(value, key)?),
                "name" => entry.name = Some(self.name(value, key)?),
                "revision" => match value.name().and_then(|text| text.parse().ok()) {
                    Some(revision) => entry.revision = Some(revision),
                    None => self.wrong(value.line, "revision must be one, such as 3-5d1f…"),
                },
                "members" => entry.members = Some(self.members(value)),
                _ => entry.fields.extend(self.field(key, value, "a group")),
            }
        }
        if entry.id.is_none() && entry.name.is_none() {
            self.wrong(node.line, "a group needs its name or its id");
            return None;
        }
        if entry.members.is_some() && entry.fields.iter().any(|(key, _)| key == "endpoints") {
            self.wrong(node.line, "members and endpoints are the same: give one of them");
        }
        Some(entry)
    }

    fn members(&mut self, node: &Node) -> Vec<MemberEntry> {
        let mut members = Vec::new();
        for item in self.items(node, "members") {
            members.extend(self.member(item));
        }
        members
    }

    fn member(&mut self, node: &Node) -> Option<MemberEntry> {
        let (mut named, mut fields) = (Vec::new(), Vec::new());
        for (key, value) in self.fields(node, "a member") {
            match MemberKind::of_key(key) {
                Some(kind) => named.push((kind, self.name(value, key)?)),
                None if key == "type" => self.wrong(value.line, "a member's type is told by user, device or group"),
                None => fields.extend(self.field(key, value, "a member")),
            }
        }
        match (named.pop(), named.is_empty()) {
            (Some((kind, name)), true) => Some(MemberEntry { line: node.line, kind, name, fields }),
            _ => {
                self.wrong(node.line, "a member needs one of user, device, group and id");
                None
            }
        }
    }

    fn field(&mut self, key: &str, value: &Node, what: &str) -> Option<(String, Option<Box<RawValue>>)> {
        let private = submitted([(key.to_owned(), RawValue::NULL.to_owned())].into_iter().collect()).is_empty();
        if private {
            self.wrong(value.line, format!("{key:?} of {what} is not yours to set"));
            return None;
        }
        Some((key.to_owned(), (!value.is_null()).then(|| value.to_raw())))
    }
}

impl AccountEntry {
    /// The groups that are named alone and have a name that another is to have too: once there were both, nobody could
    /// tell which is meant.
    pub(super) fn told_twice(&self) -> Vec<Problem> {
        let mut named: HashMap<&str, usize> = HashMap::new();
        for name in self.groups.iter().filter_map(|group| group.name.as_deref()) {
            *named.entry(name).or_default() += 1;
        }
        let alone = self.groups.iter().filter(|group| group.id.is_none());
        let twice = alone.filter_map(|group| {
            let name = group.name.as_deref()?;
            let is_twice = named.get(name).is_some_and(|times| *times > 1);
            is_twice.then(|| Problem::new(group.line, format!("two groups of the account are to be called {name:?}")))
        });
        twice.collect()
    }
}

/// Sets and removes fields of an object.
pub(super) fn set(document: &mut Document, fields: &Fields) {
    for (key, value) in fields {
        match value {
            Some(value) => document.set(key.clone(), value.clone()),
            None => drop(document.remove(key)),
        }
    }
}
