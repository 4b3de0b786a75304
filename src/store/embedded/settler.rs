//! What was committed is told: to what is ready, to those who follow, and to those who wrote. That is done aside, in the
//! order of the commits, so that who writes for all begins the next one meanwhile.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use futures::executor::block_on;
use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};

use crate::document::DbName;

use super::super::Result;
use super::super::ready::{Change, Ready};
use super::history::Followers;

/// How many commits may wait to be told.
const MOST: usize = 1;

/// What a transaction changed, and the last numbers of the databases' histories.
pub(super) type Changes = (Vec<Change>, HashMap<DbName, u64>);

/// Tells one who wrote whether it was committed.
pub(super) type Tell = Box<dyn FnOnce(Result<()>) + Send>;

/// Who tells what was committed.
pub(super) struct Settler {
    done: SyncSender<Done>,
    followers: Arc<Followers>,
    /// Held from before a commit until it is told.
    settling: Arc<RwLock<()>>,
}

/// From before a commit until it is told.
pub(super) struct Settling {
    _guard: OwnedRwLockReadGuard<()>,
}

/// What became of a commit of which nobody knows yet.
pub(super) struct Done {
    pub(super) committed: Result<Changes>,
    /// Whether anything was to be written: if it failed, what is on disk now is not known.
    pub(super) is_begun: bool,
    pub(super) tell: Vec<Tell>,
    pub(super) settling: Settling,
}

impl Settler {
    /// One that keeps `ready` as the file is.
    ///
    /// Errors: there can be no further thread.
    pub(super) fn new(ready: Arc<Ready>) -> io::Result<Self> {
        let (done, waiting) = sync_channel(MOST);
        let followers = Arc::<Followers>::default();
        let told = Arc::clone(&followers);
        thread::Builder::new().name("store".to_owned()).spawn(move || settle_all(&waiting, &ready, &told))?;
        Ok(Self { done, followers, settling: Arc::default() })
    }

    /// A commit begins, by who may block.
    pub(super) fn begin(&self) -> Settling {
        Settling { _guard: block_on(Arc::clone(&self.settling).read_owned()) }
    }

    /// It is over. Returns when no more than [`MOST`] wait to be told.
    pub(super) fn settle(&self, done: Done) {
        // its end is this one's: while there is one who writes, there is one who tells
        let _ = self.done.send(done);
    }

    /// Waits until what the file holds now is in what is ready, too.
    pub(super) async fn settled(&self) {
        drop(self.settling.write().await);
    }

    /// What sees each change of a database from now on.
    pub(super) fn follow(&self, database: &DbName) -> watch::Receiver<u64> {
        self.followers.follow(database)
    }
}

fn settle_all(waiting: &Receiver<Done>, ready: &Ready, followers: &Followers) {
    for Done { committed, is_begun, tell, settling } in waiting {
        let told = committed.map(|(changes, last)| {
            // what was told in part only is read anew
            if catch_unwind(AssertUnwindSafe(|| ready.change_all(changes))).is_err() {
                ready.forget();
            }
            followers.changed(last);
        });
        if told.is_err() && is_begun {
            ready.forget();
        }
        drop(settling);
        for tell in tell {
            tell(told.clone());
        }
    }
}
