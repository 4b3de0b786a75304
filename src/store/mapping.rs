//! The rows that views have of a document, made by their native twins, and how a key's place among the rows is found.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use icu_collator::options::CollatorOptions;
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};
use lru::LruCache;
use serde_json::value::RawValue;

use crate::document::{DbName, Document, json};

use super::{Error, Result, Row, View};

/// How many places of keys are remembered: the same users stand in many groups.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

/// How long a key may be whose place is remembered.
const SHORT: usize = 64;

/// What rows are made by: the views, and the collation of their keys.
pub(super) struct Mapping {
    pub(super) views: &'static [View],
    collator: CollatorBorrowed<'static>,
    remembered: Mutex<LruCache<Box<str>, Box<[u8]>>>,
}

impl Mapping {
    /// Errors: the collation's data are not there, which are part of this program.
    pub(super) fn new(views: &'static [View]) -> Result<Self> {
        let collator = Collator::try_new(CollatorPreferences::default(), CollatorOptions::default());
        let collator = collator.map_err(|error| Error::Corrupt(error.to_string()))?;
        Ok(Self { views, collator, remembered: Mutex::new(LruCache::new(REMEMBERED)) })
    }

    /// The rows that this database's views have of a document.
    pub(super) fn map(&self, database: &DbName, document: &Document) -> Mapped {
        let mut mapped = Mapped::default();
        if document.id().is_none_or(|id| id.starts_with('_')) {
            return mapped;
        }
        for (view, of) in self.views.iter().enumerate().filter(|(_, view)| (view.holds)(database)) {
            (of.map)(document, &mut |key, value| {
                let place = (view, self.sort_key(key));
                let number = mapped.number(value);
                mapped.rows.insert(place, (key.to_owned(), number));
            });
        }
        mapped
    }

    /// Which of the views one is; None if it is none of them.
    pub(super) fn number(&self, view: &View) -> Option<usize> {
        self.views.iter().position(|known| known.design == view.design && known.name == view.name)
    }

    /// The rows that one view has of a document: where their keys stand in the collation, the keys, and the values.
    pub(super) fn of_view(&self, view: &View, document: &Document) -> Vec<(Vec<u8>, String, Arc<RawValue>)> {
        let mut rows = Vec::new();
        (view.map)(document, &mut |key, value| rows.push((self.sort_key(key), key.to_owned(), Arc::clone(value))));
        rows
    }

    /// Bytes that sort as CouchDB collates the text: by ICU's root collation.
    pub(super) fn sort_key(&self, key: &str) -> Vec<u8> {
        if key.len() > SHORT {
            return self.collated(key);
        }
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = remembered.get(key) {
            return place.to_vec();
        }
        let place = self.collated(key);
        remembered.put(key.into(), place.as_slice().into());
        place
    }

    fn collated(&self, key: &str) -> Vec<u8> {
        let mut sort_key = Vec::with_capacity(key.len() * 2);
        let Ok(()) = self.collator.write_sort_key_to(key, &mut sort_key);
        sort_key
    }
}

/// A view's name with that of its design document.
pub(super) fn path(view: &View) -> String {
    format!("{}/{}", view.design, view.name)
}

fn is_same_value(one: &RawValue, other: &RawValue) -> bool {
    match (json::tree(one), json::tree(other)) {
        (Ok(one), Ok(other)) => json::canonical(&one) == json::canonical(&other),
        _ => false,
    }
}

/// A document's rows.
#[derive(Clone, Default)]
pub(super) struct Mapped {
    /// The view's number, the key's place in the collation -> key, and the number of the value.
    pub(super) rows: BTreeMap<(usize, Vec<u8>), (String, u32)>,
    pub(super) values: Vec<Arc<RawValue>>,
    /// The value of the last row and its number: mostly it is that of the next row too.
    last: Option<(Arc<RawValue>, u32)>,
}

impl Mapped {
    /// Whether a row of the view of this number is among them, as this or another text of the same value.
    pub(super) fn has(&self, view: usize, row: &Row) -> bool {
        let is_same = |value: &RawValue| value.get() == row.value.get() || is_same_value(value, &row.value);
        self.rows.iter().any(|((of, _), (key, number))| {
            let value = usize::try_from(*number).ok().and_then(|number| self.values.get(number));
            *of == view && *key == *row.key && value.is_some_and(|value| is_same(value))
        })
    }

    /// The number of a value, which is kept once.
    fn number(&mut self, value: &Arc<RawValue>) -> u32 {
        if let Some((_, number)) = self.last.as_ref().filter(|(last, _)| Arc::ptr_eq(last, value)) {
            return *number;
        }
        let number = self.values.iter().position(|known| known.get() == value.get()).unwrap_or_else(|| {
            self.values.push(Arc::clone(value));
            self.values.len() - 1
        });
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.last = Some((Arc::clone(value), number));
        number
    }
}
