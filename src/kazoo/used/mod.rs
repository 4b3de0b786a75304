//! What names a group: callflows, other groups, users and devices, and the places where they do. All of it is pure.
//!
//! A place is wherever the group's id stands as a text or as a key, but in private fields: which of Kazoo's modules make
//! something of it there is not asked, so that nothing that may is left out.

mod places;

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::document::Document;

use super::documents::{self, CALLFLOW, Called, is_of_type, title};
use super::group;

pub use places::{Element, Place, elements, places};

/// The types of documents that are looked at.
pub const TYPES: [&str; 4] = [CALLFLOW, group::TYPE, group::USER, "device"];

/// How many bytes all that is told has, about.
const BYTES: usize = 16 * 1024 * 1024;

/// A document that names a group.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    /// The document.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// A callflow's numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Vec<String>>,
    /// A callflow's patterns of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patterns: Option<Vec<String>>,
    /// Where, as it stands in the document; the first hundred.
    pub places: Vec<Place>,
}

/// All that names a group.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UsedBy {
    /// Callflows.
    pub callflows: Vec<User>,
    /// Other groups.
    pub groups: Vec<User>,
    /// Users.
    pub users: Vec<User>,
    /// Devices.
    pub devices: Vec<User>,
    /// How many bytes all of it has.
    #[serde(skip)]
    bytes: usize,
}

impl UsedBy {
    /// How many bytes it has, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is more than is told.
    pub fn is_too_much(&self) -> bool {
        self.bytes > BYTES
    }

    /// Takes a document, if it names the group and is another, and there is room.
    pub fn look_at(&mut self, document: &Document, group: &str) {
        let of = |pvt_type| is_of_type(document, pvt_type);
        let users = match () {
            () if of(CALLFLOW) => &mut self.callflows,
            () if of(group::TYPE) => &mut self.groups,
            () if of(group::USER) => &mut self.users,
            () if of("device") => &mut self.devices,
            () => return,
        };
        if self.bytes <= BYTES
            && let Some(user) = User::of(document, group)
        {
            self.bytes += user.bytes();
            users.push(user);
        }
    }

    /// Whether nothing names it.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// How many places there are.
    pub fn places(&self) -> usize {
        self.all().map(|user| user.places.len()).sum()
    }

    fn all(&self) -> impl Iterator<Item = &User> {
        [&self.callflows, &self.groups, &self.users, &self.devices].into_iter().flatten()
    }
}

impl User {
    /// A document that names a group; None if it does not, is the group itself, or is deleted.
    pub fn of(document: &Document, group: &str) -> Option<Self> {
        let id = document.id().filter(|id| id != group && !documents::is_deleted(document))?;
        let places = places(document, group);
        let is_callflow = is_of_type(document, CALLFLOW);
        let texts = |key: &str| is_callflow.then(|| texts(document.get(key)));
        (!places.is_empty()).then(|| Self {
            id,
            name: title(document),
            numbers: texts("numbers"),
            patterns: texts("patterns"),
            places,
        })
    }

    /// How many bytes it has, about, but for what its elements are given.
    fn bytes(&self) -> usize {
        let texts = [&self.numbers, &self.patterns].into_iter().flatten().flatten().chain(&self.name);
        let places = self.places.iter().map(|place| place.pointer.len() + size_of::<Place>());
        self.id.len() + texts.map(|text| text.len() + size_of::<String>()).chain(places).sum::<usize>()
    }
}

impl fmt::Display for UsedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds =
            [("callflow", &self.callflows), ("group", &self.groups), ("user", &self.users), ("device", &self.devices)];
        for (kind, user) in kinds.into_iter().flat_map(|(kind, users)| users.iter().map(move |user| (kind, user))) {
            for place in &user.places {
                writeln!(f, "{kind} {user}: {place}")?;
            }
        }
        if self.is_empty() { writeln!(f, "nothing names it") } else { Ok(()) }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Called(&self.id, self.name.as_deref()))?;
        let numbers: Vec<&str> =
            [&self.numbers, &self.patterns].into_iter().flatten().flatten().map(String::as_str).collect();
        if numbers.is_empty() { Ok(()) } else { write!(f, " at {}", numbers.join(", ")) }
    }
}

/// The texts of a list; none of what is no list.
fn texts(list: Option<&RawValue>) -> Vec<String> {
    let items: Vec<Box<RawValue>> = list.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    items.iter().filter_map(|item| crate::document::json::text(item)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GROUP: &str = "g/~1";

    #[test]
    fn groups_users_and_devices_name_it_by_keys_and_texts() {
        let mut used = UsedBy::default();
        for tree in [
            json!({"_id": "o", "pvt_type": "group", "name": "Outer", "endpoints": {GROUP: {"type": "group"}}}),
            json!({"_id": GROUP, "pvt_type": "group", "endpoints": {GROUP: {}}}),
            json!({"_id": "x", "pvt_type": "group", "pvt_deleted": true, "endpoints": {GROUP: {}}}),
            json!({"_id": "u", "pvt_type": "user", "first_name": "Ada", "x": [{"y": [GROUP]}]}),
            json!({"_id": "d", "pvt_type": "device", "owner_id": "u"}),
            json!({"_id": "m", "pvt_type": "menu", "x": GROUP}),
        ] {
            used.look_at(&Document::parse(&tree.to_string()).unwrap(), GROUP);
        }
        let user =
            |id: &str, name: &str, pointer: &str| json!([{"id": id, "name": name, "places": [{"pointer": pointer}]}]);
        assert_eq!(
            serde_json::to_value(&used).unwrap(),
            json!({
                "callflows": [], "devices": [],
                "groups": user("o", "Outer", "/endpoints/g~1~01"), "users": user("u", "Ada", "/x/0/y/0"),
            })
        );
        assert!(!used.is_empty() && UsedBy::default().is_empty());
        assert_eq!(used.places(), 2);
    }
}
