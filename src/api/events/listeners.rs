//! All who listen: how many may, what they are told of, and when it ends.

use tokio_util::sync::CancellationToken;

use crate::budgets::{Budget, Budgets};
use crate::metrics::Metrics;
use crate::places::{Place, Places};
use crate::store::SharedStore;

use super::super::error::Error;

/// Those who listen.
pub struct Listeners {
    places: Places,
    /// Cancelled when nobody may listen any longer.
    pub(super) ending: CancellationToken,
    /// What they are told of. What is kept in memory before a CouchDB may be a moment behind the place that it has reached:
    /// what was written in between would be told by nobody.
    pub(super) source: SharedStore,
}

impl Listeners {
    /// As many as the budgets say, until `ending` is cancelled; `metrics` tell how many there are. They are told what
    /// happens in `source`, whose lists are never behind its history.
    pub fn new(budgets: &Budgets, metrics: &Metrics, ending: CancellationToken, source: SharedStore) -> Self {
        Self { places: Places::new(budgets.max_listeners, metrics.listeners()), ending, source }
    }

    /// A place for one more, as long as this is held.
    ///
    /// Errors: all are taken.
    pub(super) fn enter(&self) -> Result<Place, Error> {
        self.places.take().map_err(|most| Error::OverBudget(Budget::Listeners, most))
    }
}
