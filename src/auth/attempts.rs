//! Attempts to sign in are written down after they were answered, by one task: where the account's database of the
//! month is there. It is never made for that.

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_util::sync::CancellationToken;

use crate::background::Background;
use crate::kazoo::login_attempt::Attempt;
use crate::store::{self, SharedStore};
use crate::world::World;

/// How many attempts may wait to be written down; further ones only stand in the log.
const CAPACITY: usize = 1_000;

/// Where attempts go.
pub(super) struct Attempts(Sender<Attempt>);

impl Attempts {
    /// Writes attempts down in the name of `node` until `background` ends.
    pub(super) fn start(store: SharedStore, world: World, node: String, background: &Background) -> Self {
        let (sender, attempts) = mpsc::channel(CAPACITY);
        background.start(|stopping| Writer { store, world, node }.run(attempts, stopping));
        Self(sender)
    }

    /// Has an attempt written down. It never waits.
    pub(super) fn record(&self, attempt: Attempt) {
        if let Err(error) = self.0.try_send(attempt) {
            log::warn!(
                "an attempt to sign in is not written down: {}",
                match error {
                    mpsc::error::TrySendError::Full(_) => "too many wait for the store",
                    mpsc::error::TrySendError::Closed(_) => "the service stops",
                }
            );
        }
    }
}

struct Writer {
    store: SharedStore,
    world: World,
    node: String,
}

impl Writer {
    /// Writes until `stopping` is cancelled, and then what is still there.
    async fn run(self, mut attempts: Receiver<Attempt>, stopping: CancellationToken) {
        loop {
            tokio::select! {
                attempt = attempts.recv() => match attempt {
                    Some(attempt) => self.write(&attempt).await,
                    None => return,
                },
                () = stopping.cancelled() => attempts.close(),
            }
        }
    }

    async fn write(&self, attempt: &Attempt) {
        let now = self.world.gregorian_seconds();
        let document = attempt.document(now, &self.world.document_id(), &self.node);
        let database = attempt.database(now);
        match self.store.put(&database, &document).await {
            Ok(_) | Err(store::Error::MissingDatabase(_)) => {}
            Err(error) => {
                log::error!("{} an attempt to sign in is not written down: {error}", attempt.client.request_id);
            }
        }
    }
}
