//! Who is let in: how many requests are answered at a time, and how much all of them may hold.

use crate::budgets::{Budget, Budgets};
use crate::in_flight::InFlight;
use crate::metrics::Metrics;
use crate::places::{Place, Places};

use super::error::Error;

/// The part of the bytes in flight that is for the bodies of those whose token nobody believes yet: an eighth.
const OPEN_PART: usize = 8;

/// What requests share that is not without end.
pub struct Admission {
    requests: Places,
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
            requests: Places::new(budgets.max_requests, metrics.requests_under_way()),
            in_flight: InFlight::new(budgets.max_in_flight, held.clone()),
            open: InFlight::new(budgets.max_in_flight / OPEN_PART, held),
        }
    }

    /// A place for a request to be answered in.
    ///
    /// Errors: all are taken.
    pub fn enter(&self) -> Result<Place, Error> {
        self.requests.take().map_err(|most| Error::OverBudget(Budget::Requests, most))
    }
}
