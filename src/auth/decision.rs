//! Decisions: made by what is remembered, and before they refuse, made again by what is read anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::background::Background;
use crate::document::DocId;
use crate::kazoo::account::AccountId;
use crate::metrics::Metrics;
use crate::store::SharedStore;
use crate::world::World;

use super::attempts::Attempts;
use super::error::Error;
use super::evidence::{Evidence, Memory, System};

/// Decides who may do what, and reads what that takes.
pub struct Auth {
    pub(super) store: SharedStore,
    pub(super) world: World,
    pub(super) memory: Memory,
    pub(super) attempts: Option<Attempts>,
}

impl Auth {
    /// Remembers what it reads for `remembered`: so long a right that ended may still be there.
    pub fn new(store: SharedStore, metrics: Metrics, remembered: Duration, world: World) -> Self {
        let memory = Memory::new(Arc::clone(&store), metrics, remembered);
        Self { store, world, memory, attempts: None }
    }

    /// Has attempts to sign in written down by work of `background`, in the name of `node`.
    pub fn writing_down_attempts(mut self, node: String, background: &Background) -> Self {
        self.attempts = Some(Attempts::start(Arc::clone(&self.store), self.world, node, background));
        self
    }

    /// Makes a decision by what is remembered, and where that would refuse, again by what is read anew.
    ///
    /// Errors: those of the decision.
    pub async fn decide<T>(&self, decision: impl AsyncFn(&Evidence<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let began = Instant::now();
        let remembered = Evidence::remembered(&self.memory, self.world, began);
        match decision(&remembered).await {
            Err(error) if error.is_refusal() && remembered.is_older_than_its_decision() => {
                decision(&Evidence::anew(&self.memory, self.world, began)).await
            }
            decided => decided,
        }
    }

    /// For how long what was read is remembered.
    pub fn remembers_for(&self) -> Duration {
        self.memory.tokens.remembered()
    }

    /// Whether an account has a user that is not deleted: that it has is remembered, that it has not is read.
    pub async fn has_user(&self, account: AccountId, user: &DocId) -> Result<bool, Error> {
        let read = || self.memory.read_owner(account, user);
        Ok(self.memory.owners.find((account, user.clone()), read).await?.is_some())
    }

    /// The system's configuration, as it is remembered.
    pub async fn system(&self) -> Result<Arc<System>, Error> {
        Evidence::remembered(&self.memory, self.world, Instant::now()).system().await
    }
}
