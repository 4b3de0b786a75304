//! What is asked for most, kept in memory: the rows of lists, and documents. A database in use is a snapshot that nobody
//! changes, read without a lock or a change of thread; each write makes the next one, which takes its place at once.
//!
//! Whoever writes tells every change, after it is on disk and before anybody is told that it is: so what is read here is
//! what the store holds. Which databases are kept is bounded by their bytes; the one that nobody asked for the longest is
//! left out first.

mod database;
mod held;
mod loader;
mod snapshot;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::document::{DbName, Document};
use crate::in_flight;

use super::mapping::{Mapped, Mapping};
use super::rows::Batch;
use super::{Query, Result, View};

use database::Loading;
use snapshot::{NewRow, Snapshot, cost};

pub(super) use database::Database;
pub(super) use held::Held;
pub(super) use snapshot::Known;

/// For how long a database is kept that nobody asks for.
const UNUSED: Duration = Duration::from_secs(600);

/// The databases that are kept. One may have three quarters of the room; more of it is read from the store.
pub(super) struct Ready {
    mapping: Arc<Mapping>,
    /// The views whose rows are kept, with their numbers.
    views: Vec<(usize, View)>,
    databases: Cache<DbName, Arc<Database>>,
    versions: AtomicU64,
    most_of_one: usize,
}

/// A document that was written.
pub(super) struct Change {
    pub(super) database: DbName,
    pub(super) id: Arc<str>,
    /// What it is now; None if it is gone.
    pub(super) document: Option<Arc<Document>>,
    pub(super) rows: Arc<Mapped>,
}

impl Ready {
    /// Keeps databases of so many bytes, each counted as so many at the least, and the rows that `mapping` makes for those
    /// views that are kept.
    pub(super) fn new(mapping: Arc<Mapping>, most: usize, least_of_one: usize) -> Self {
        let weigh = move |_: &DbName, database: &Arc<Database>| {
            u32::try_from(database.weigh().max(least_of_one)).unwrap_or(u32::MAX)
        };
        let left_out = |_: Arc<DbName>, database: Arc<Database>, why| {
            // one that is weighed anew takes its own place
            if why != RemovalCause::Replaced {
                database.held.is_lost();
            }
        };
        let databases = Cache::builder().max_capacity(most as u64).weigher(weigh);
        let databases = databases.time_to_idle(UNUSED).eviction_listener(left_out);
        Self {
            views: mapping.views.iter().copied().enumerate().filter(|(_, view)| view.is_kept).collect(),
            mapping,
            databases: databases.eviction_policy(EvictionPolicy::lru()).build(),
            versions: AtomicU64::new(1),
            most_of_one: most / 4 * 3,
        }
    }

    /// A database, if such are kept. Whoever asks for one is the reason why it is kept.
    pub(super) fn database(&self, name: &DbName) -> Option<Arc<Database>> {
        let is_kept = || self.views.iter().any(|(_, view)| (view.holds)(name));
        let made = || Arc::new(Database::of_version(self.next_version()));
        let begun = || is_kept().then(|| self.databases.get_with_by_ref(name, made));
        self.databases.get(name).or_else(begun)
    }

    /// What tells whether anything of a database was written since, whether or not its rows are loaded: what is read after
    /// this is no older. None if such databases are not kept.
    pub(super) fn version(&self, name: &DbName) -> Option<u64> {
        Some(self.database(name)?.version())
    }

    /// A document was written.
    pub(super) fn change(&self, change: Change) {
        self.change_all(vec![change]);
    }

    /// Documents were written, in this order. Those of a database that come together are seen together.
    pub(super) fn change_all(&self, changes: Vec<Change>) {
        let mut changes = changes.into_iter().peekable();
        while let Some(first) = changes.next() {
            let Some(database) = self.databases.get(&first.database) else { continue };
            let name = first.database.clone();
            let mut loading = database.loading();
            let mut next = Snapshot::clone(&database.now.load());
            // whoever reads a document meanwhile sees that it may be another one
            next.version = self.next_version();
            let mut change = Some(first);
            while let Some(now) = change {
                match &mut *loading {
                    Loading::Begun(waiting) => {
                        // a document that is known must not be older than what is on disk
                        next.replace(&now.id, now.document.clone(), Vec::new());
                        waiting.push(now);
                    }
                    _ => self.apply(&mut next, now),
                }
                change = changes.next_if(|next| next.database == name);
            }
            database.now.store(Arc::new(next));
            drop(loading);
            self.weigh(&name, &database);
        }
    }

    fn apply(&self, next: &mut Snapshot, change: Change) {
        let Change { id, document, rows, .. } = change;
        let rows = if next.has_rows() { self.new_rows(&rows) } else { Vec::new() };
        let is_room = |document: &Arc<Document>| next.bytes.load(Relaxed) + cost(document) <= self.most_of_one;
        let document = document.filter(is_room);
        next.replace(&id, document, rows);
    }

    /// A document's rows of the views that are kept.
    fn new_rows(&self, mapped: &Mapped) -> Vec<NewRow> {
        let kept = |((view, place), (key, number)): (&(usize, Vec<u8>), &(String, u32))| {
            let value = mapped.values.get(usize::try_from(*number).ok()?)?;
            let index = self.views.iter().position(|(kept, _)| kept == view)?;
            Some((index, place.clone(), key.as_str().into(), Arc::clone(value)))
        };
        mapped.rows.iter().filter_map(kept).collect()
    }

    /// Which of the kept views one is.
    fn index(&self, view: &View) -> Option<usize> {
        let number = self.mapping.number(view)?;
        self.views.iter().position(|(kept, _)| *kept == number)
    }

    /// The rows of a query in its order, at most as many as its batch, and the documents that they are of, if it wants
    /// them; None if the rows are not kept.
    pub(super) fn batch(&self, database: &Database, view: &View, query: &Query) -> Option<(Batch, Vec<Arc<Known>>)> {
        database.now.load().batch(self.index(view)?, query, &self.mapping)
    }

    /// A document as it is known, or else as `read` gives it, which is kept.
    pub(super) async fn document(
        &self,
        name: &DbName,
        database: &Arc<Database>,
        id: &str,
        read: impl Future<Output = Result<Option<Arc<Document>>>>,
    ) -> Result<Option<Arc<Document>>> {
        let (known, version) = database.known(id);
        if let Some(document) = known.as_ref().and_then(|known| known.document()) {
            in_flight::wait_for(document.bytes()).await;
            return Ok(Some(Arc::clone(document)));
        }
        let found = read.await?;
        match (&known, &found) {
            (Some(known), Some(document)) => self.keep(name, database, known, document),
            (None, Some(document)) => self.keep_new(name, database, version, id, document),
            (_, None) => {}
        }
        Ok(found)
    }

    /// Keeps a document that was read of what is known, if there is room.
    pub(super) fn keep(&self, name: &DbName, database: &Arc<Database>, known: &Known, document: &Arc<Document>) {
        if database.bytes() + cost(document) <= self.most_of_one {
            known.set_document(document);
            self.weigh(name, database);
        }
    }

    /// Keeps a document of which nothing was known at `version`, if nothing was written since, and there is room.
    fn keep_new(&self, name: &DbName, database: &Arc<Database>, version: u64, id: &str, document: &Arc<Document>) {
        let loading = database.loading();
        let now = database.now.load();
        if now.version != version || now.known(id).is_some() || database.bytes() + cost(document) > self.most_of_one {
            return;
        }
        let mut next = Snapshot::clone(&now);
        next.add(id.into(), Some(Arc::clone(document)), Vec::new());
        database.now.store(Arc::new(next));
        drop(loading);
        self.weigh(name, database);
    }

    /// The views whose rows are kept, with their numbers.
    pub(super) fn views(&self) -> impl Iterator<Item = (usize, View)> + '_ {
        self.views.iter().copied()
    }

    /// What is kept of a database, if anything is. It is no reason to keep it.
    pub(super) fn kept(&self, name: &DbName) -> Option<Arc<Database>> {
        self.databases.contains_key(name).then(|| self.databases.get(name)).flatten()
    }

    /// Whether this is what is kept of a database.
    pub(super) fn keeps(&self, name: &DbName, database: &Arc<Database>) -> bool {
        self.kept(name).is_some_and(|kept| Arc::ptr_eq(&kept, database))
    }

    /// Whether a document has rows that would be kept.
    pub(super) fn has_rows_of(&self, document: &Document) -> bool {
        let mut has_rows = false;
        self.views.iter().for_each(|(_, view)| (view.map)(document, &mut |_, _| has_rows = true));
        has_rows
    }

    /// Whether the rows of a view are kept of it.
    pub(super) fn has_rows(&self, database: &Database, view: &View) -> bool {
        self.index(view).is_some() && database.now.load().has_rows()
    }

    /// Leaves a database out, if this is what is kept of it.
    pub(super) fn leave_out(&self, name: &DbName, database: &Arc<Database>) {
        self.databases.entry_by_ref(name).and_compute_with(|kept| match kept {
            Some(kept) if Arc::ptr_eq(kept.value(), database) => Op::Remove,
            _ => Op::Nop,
        });
    }

    /// Forgets all: nobody knows what is on disk.
    pub(super) fn forget(&self) {
        self.databases.invalidate_all();
    }

    /// Has a database that grew counted anew, as long as it is the one that is kept.
    fn weigh(&self, name: &DbName, database: &Arc<Database>) {
        if database.is_to_be_weighed() {
            self.databases.entry_by_ref(name).and_compute_with(|kept| match kept {
                Some(kept) if Arc::ptr_eq(kept.value(), database) => Op::Put(Arc::clone(database)),
                _ => Op::Nop,
            });
        }
    }

    fn next_version(&self) -> u64 {
        self.versions.fetch_add(1, Relaxed)
    }
}
