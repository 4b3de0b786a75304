//! The bytes that requests under way hold. A request is charged for the largest thing that it holds: its body, a
//! document, its answer; what is made of that on the way are a few copies of it. It is charged until its answer is sent.
//! What a worker holds of small ones is not counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is no larger is not charged.
pub const SMALL: usize = 64 * 1024;

tokio::task_local! {
    /// The charge of the request that is being answered; none where other work is done.
    static OF_REQUEST: Arc<Charge>;
}

/// All bytes that requests may hold.
#[derive(Debug, Clone)]
pub struct InFlight {
    bytes: Arc<Semaphore>,
    most: u32,
    held: IntGauge,
}

/// What one request is charged; it is given back when this is dropped.
#[derive(Debug)]
pub struct Charge {
    of: InFlight,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl InFlight {
    /// So many bytes; those that are held are told by `held`.
    pub fn new(most: usize, held: IntGauge) -> Self {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        Self { bytes: Arc::new(Semaphore::new(most as usize)), most, held }
    }

    /// A request that holds nothing yet.
    pub fn charge(&self) -> Arc<Charge> {
        Arc::new(Charge { of: self.clone(), held: Mutex::default() })
    }
}

impl Charge {
    /// Charges the request for a thing of so many bytes, at once; false if there are not so many.
    pub fn take(&self, bytes: usize) -> bool {
        let more = self.more(bytes);
        more == 0 || Arc::clone(&self.of.bytes).try_acquire_many_owned(more).map(|permit| self.add(permit)).is_ok()
    }

    /// The same, and waits until there are. A thing larger than all there is takes all.
    pub async fn wait_for(&self, bytes: usize) {
        let more = self.more(bytes);
        // the semaphore is never closed
        if more > 0
            && let Ok(permit) = Arc::clone(&self.of.bytes).acquire_many_owned(more).await
        {
            self.add(permit);
        }
    }

    /// Whether anything is charged.
    pub fn is_something(&self) -> bool {
        self.held().is_some()
    }

    /// How many bytes are to be charged beyond those that are.
    fn more(&self, bytes: usize) -> u32 {
        if bytes <= SMALL {
            return 0;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.of.most);
        let held = self.held().as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        bytes.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX))
    }

    fn add(&self, permit: OwnedSemaphorePermit) {
        self.of.held.add(count(&permit));
        let mut held = self.held();
        match held.as_mut() {
            Some(held) => held.merge(permit),
            None => *held = Some(permit),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(permit) = self.held().as_ref() {
            self.of.held.sub(count(permit));
        }
    }
}

fn count(permit: &OwnedSemaphorePermit) -> i64 {
    i64::try_from(permit.num_permits()).unwrap_or(i64::MAX)
}

/// Answers a request whose charge this is.
pub async fn of_request<T>(charge: Arc<Charge>, answering: impl Future<Output = T>) -> T {
    OF_REQUEST.scope(charge, answering).await
}

/// Waits until the request that is being answered may hold a thing of so many bytes. Other work does not wait.
pub async fn wait_for(bytes: usize) {
    if let Ok(charge) = OF_REQUEST.try_with(Arc::clone) {
        charge.wait_for(bytes).await;
    }
}

/// Charges the request that is being answered for a thing of so many bytes, at once; false if there are not so many.
pub fn take(bytes: usize) -> bool {
    OF_REQUEST.try_with(|charge| charge.take(bytes)).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 10 * SMALL;

    #[tokio::test]
    async fn a_request_is_charged_for_its_largest_thing_until_it_ends() {
        let held = IntGauge::new("held", "held").unwrap();
        let all = InFlight::new(MANY, held.clone());
        let (one, other) = (all.charge(), all.charge());
        for bytes in [SMALL, 6 * SMALL, 4 * SMALL, 6 * SMALL] {
            assert!(one.take(bytes));
        }
        assert!(!other.take(5 * SMALL));
        assert!(other.take(4 * SMALL) && other.take(SMALL));
        assert!(!one.take(7 * SMALL));
        assert_eq!(held.get(), 10 * 64 * 1024);
        drop(one);
        assert!(other.take(MANY) && other.take(2 * MANY - 1) == other.take(MANY));
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_another_ends() {
        let all = InFlight::new(MANY, IntGauge::new("held", "held").unwrap());
        let (one, other) = (all.charge(), all.charge());
        assert!(one.take(MANY));
        let waiting = tokio::spawn(of_request(other, wait_for(3 * MANY)));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(one);
        waiting.await.unwrap();
    }
}
