//! What is known of a database at one moment, which nobody changes.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use equivalent::{Comparable, Equivalent};
use imbl::OrdMap;
use serde_json::value::RawValue;

use crate::document::Document;

use super::super::mapping::Mapping;
use super::super::rows::Batch;
use super::super::{Direction, Place, Query, Row};

/// What a row costs beside its value, and a document beside its JSON and for each of its fields.
pub(super) const COST_OF_ROW: usize = 160;
const COST_OF_DOCUMENT: usize = 200;
const COST_OF_FIELD: usize = 80;

/// The documents of a database that are known, and the rows of its views once they are loaded.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    /// No other snapshot of any database has the same.
    pub(super) version: u64,
    /// What it costs to keep it, about.
    pub(super) bytes: Arc<AtomicUsize>,
    documents: OrdMap<Arc<str>, Arc<Known>>,
    /// One for each view, once they are loaded.
    rows: Option<Vec<Rows>>,
}

/// The rows of a view: by their keys as these are collated, then by their documents.
type Rows = OrdMap<At<Arc<[u8]>, Arc<str>>, Kept>;

/// Where a row stands: the key's place in the collation, and the document's id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct At<K, I>(K, I);

/// A row as it is kept.
#[derive(Clone)]
struct Kept {
    key: Arc<str>,
    value: Arc<RawValue>,
    known: Arc<Known>,
}

/// A document that is known.
pub(in super::super) struct Known {
    id: Arc<str>,
    /// What it holds, once somebody wanted it.
    document: OnceLock<Arc<Document>>,
    /// Which rows it has: of which view, and where.
    places: Vec<(usize, Arc<[u8]>)>,
    /// What its rows' values take.
    values: usize,
    bytes: Arc<AtomicUsize>,
}

/// A row to be kept: of which view, the key's place in the collation, key and value.
pub(super) type NewRow = (usize, Vec<u8>, Arc<str>, Arc<RawValue>);

impl Equivalent<At<Arc<[u8]>, Arc<str>>> for At<&[u8], &str> {
    fn equivalent(&self, other: &At<Arc<[u8]>, Arc<str>>) -> bool {
        self.compare(other).is_eq()
    }
}

impl Comparable<At<Arc<[u8]>, Arc<str>>> for At<&[u8], &str> {
    fn compare(&self, other: &At<Arc<[u8]>, Arc<str>>) -> Ordering {
        self.0.cmp(&*other.0).then_with(|| self.1.cmp(&*other.1))
    }
}

impl Known {
    /// What it holds, if that is known.
    pub(in super::super) fn document(&self) -> Option<&Arc<Document>> {
        self.document.get()
    }

    /// From now on what it holds is known. It was read after this was made, so it is no older.
    pub(super) fn set_document(&self, document: &Arc<Document>) {
        if self.document.set(Arc::clone(document)).is_ok() {
            self.bytes.fetch_add(cost(document), Relaxed);
        }
    }

    fn cost(&self) -> usize {
        self.document.get().map_or(0, |document| cost(document)) + self.places.len() * COST_OF_ROW + self.values
    }
}

/// What it costs to keep a document, about.
pub(super) fn cost(document: &Document) -> usize {
    document.bytes() + COST_OF_DOCUMENT + document.len() * COST_OF_FIELD
}

impl Snapshot {
    /// Of a database of which nothing is known.
    pub(super) fn of_version(version: u64) -> Self {
        Self { version, ..Self::default() }
    }

    /// The document of an id, if there is one that is known.
    pub(super) fn known(&self, id: &str) -> Option<&Arc<Known>> {
        self.documents.get(id)
    }

    /// Whether the rows are loaded.
    pub(super) fn has_rows(&self) -> bool {
        self.rows.is_some()
    }

    /// The same documents without rows, of so many views, of which rows can be added.
    pub(super) fn of_views(&self, views: usize) -> Self {
        let mut snapshot = Self { bytes: Arc::default(), rows: Some(vec![Rows::new(); views]), ..Self::default() };
        for known in self.documents.values() {
            snapshot.add(Arc::clone(&known.id), known.document.get().cloned(), Vec::new());
        }
        snapshot
    }

    /// A document is now this one, or gone, and has these rows. One of which nobody knew is of no interest without rows.
    pub(super) fn replace(&mut self, id: &str, document: Option<Arc<Document>>, rows: Vec<NewRow>) {
        let old = self.documents.get(id).cloned();
        if let Some(old) = &old {
            self.forget(old);
        }
        if !rows.is_empty() || old.is_some() && document.is_some() {
            self.add(old.map_or_else(|| id.into(), |old| Arc::clone(&old.id)), document, rows);
        }
    }

    /// Takes out a document and its rows.
    fn forget(&mut self, known: &Known) {
        self.documents.remove(&*known.id);
        self.bytes.fetch_sub(known.cost(), Relaxed);
        for (view, place) in &known.places {
            if let Some(rows) = self.rows.as_mut().and_then(|rows| rows.get_mut(*view)) {
                rows.remove(&At(&**place, &*known.id));
            }
        }
    }

    /// Takes in a document that is not there, and its rows, if rows are loaded.
    pub(super) fn add(&mut self, id: Arc<str>, document: Option<Arc<Document>>, new: Vec<NewRow>) {
        let document = document.map_or_else(OnceLock::new, OnceLock::from);
        let rows = self.rows.as_mut();
        let shared: Vec<_> = match &rows {
            Some(rows) => new.into_iter().map(|row| sharing(rows, row)).collect(),
            None => Vec::new(),
        };
        let places = shared.iter().map(|(view, place, ..)| (*view, Arc::clone(place))).collect();
        // mostly all rows share a value
        let values = shared.first().map_or(0, |(.., value)| value.get().len());
        let known = Arc::new(Known { id, document, places, values, bytes: Arc::clone(&self.bytes) });
        self.bytes.fetch_add(known.cost(), Relaxed);
        if let Some(rows) = rows {
            for (view, place, key, value) in shared {
                let kept = Kept { key, value, known: Arc::clone(&known) };
                rows[view].insert(At(place, Arc::clone(&known.id)), kept);
            }
        }
        self.documents.insert(Arc::clone(&known.id), known);
    }

    /// The rows of a query in its order, at most as many as its batch, and the documents that they are of; None if no
    /// rows are loaded.
    pub(super) fn batch(&self, view: usize, query: &Query, mapping: &Mapping) -> Option<(Batch, Vec<Arc<Known>>)> {
        let rows = self.rows.as_ref()?.get(view)?;
        let sort_key = |place: &Option<Place>| place.as_ref().map(|place| mapping.sort_key(&place.key));
        let (first, last) = (sort_key(&query.first), sort_key(&query.last));
        let first = At(first.as_deref().unwrap_or_default(), query.first_id());
        // no sort key begins with a byte of 255
        let last = At(last.as_deref().unwrap_or(&[u8::MAX]), query.last_id());
        let mut batch = Batch { rows: Vec::new(), is_last: true };
        let mut documents = Vec::new();
        if (first.0, first.1) > (last.0, last.1) {
            return Some((batch, documents));
        }
        let mut range = rows.range::<_, At<&[u8], &str>>((Bound::Included(&first), Bound::Included(&last)));
        while let Some((_, kept)) = match query.direction {
            Direction::Ascending => range.next(),
            Direction::Descending => range.next_back(),
        } {
            if batch.rows.len() == query.batch {
                batch.is_last = false;
                break;
            }
            let document = kept.known.document().filter(|_| query.with_documents).cloned();
            if query.with_documents {
                documents.push(Arc::clone(&kept.known));
            }
            let (id, key, value) = (Arc::clone(&kept.known.id), Arc::clone(&kept.key), Arc::clone(&kept.value));
            batch.rows.push(Row { id, key, value, document });
        }
        Some((batch, documents))
    }
}

/// A row that shares the key of the one beside it, if that is the same.
fn sharing(rows: &[Rows], (view, place, key, value): NewRow) -> (usize, Arc<[u8]>, Arc<str>, Arc<RawValue>) {
    let from = (Bound::Included(At(&*place, "")), Bound::Unbounded);
    let beside = rows[view].range::<_, At<&[u8], &str>>(from).next();
    match beside.filter(|(at, _)| *at.0 == *place) {
        Some((at, kept)) => (view, Arc::clone(&at.0), Arc::clone(&kept.key), value),
        None => (view, place.into(), key, value),
    }
}
