//! Who may do what, below HTTP: whom a request's credentials speak for, which account a path means, what a token may
//! do there, and signing in. It is the one place where that is decided.
//!
//! A decision rests on documents: signing keys, secrets, accounts, restrictions. They are read from the store and
//! remembered for a few seconds ([`memory`]), what is not there too. **Nothing remembered may refuse**: before a
//! decision that rests on what was remembered refuses, it is made again on what is read anew ([`Auth::decide`]),
//! bounded so that a flood of bad tokens is no flood of reads. Nothing is ever written for a token that comes in.

mod attempts;
mod documents;
mod error;
mod identity;
mod memory;
mod profile;
mod sign_in;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::background::Background;
use crate::metrics::Metrics;
use crate::store::SharedStore;
use crate::world::World;

use attempts::Attempts;
use memory::Memory;

pub use documents::{Evidence, Owner, System};
pub use error::Error;
pub use identity::{Credentials, Identity};
pub use sign_in::{ApiKey, Entrant, SignedIn, UserCredentials};

/// Decides who may do what, and reads what that takes.
pub struct Auth {
    store: SharedStore,
    world: World,
    memory: Memory,
    attempts: Option<Attempts>,
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

    /// The system's configuration, as it is remembered.
    pub async fn system(&self) -> Result<Arc<System>, Error> {
        Evidence::remembered(&self.memory, self.world, Instant::now()).system().await
    }
}
