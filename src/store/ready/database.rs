//! A database of which something is kept.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::super::own_writes::OwnWrites;
use super::Change;
use super::held::Held;
use super::snapshot::{Known, Snapshot};

/// What a database costs of which little is known: most of it is room for rows to come.
const COST_OF_DATABASE: usize = 12 * 1024;

/// By how much a database grows, at least, before it is weighed again.
const WEIGHED_BY: usize = 64 * 1024;

/// A database that is kept.
pub(in super::super) struct Database {
    pub(super) now: ArcSwap<Snapshot>,
    loading: Mutex<Loading>,
    /// For who does not see every write as it happens: how far what is here is held true, and what of it was written here.
    pub(in super::super) held: Held,
    pub(in super::super) own_writes: OwnWrites,
    /// Its bytes when it was last weighed.
    weighed: AtomicUsize,
}

/// How far the rows of a database are loaded. Whoever changes the snapshot holds it.
pub(super) enum Loading {
    /// Nobody asked for them yet.
    Not,
    /// They are being read. What changes meanwhile waits until they are there.
    Begun(Vec<Change>),
    /// They are there.
    Done,
    /// They are more than may be kept.
    TooMany,
}

impl Database {
    /// One of which nothing is known yet.
    pub(super) fn of_version(version: u64) -> Self {
        Self {
            now: ArcSwap::from_pointee(Snapshot::of_version(version)),
            loading: Mutex::new(Loading::Not),
            held: Held::default(),
            own_writes: OwnWrites::default(),
            weighed: AtomicUsize::new(0),
        }
    }

    /// Whether nobody began to load its rows.
    pub(in super::super) fn is_to_be_loaded(&self) -> bool {
        matches!(*self.loading(), Loading::Not)
    }

    /// What is another one after each write.
    pub(in super::super) fn version(&self) -> u64 {
        self.now.load().version
    }

    /// What is known of a document now, and of which version that is.
    pub(super) fn known(&self, id: &str) -> (Option<Arc<Known>>, u64) {
        let now = self.now.load();
        (now.known(id).cloned(), now.version)
    }

    /// What it costs to keep it, about.
    pub(super) fn bytes(&self) -> usize {
        self.now.load().bytes.load(Relaxed) + COST_OF_DATABASE
    }

    /// The same, which is what it is counted as from now on.
    pub(super) fn weigh(&self) -> usize {
        let bytes = self.bytes();
        self.weighed.store(bytes, Relaxed);
        bytes
    }

    /// Whether it has changed enough since it was weighed to be counted anew.
    pub(super) fn is_to_be_weighed(&self) -> bool {
        let (bytes, weighed) = (self.bytes(), self.weighed.load(Relaxed));
        bytes.abs_diff(weighed) > WEIGHED_BY.max(weighed / 8)
    }

    /// How far its rows are loaded; nobody else changes it as long as this is held.
    pub(super) fn loading(&self) -> MutexGuard<'_, Loading> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
