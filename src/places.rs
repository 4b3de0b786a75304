//! Places for what may go on only so many times at once, and a count of those that are taken.

use std::sync::Arc;

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::UnderWay;

/// So many places.
pub struct Places {
    free: Arc<Semaphore>,
    most: usize,
    taken: IntGauge,
}

/// A place that is taken until this is dropped.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: UnderWay,
}

impl Places {
    /// `most` places; `taken` tells how many of them are.
    pub fn new(most: usize, taken: IntGauge) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(most)), most, taken }
    }

    /// Takes a place.
    ///
    /// Errors: all are taken, which are so many.
    pub fn take(&self) -> Result<Place, usize> {
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_| self.most)?;
        Ok(Place { _permit: permit, _counted: UnderWay::of(&self.taken) })
    }
}
