//! Who changes a document on top of what is there waits for the others of this process who do: each then finds what the
//! one before has written, and none has to begin again. Other processes' writes are found by their revisions.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use crate::document::{DbName, DocId};

/// How many documents can be changed at a time. Of two that share a place, one waits needlessly.
const PLACES: usize = 1_024;

/// The places of those who change documents.
pub struct Writers {
    places: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Default for Writers {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl Writers {
    /// Waits for its turn to change a document, which lasts until what this gives is dropped.
    pub async fn turn(&self, database: &DbName, id: &DocId) -> Option<MutexGuard<'_, ()>> {
        let place = self.hasher.hash_one((database.as_str(), id.as_str())) % self.places.len() as u64;
        Some(self.places.get(usize::try_from(place).ok()?)?.lock().await)
    }
}
