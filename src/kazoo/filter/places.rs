//! Where conditions look in a document: each place once, however many look at it, and each field of the document in one
//! walk, which makes no tree of it.

use std::collections::BTreeMap;

use crate::document::Document;
use crate::document::cursor::Cursor;
use crate::document::json::DEEPEST;

/// The places that are looked at, as a tree of the keys that lead to them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Places {
    root: Node,
    places: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Node {
    /// Which of the places it is, if it is one.
    place: Option<usize>,
    below: BTreeMap<String, Node>,
}

/// What is found at a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Found<'d> {
    /// Nothing.
    #[default]
    Missing,
    /// The path leads through what is neither an object nor a list, or deeper than JSON is nested.
    Unreachable,
    /// This JSON.
    Value(&'d str),
}

impl Places {
    /// The place of a path (keys separated by dots, or, in a list, positions from 1), as its number; None if it is deeper
    /// than JSON is nested.
    pub(super) fn add(&mut self, path: &str) -> Option<usize> {
        if path.split('.').count() > DEEPEST {
            return None;
        }
        let node = path.split('.').fold(&mut self.root, |node, key| node.below.entry(key.to_owned()).or_default());
        let place = *node.place.get_or_insert(self.places);
        self.places = self.places.max(place + 1);
        Some(place)
    }

    /// What a document has at each place, by their numbers.
    pub(super) fn look_into<'d>(&self, document: &'d Document) -> Vec<Found<'d>> {
        let mut found = vec![Found::Missing; self.places];
        for (key, node) in &self.root.below {
            let Some(field) = document.get(key) else { continue };
            node.set(&mut found, Found::Value(field.get()));
            if !node.below.is_empty() {
                node.look_below(&mut Cursor::new(field.get()), &mut found);
            }
        }
        found
    }
}

impl Node {
    fn set<'d>(&self, found: &mut [Found<'d>], what: Found<'d>) {
        if let Some(found) = self.place.and_then(|place| found.get_mut(place)) {
            *found = what;
        }
    }

    fn set_all_below<'d>(&self, found: &mut [Found<'d>], what: Found<'d>) {
        for node in self.below.values() {
            node.set(found, what);
            node.set_all_below(found, what);
        }
    }

    /// Looks at a value and below it, and passes it.
    fn look<'d>(&self, cursor: &mut Cursor<'d>, found: &mut [Found<'d>]) {
        let start = *cursor;
        match self.below.is_empty() {
            true => drop(cursor.value()),
            false => self.look_below(cursor, found),
        }
        self.set(found, Found::Value(cursor.since(&start)));
    }

    fn look_below<'d>(&self, cursor: &mut Cursor<'d>, found: &mut [Found<'d>]) {
        match cursor.peek() {
            Some(b'{') => {
                // of a key that stands twice the last value counts
                self.set_all_below(found, Found::Missing);
                cursor.token();
                while let Some(key) = cursor.key() {
                    match self.below.get(&*key) {
                        Some(node) => node.look(cursor, found),
                        None => drop(cursor.value()),
                    }
                }
            }
            Some(b'[') => {
                self.set_all_below(found, Found::Missing);
                let mut at: BTreeMap<usize, Vec<&Node>> = BTreeMap::new();
                for (key, node) in &self.below {
                    if let Ok(position) = key.parse() {
                        at.entry(position).or_default().push(node);
                    }
                }
                cursor.token();
                for position in 1.. {
                    if !cursor.item() {
                        break;
                    }
                    let start = *cursor;
                    for node in at.get(&position).into_iter().flatten() {
                        *cursor = start;
                        node.look(cursor, found);
                    }
                    if !at.contains_key(&position) {
                        cursor.value();
                    }
                }
            }
            _ => {
                self.set_all_below(found, Found::Unreachable);
                cursor.value();
            }
        }
    }
}
