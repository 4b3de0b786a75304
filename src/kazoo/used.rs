//! What names a group: callflows, other groups, users and devices, and the places where they do. All of it is pure.
//!
//! A place is wherever the group's id stands as a text or as a key, but in private fields: which of Kazoo's modules make
//! something of it there is not asked, so that nothing that may is left out.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::document::Document;
use crate::document::cursor::{Cursor, text_of};
use crate::document::json::DEEPEST;

use super::documents::{self, Called, is_of_type, is_private, title};
use super::group;

/// `pvt_type` of a callflow.
pub const CALLFLOW: &str = "callflow";

/// The types of documents that are looked at.
pub const TYPES: [&str; 4] = [CALLFLOW, group::TYPE, group::USER, "device"];

/// How many places of a document are told, and how many bytes their pointers have together.
const PLACES: usize = 100;
const POINTERS: usize = 64 * 1024;

/// How many bytes all that is told has, about.
const BYTES: usize = 16 * 1024 * 1024;

/// Where a document names a group.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// The place as a JSON pointer (RFC 6901): of the text, or of what has the key.
    pub pointer: String,
    /// The callflow's element that it is in.
    #[serde(flatten)]
    pub element: Option<Element>,
}

/// An element of a callflow.
#[derive(Debug, Clone, Serialize)]
pub struct Element {
    /// Its module; None where it has none.
    pub module: Option<String>,
    /// By which children the flow comes to it, from the flow's beginning on.
    pub children: Vec<String>,
    /// What the module is given.
    #[serde(skip)]
    pub data: Option<Document>,
}

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

    fn bytes(&self) -> usize {
        let texts = [&self.numbers, &self.patterns].into_iter().flatten().flatten().chain(&self.name).map(String::len);
        let places = self.places.iter().map(|place| place.pointer.len() + size_of::<Place>());
        self.id.len() + texts.chain(places).sum::<usize>()
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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.element.as_ref().and_then(|element| element.module.as_deref()) {
            Some(module) => write!(f, "{module} {}", self.pointer),
            None => f.write_str(&self.pointer),
        }
    }
}

/// The places where a document names a group, in their order. `flow` of a callflow is walked as one.
pub fn places(document: &Document, group: &str) -> Vec<Place> {
    let mut search = Search::of(group);
    let is_callflow = is_of_type(document, CALLFLOW);
    for (key, value) in document.iter().filter(|(key, _)| !is_private(key) && *key != "id") {
        search.within(key, |search| {
            let mut cursor = Cursor::new(value.get());
            if is_callflow && key == "flow" { search.element(&mut cursor) } else { search.value(&mut cursor) }
        });
    }
    search.places
}

/// The elements of a callflow; none of what is none.
pub fn elements(callflow: &Document) -> Vec<Element> {
    let mut search = Search { all: Some(Vec::new()), ..Search::of("") };
    if let Some(flow) = callflow.get("flow") {
        search.element(&mut Cursor::new(flow.get()));
    }
    search.all.unwrap_or_default()
}

/// The texts of a list; none of what is no list.
fn texts(list: Option<&RawValue>) -> Vec<String> {
    let items: Vec<Box<RawValue>> = list.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    items.iter().filter_map(|item| crate::document::json::text(item)).collect()
}

/// A walk through a document. It recurses as deep as [`DEEPEST`].
struct Search<'g> {
    group: &'g str,
    path: Vec<String>,
    children: Vec<String>,
    places: Vec<Place>,
    /// How many bytes their pointers have.
    pointers: usize,
    /// All elements, where they are wanted.
    all: Option<Vec<Element>>,
}

impl<'g> Search<'g> {
    fn of(group: &'g str) -> Self {
        Self { group, path: Vec::new(), children: Vec::new(), places: Vec::new(), pointers: 0, all: None }
    }
    /// Looks at what stands under a key or at an index.
    fn within(&mut self, key: &str, look: impl FnOnce(&mut Self)) {
        self.path.push(key.to_owned());
        if key == self.group {
            self.found();
        }
        look(self);
        self.path.pop();
    }

    fn found(&mut self) {
        let bytes: usize = self.path.iter().map(String::len).sum();
        if self.pointers + bytes > POINTERS {
            // that the document names it is told all the same: an empty pointer is of the whole
            if self.places.is_empty() {
                self.places.push(Place { pointer: String::new(), element: None });
            }
            return;
        }
        if self.places.len() < PLACES {
            self.pointers += bytes;
            let escaped = |key: &String| format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            self.places.push(Place { pointer: self.path.iter().map(escaped).collect(), element: None });
        }
    }

    fn value(&mut self, cursor: &mut Cursor<'_>) {
        match cursor.peek() {
            _ if self.path.len() > DEEPEST => drop(cursor.value()),
            Some(b'{') => {
                cursor.token();
                while let Some(key) = cursor.key() {
                    self.within(&key, |search| search.value(cursor));
                }
            }
            Some(b'[') => {
                cursor.token();
                let mut at = 0;
                while cursor.item() {
                    self.path.push(at.to_string());
                    self.value(cursor);
                    self.path.pop();
                    at += 1;
                }
            }
            Some(b'"') if cursor.token().is_some_and(|token| text_of(token) == self.group) => self.found(),
            Some(b'"') => {}
            _ => drop(cursor.token()),
        }
    }

    /// An element: what it names but in its children is named by it.
    fn element(&mut self, cursor: &mut Cursor<'_>) {
        if cursor.peek() != Some(b'{') || self.path.len() > DEEPEST {
            return self.value(cursor);
        }
        cursor.token();
        let before = self.places.len();
        let (mut module, mut data) = (None, None);
        while let Some(key) = cursor.key() {
            let mut value = *cursor;
            match &*key {
                "module" => module = Some(value.value()).filter(|module| module.starts_with('"')).map(text_of),
                "data" => data = Some(value.value()),
                _ => {}
            }
            let has_children = key == "children" && cursor.peek() == Some(b'{');
            self.within(&key, |search| if has_children { search.children(cursor) } else { search.value(cursor) });
        }
        let mut own = self.places.iter_mut().skip(before).filter(|place| place.element.is_none()).peekable();
        if self.all.is_none() && own.peek().is_none() {
            return;
        }
        let element = Element {
            module: module.as_deref().map(str::to_owned),
            children: self.children.clone(),
            data: data.and_then(|data| Document::parse(data).ok()),
        };
        own.for_each(|place| place.element = Some(element.clone()));
        if let Some(all) = &mut self.all {
            all.push(element);
        }
    }

    fn children(&mut self, cursor: &mut Cursor<'_>) {
        cursor.token();
        while let Some(key) = cursor.key() {
            self.children.push(key.clone().into_owned());
            self.within(&key, |search| search.element(cursor));
            self.children.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const GROUP: &str = "g/~1";

    fn document(tree: &Value) -> Document {
        Document::parse(&tree.to_string()).unwrap()
    }

    #[test]
    fn a_callflow_names_it_by_elements_at_any_depth() {
        let member = json!({"id": GROUP, "endpoint_type": "group"});
        let flow = json!({
            "children": {
                "1": {"children": {"_": {"data": {"id": GROUP}, "module": "group", "children": {}}}, "module": "x", "data": {}},
                "_": {"module": "group_pickup", "data": {"group_id": GROUP}},
            },
            "data": {"endpoints": [{"id": "d", "endpoint_type": "device"}, member]},
            "module": "ring_group",
        });
        let callflow = json!({
            "_id": "c", "pvt_type": "callflow", "numbers": ["100", 7], "patterns": [], "group_id": GROUP, "flow": flow,
            "pvt_group": GROUP,
        });
        let found = User::of(&document(&callflow), GROUP).unwrap();
        let told = |module: &str, children: &[&str], pointer: &str| json!({"module": module, "children": children, "pointer": pointer});
        let places = json!([
            {"pointer": "/group_id"},
            told("group", &["1", "_"], "/flow/children/1/children/_/data/id"),
            told("group_pickup", &["_"], "/flow/children/_/data/group_id"),
            told("ring_group", &[], "/flow/data/endpoints/1/id"),
        ]);
        assert_eq!(
            serde_json::to_value(&found).unwrap(),
            json!({"id": "c", "name": null, "numbers": ["100"], "patterns": [], "places": places})
        );
        let data = found.places[1].element.as_ref().unwrap().data.as_ref().unwrap();
        assert_eq!(data.text("id").as_deref(), Some(GROUP));
    }

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
            used.look_at(&document(&tree), GROUP);
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

    #[test]
    fn what_is_nested_without_end_is_left_out() {
        let (open, close) = ("{\"children\":{\"_\":".repeat(100_000), "}}".repeat(100_000));
        let text =
            format!("{{\"_id\":\"c\",\"pvt_type\":\"callflow\",\"flow\":{open}\"{GROUP}\"{close},\"x\":\"{GROUP}\"}}");
        let places = places(&Document::parse(&text).unwrap(), GROUP);
        assert_eq!(places.iter().map(|place| place.pointer.as_str()).collect::<Vec<_>>(), ["/x"]);
    }

    /// How often the group's id stands in a tree.
    fn count(tree: &Value) -> usize {
        match tree {
            Value::String(text) => usize::from(text == GROUP),
            Value::Array(items) => items.iter().map(count).sum(),
            Value::Object(fields) => fields.iter().map(|(key, value)| usize::from(key == GROUP) + count(value)).sum(),
            _ => 0,
        }
    }

    fn any_flow() -> impl Strategy<Value = Value> {
        let text = prop_oneof![Just(GROUP.to_owned()), "[a-z\"\\\\/~]{0,3}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(|number| json!(number)),
            text.clone().prop_map(Value::from)
        ];
        let keys = prop_oneof![
            Just("module".to_owned()),
            Just("data".to_owned()),
            Just("children".to_owned()),
            Just("_".to_owned()),
            text,
        ];
        leaf.prop_recursive(6, 48, 4, move |inner| {
            let fields = prop::collection::btree_map(keys.clone(), inner.clone(), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn each_place_is_found_once_and_where_it_is_said(flow in any_flow(), is_callflow: bool) {
            let kind = if is_callflow { CALLFLOW } else { "user" };
            let tree = json!({"_id": "c", "pvt_type": kind, "flow": flow});
            let places = places(&document(&tree), GROUP);
            prop_assert_eq!(places.len(), count(&tree["flow"]).min(PLACES));
            for place in &places {
                let there = tree.pointer(&place.pointer).unwrap();
                prop_assert!(there == GROUP || place.pointer.ends_with("/g~1~01"), "{}", place.pointer);
                prop_assert!(is_callflow || place.element.is_none());
                if let Some(element) = &place.element {
                    let prefix: String = element.children.iter()
                        .map(|child| format!("/children/{}", child.replace('~', "~0").replace('/', "~1"))).collect();
                    let start = format!("/flow{prefix}");
                    prop_assert!(place.pointer.starts_with(&start));
                    let at = tree.pointer(&start).unwrap();
                    prop_assert_eq!(at["module"].as_str(), element.module.as_deref());
                }
            }
        }
    }
}
