//! Where notices wait for the broker: in the order of their documents' writes, and no more than there is room for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use crate::kazoo::notice::Notice;
use crate::metrics::Metrics;

/// The queue, as those who fill it and the one who empties it share it. A notice has its place until the broker has
/// confirmed it.
pub(super) struct Queue {
    notices: UnboundedSender<Queued>,
    /// Whether there is a connection to the broker.
    is_connected: AtomicBool,
    capacity: usize,
    waiting: AtomicUsize,
    /// How many were dropped since the log last said that the queue was full.
    overflow: AtomicU64,
    metrics: Metrics,
}

/// A notice in the queue.
pub(super) struct Queued {
    pub(super) notice: Notice,
    /// Who waits for the broker to have it.
    confirmed: oneshot::Sender<()>,
}

impl Queue {
    /// A queue with room for `capacity` notices, and where they come out.
    pub(super) fn new(capacity: usize, metrics: Metrics) -> (Arc<Self>, UnboundedReceiver<Queued>) {
        let (notices, queued) = mpsc::unbounded_channel();
        let waiting = AtomicUsize::new(0);
        let overflow = AtomicU64::new(0);
        let is_connected = AtomicBool::new(false);
        (Arc::new(Self { notices, is_connected, capacity, waiting, overflow, metrics }), queued)
    }

    /// Whether there is a connection to the broker.
    pub(super) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// The connection to the broker came or went.
    pub(super) fn set_connected(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Ordering::Relaxed);
    }

    /// Queues a notice, or drops it where there is no room. It never waits; what it gives ends when the broker has
    /// the notice, or will never have it.
    pub(super) fn push(&self, notice: Notice) -> oneshot::Receiver<()> {
        let (confirmed, receiver) = oneshot::channel();
        let queued = Queued { notice, confirmed };
        let one_more = |waiting| (waiting < self.capacity).then_some(waiting + 1);
        if self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_err() {
            self.metrics.notices_dropped(1);
            if self.overflow.fetch_add(1, Ordering::Relaxed) == 0 {
                log::warn!("the queue of {} change notices is full: notices are dropped", self.capacity);
            }
        } else if self.notices.send(queued).is_ok() {
            self.metrics.notice_queued();
        } else {
            // closed: the service has stopped
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            self.metrics.notices_dropped(1);
        }
        receiver
    }

    /// How many have a place.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Frees the place of a notice that the broker has confirmed.
    pub(super) fn confirmed(&self, queued: Queued) {
        let waiting = self.waiting.fetch_sub(1, Ordering::AcqRel) - 1;
        self.metrics.notice_sent();
        // nobody may wait for it any more
        let _ = queued.confirmed.send(());
        // not at the first free place: a queue that stays nearly full would be logged with every notice
        if waiting <= self.capacity / 2 {
            self.log_overflow();
        }
    }

    /// Gives up on those that still wait.
    pub(super) fn abandon(&self) {
        self.log_overflow();
        let lost = self.waiting.swap(0, Ordering::AcqRel);
        if lost > 0 {
            self.metrics.notices_dropped(lost);
            log::error!("{lost} change notices are lost: the broker did not take them in time");
        }
    }

    fn log_overflow(&self) {
        let dropped = self.overflow.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            log::warn!("{dropped} change notices were dropped since the queue was full; now it has room again");
        }
    }
}
