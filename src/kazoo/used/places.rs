//! The places where a document names a group, and a callflow's elements.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::document::Document;
use crate::document::cursor::{Cursor, text_of};
use crate::document::json::DEEPEST;

use super::super::documents::{CALLFLOW, is_of_type, is_private};

/// How many places of a document are told, and how many bytes their pointers have together.
const PLACES: usize = 100;
const POINTERS: usize = 64 * 1024;

/// Where a document names a group.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// The place as a JSON pointer (RFC 6901): of the text, or of what has the key.
    pub pointer: String,
    /// The callflow's element that it is in.
    #[serde(flatten)]
    pub element: Option<Arc<Element>>,
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
    pub data: Option<Arc<Document>>,
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
pub fn elements(callflow: &Document) -> Vec<Arc<Element>> {
    let mut search = Search { all: Some(Vec::new()), ..Search::of("") };
    if let Some(flow) = callflow.get("flow") {
        search.element(&mut Cursor::new(flow.get()));
    }
    search.all.unwrap_or_default()
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
    all: Option<Vec<Arc<Element>>>,
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
        let element = Arc::new(Element {
            module: module.as_deref().map(str::to_owned),
            children: self.children.clone(),
            data: data.and_then(|data| Document::parse(data).ok()).map(Arc::new),
        });
        own.for_each(|place| place.element = Some(Arc::clone(&element)));
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

    use super::super::User;
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
