//! Who is let in: how many requests are answered at a time, and how much all of them may hold.

use prometheus::IntGauge;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::budgets::{Budget, Budgets};
use crate::in_flight::InFlight;
use crate::metrics::Metrics;

use super::error::Error;

/// The part of the bytes in flight that is for the bodies of those whose token nobody believes yet: an eighth.
const OPEN_PART: usize = 8;

/// The place that a request is answered in.
pub struct Place<'a> {
    _permit: SemaphorePermit<'a>,
    under_way: &'a IntGauge,
}

/// What requests share that is not without end.
pub struct Admission {
    requests: Semaphore,
    under_way: IntGauge,
    most: usize,
    /// What those may hold whose token is believed, and all others whose body is small.
    pub in_flight: InFlight,
    /// What large bodies of others may hold: they take nothing from those who are known.
    pub open: InFlight,
}

impl Admission {
    /// As much as the budgets say; `metrics` tell how much of it is taken.
    pub fn new(budgets: &Budgets, metrics: &Metrics) -> Self {
        let held = metrics.bytes_in_flight();
        Self {
            requests: Semaphore::new(budgets.max_requests.min(Semaphore::MAX_PERMITS)),
            under_way: metrics.requests_under_way(),
            most: budgets.max_requests,
            in_flight: InFlight::new(budgets.max_in_flight, held.clone()),
            open: InFlight::new(budgets.max_in_flight / OPEN_PART, held),
        }
    }

    /// A place for a request to be answered in.
    ///
    /// Errors: all are taken.
    pub fn enter(&self) -> Result<Place<'_>, Error> {
        let permit = self.requests.try_acquire().map_err(|_| Error::OverBudget(Budget::Requests, self.most))?;
        self.under_way.inc();
        Ok(Place { _permit: permit, under_way: &self.under_way })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.under_way.dec();
    }
}
