//! Writes of ours into a database whose changes are also told by its feed, so that whichever comes first, the later one holds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::document::Revision;

/// The writes of one database that are under way, or of which its feed has yet to tell.
#[derive(Debug, Default)]
pub(super) struct OwnWrites(Mutex<HashMap<Arc<str>, State>>);

/// What is known of a document's writes.
#[derive(Debug, Default)]
struct State {
    under_way: usize,
    /// The last revision of ours, until the feed tells of it.
    awaited: Option<Revision>,
    /// The last that the feed told while a write was under way.
    told: Option<Revision>,
}

impl State {
    fn is_over(&self) -> bool {
        self.under_way == 0 && self.awaited.is_none()
    }
}

impl OwnWrites {
    /// A write of a document begins.
    pub(super) fn begin(&self, id: &Arc<str>) {
        self.states().entry(Arc::clone(id)).or_default().under_way += 1;
    }

    /// It ended; the document is known to have been of this revision, if of any. Does `apply`, if the feed did not tell of
    /// it, or of what came after it, before.
    pub(super) fn end(&self, id: &Arc<str>, revision: Option<&Revision>, apply: impl FnOnce()) {
        let mut states = self.states();
        let Entry::Occupied(mut entry) = states.entry(Arc::clone(id)) else { return };
        let state = entry.get_mut();
        state.under_way = state.under_way.saturating_sub(1);
        let later = [&state.told, &state.awaited].into_iter().flatten().max();
        if let Some(revision) = revision.filter(|revision| later.is_none_or(|later| later < revision)) {
            apply();
            state.awaited = Some(revision.clone());
        }
        if state.is_over() {
            entry.remove();
        }
    }

    /// The feed tells of a revision of a document. Does `apply`, unless a later one of ours is yet to be told of.
    pub(super) fn told(&self, id: &Arc<str>, revision: &Revision, apply: impl FnOnce()) {
        let mut states = self.states();
        let Entry::Occupied(mut entry) = states.entry(Arc::clone(id)) else { return apply() };
        let state = entry.get_mut();
        if state.awaited.as_ref().is_some_and(|awaited| awaited > revision) {
            return;
        }
        state.awaited = None;
        state.told = Some(revision.clone());
        apply();
        if state.is_over() {
            entry.remove();
        }
    }

    fn states(&self) -> MutexGuard<'_, HashMap<Arc<str>, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What is shown after a write of revision 2 that began, was told of or not, and ended.
    fn shown(steps: &[&str]) -> Vec<String> {
        let (writes, id, shown) = (OwnWrites::default(), Arc::<str>::from("g"), RefCell::new(Vec::new()));
        for step in steps {
            let show = |of: &str| shown.borrow_mut().push(of.to_owned());
            match step.split_once(' ') {
                None => writes.begin(&id),
                Some(("end", "-")) => writes.end(&id, None, || show("-")),
                Some(("end", of)) => writes.end(&id, Some(&of.parse().unwrap()), || show(of)),
                Some((_, of)) => writes.told(&id, &of.parse().unwrap(), || show(of)),
            }
        }
        assert!(writes.states().is_empty(), "{steps:?}");
        shown.into_inner()
    }

    #[test]
    fn the_later_of_a_write_and_what_is_told_holds() {
        for (steps, expected) in [
            // told after it ended, and what is told late is left out
            (&["begin", "end 2-a", "told 1-a", "told 2-a", "told 3-a"][..], &["2-a", "2-a", "3-a"][..]),
            // told before it ended, and of what came after it
            (&["begin", "told 2-a", "end 2-a"], &["2-a"]),
            (&["begin", "told 2-a", "told 3-a", "end 2-a"], &["2-a", "3-a"]),
            // it did not happen
            (&["begin", "told 2-b", "end -"], &["2-b"]),
            // of two that are under way the later holds
            (&["begin", "begin", "end 3-a", "end 2-a", "told 2-a", "told 3-a"], &["3-a", "3-a"]),
            // of what nobody here writes each is told in its order, lower ones too
            (&["told 3-a", "told 2-b"], &["3-a", "2-b"]),
        ] {
            assert_eq!(shown(steps), expected, "{steps:?}");
        }
    }
}
