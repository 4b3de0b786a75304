//! Writes that wait for each other are done together: many share a commit, which takes about as long for all as for one.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;

use crate::document::{DbName, Document, Revision};

use super::super::ready::Ready;
use super::super::{Error, Result};
use super::file::File;
use super::settler::{Done, Settler, Tell};
use super::sweep::Sweep;
use super::tables::{Incoming, Tables};

/// How many writes share a commit at the most, and after how many bytes of documents no other joins them.
const MOST: usize = 256;
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Who writes the file.
pub(super) struct Writer {
    file: Arc<File>,
    waiting: Mutex<Waiting>,
    settler: Settler,
    /// What the last transaction left of it.
    sweep: Mutex<Sweep>,
}

#[derive(Default)]
struct Waiting {
    writes: VecDeque<Write>,
    /// Whose rows are to be brought up to their documents.
    behind: HashSet<DbName>,
    /// Whether somebody writes, and will come back for those that wait.
    is_attended: bool,
}

/// A write of a document that waits.
struct Write {
    database: DbName,
    id: String,
    plan: Box<Plan>,
}

/// Says by what is there what becomes of the document, or is told why nothing can.
type Plan = dyn FnOnce(Result<Option<&Document>>) -> Planned + Send;

/// What is to be written, and who is to be told whether it was committed.
struct Planned {
    replacement: Option<Incoming>,
    tell: Tell,
}

impl Writer {
    /// A writer of a file, from whom `ready` learns what is written.
    ///
    /// Errors: there can be no thread of those that it takes.
    pub(super) fn new(file: Arc<File>, ready: Arc<Ready>) -> io::Result<Arc<Self>> {
        let settler = Settler::new(ready)?;
        Ok(Arc::new(Self { file, waiting: Mutex::default(), settler, sweep: Mutex::default() }))
    }

    /// Writes a document of a database. It is on disk, and in what is ready, when this returns. Once it was begun it is
    /// done, whether or not somebody waits for it.
    ///
    /// `plan` says by the document that is there what takes its place, if anything does, and what is given then.
    ///
    /// Errors: the database is not there; those of `plan`; the file's.
    pub(super) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        database: &DbName,
        id: String,
        plan: impl FnOnce(Option<&Document>) -> Result<(Option<Incoming>, T)> + Send + 'static,
    ) -> Result<T> {
        let (sender, done) = oneshot::channel();
        let plan = Box::new(|existing: Result<Option<&Document>>| {
            let (replacement, done) = match existing.and_then(plan) {
                Ok((replacement, done)) => (replacement, Ok(done)),
                Err(error) => (None, Err(error)),
            };
            let tell = Box::new(|committed: Result<()>| {
                // whoever waits no longer need not know
                let _ = sender.send(done.and_then(|done| committed.map(|()| done)));
            });
            Planned { replacement, tell }
        });
        self.wait(|waiting| waiting.writes.push_back(Write { database: database.clone(), id, plan }));
        done.await.unwrap_or_else(|_| Err(Error::Refused("the store's work was cut off".to_owned())))
    }

    /// [`Incoming::new`], by who wants it written and not by who writes for all.
    pub(super) fn incoming(&self, database: &DbName, document: Document, revision: &Revision) -> Result<Incoming> {
        Incoming::new(&self.file.mapping, database, document, revision)
    }

    /// Has the rows of a database brought up to its documents, soon.
    pub(super) fn bring_up(self: &Arc<Self>, database: &DbName) {
        self.wait(|waiting| {
            waiting.behind.insert(database.clone());
        });
    }

    /// Adds something to what waits, and sees that somebody does it.
    fn wait(self: &Arc<Self>, add: impl FnOnce(&mut Waiting)) {
        let is_attended = {
            let mut waiting = self.waiting();
            add(&mut waiting);
            std::mem::replace(&mut waiting.is_attended, true)
        };
        if !is_attended {
            let writer = Arc::clone(self);
            spawn_blocking(move || Attendant(&writer).attend());
        }
    }

    /// What sees each change of a database from now on.
    pub(super) fn follow(&self, database: &DbName) -> watch::Receiver<u64> {
        self.settler.follow(database)
    }

    /// Waits until what the file holds now is in what is ready, too.
    pub(super) async fn settled(&self) {
        self.settler.settled().await;
    }

    /// What is done next; None if nobody waits.
    fn next(&self) -> Option<Waiting> {
        let mut waiting = self.waiting();
        let many = waiting.writes.len().min(MOST);
        let behind = std::mem::take(&mut waiting.behind);
        waiting.is_attended = many > 0 || !behind.is_empty();
        waiting.is_attended.then(|| Waiting {
            writes: waiting.writes.drain(..many).collect(),
            behind,
            is_attended: true,
        })
    }

    /// Does some of the writes in one transaction, brings up the rows that are to be, and has it told what became of each
    /// write. Gives those that are left.
    fn commit(&self, Waiting { mut writes, behind, .. }: Waiting) -> VecDeque<Write> {
        let mut tell = Vec::with_capacity(writes.len());
        let mut is_begun = false;
        let settling = self.settler.begin();
        // of a transaction that fails nothing is left
        let mut sweep = std::mem::take(&mut *lock(&self.sweep));
        let committed = self.file.redb.write(|transaction| {
            let mut tables = Tables::open(transaction, &self.file.mapping, &mut sweep)?;
            while tables.written() < MOST_BYTES
                && let Some(Write { database, id, plan }) = writes.pop_front()
            {
                let existing = tables.must_have(&database).and_then(|()| tables.document(&database, &id));
                let existing = existing.as_ref().map(Option::as_ref).map_err(Error::clone);
                let planned = plan(existing.clone());
                tell.push(planned.tell);
                if let (Some(incoming), Ok(existing)) = (planned.replacement, existing) {
                    is_begun = true;
                    tables.replace(&database, &id, existing, incoming)?;
                }
            }
            // what was written just now is behind, too
            for database in &behind {
                tables.catch_up(database)?;
            }
            tables.keep_up()?;
            Ok(tables.into_changes())
        });
        match &committed {
            Ok(_) => *lock(&self.sweep) = sweep,
            // nor would another try end otherwise
            Err(fault) => tell.extend(writes.drain(..).map(|write| (write.plan)(Err(fault.clone())).tell)),
        }
        self.settler.settle(Done { committed, is_begun, tell, settling });
        writes
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who writes for all.
struct Attendant<'w>(&'w Writer);

impl Attendant<'_> {
    /// Writes until nobody waits.
    fn attend(&self) {
        while let Some(mut next) = self.0.next() {
            while !next.writes.is_empty() || !next.behind.is_empty() {
                next = Waiting { writes: self.0.commit(next), ..Waiting::default() };
            }
        }
    }
}

impl Drop for Attendant<'_> {
    fn drop(&mut self) {
        // whoever writes next attends to those that wait
        if std::thread::panicking() {
            self.0.waiting().is_attended = false;
        }
    }
}
