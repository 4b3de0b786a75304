//! Who is let in: how many requests are answered at a time, and how much all of them may hold.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::budgets::{Budget, Budgets};
use crate::in_flight::InFlight;

use super::error::Error;

/// The part of the bytes in flight that is for the bodies of those whose token nobody believes yet: an eighth.
const OPEN_PART: usize = 8;

/// What requests share that is not without end.
pub struct Admission {
    requests: Semaphore,
    most: usize,
    /// What those may hold whose token is believed, and all others whose body is small.
    pub in_flight: InFlight,
    /// What large bodies of others may hold: they take nothing from those who are known.
    pub open: InFlight,
    /// How much both are, for those who are refused.
    pub most_in_flight: usize,
}

impl Admission {
    /// As much as the budgets say.
    pub fn new(budgets: &Budgets) -> Self {
        Self {
            requests: Semaphore::new(budgets.max_requests.min(Semaphore::MAX_PERMITS)),
            most: budgets.max_requests,
            in_flight: InFlight::new(budgets.max_in_flight),
            open: InFlight::new(budgets.max_in_flight / OPEN_PART),
            most_in_flight: budgets.max_in_flight,
        }
    }

    /// A place for a request to be answered in.
    ///
    /// Errors: all are taken.
    pub fn enter(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.requests.try_acquire().map_err(|_| Error::OverBudget(Budget::Requests, self.most))
    }
}
