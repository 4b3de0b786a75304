//! How far what is kept of a database is held true by who hears of its changes.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Nobody holds it true.
const NOT: u8 = 0;
/// Somebody is about to.
const BEGUN: u8 = 1;
/// It is as the database is, but for what is on its way.
const LIVE: u8 = 2;
/// It was once, and what comes next is not known.
const LOST: u8 = 3;

/// The state of a database that is followed. It goes one way: one that is lost is left out, and another begun.
#[derive(Debug, Default)]
pub(in super::super) struct Held {
    state: AtomicU8,
    /// Whether somebody has asked for it since that was seen last.
    was_asked: AtomicBool,
}

impl Held {
    /// Whether whoever asks is the one who is to hold it true: the first.
    pub(in super::super) fn begin(&self) -> bool {
        self.state.compare_exchange(NOT, BEGUN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// From now on it is held true, unless it was lost meanwhile.
    pub(in super::super) fn is_caught_up(&self) {
        let _ = self.state.compare_exchange(BEGUN, LIVE, Ordering::AcqRel, Ordering::Acquire);
    }

    /// From now on nobody holds it true.
    pub(in super::super) fn is_lost(&self) {
        self.state.store(LOST, Ordering::Release);
    }

    /// Whether nobody holds it true any longer, or it was left out.
    pub(in super::super) fn is_over(&self) -> bool {
        self.state.load(Ordering::Acquire) == LOST
    }

    /// Whether it is held true.
    pub(in super::super) fn is_live(&self) -> bool {
        self.state.load(Ordering::Acquire) == LIVE
    }

    /// Somebody asks for it.
    pub(in super::super) fn is_asked(&self) {
        // most of the time it is known
        if !self.was_asked.load(Ordering::Relaxed) {
            self.was_asked.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody has, since this was called last.
    pub(in super::super) fn was_asked(&self) -> bool {
        self.was_asked.swap(false, Ordering::Relaxed)
    }
}
