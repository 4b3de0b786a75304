//! The nodes of one CouchDB, and which of them is asked.
//!
//! The first that is well is asked, in the order in which they were given: so a client's next read goes where its write
//! went, and CouchDB's own quorum (two of three copies, as it comes) is what else a read needs to see a write made by
//! another node. Views have no quorum: on a cluster a list may be behind for as long as the nodes are apart.
//!
//! A node that fails is left alone for a while, for longer each time. Then it is asked whether it greets again, and the
//! others are asked until it does: no client waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Response;

use super::super::Error;
use super::answer::{Answer, Failure, Fate, Nonsense};
use super::node::{Next, Node, Told};
use super::request::Request;

/// All nodes, of which there is at least one.
pub(super) struct Nodes(Vec<Arc<Node>>);

impl Nodes {
    /// These nodes, the one to be preferred first; None if there is none.
    pub(super) fn new(nodes: Vec<Node>) -> Option<Self> {
        (!nodes.is_empty()).then(|| Self(nodes.into_iter().map(Arc::new).collect()))
    }

    /// All of them, as they were given.
    pub(super) fn all(&self) -> impl Iterator<Item = &Node> {
        self.0.iter().map(Arc::as_ref)
    }

    /// Sends a request to one node after the other until one says something; `read` is how it says that it is done.
    ///
    /// Errors: that of the node which was asked first.
    pub(super) async fn ask<T>(
        &self,
        request: &Request,
        read: impl Fn(&Answer) -> Result<T, Nonsense>,
    ) -> Result<Told<T>, Failure> {
        let (mut before, mut first) = (Fate::Undone, None);
        let mut nodes = self.in_order().peekable();
        while let Some(node) = nodes.next() {
            let next = if nodes.peek().is_some() { Next::Node } else { Next::Nothing };
            match node.ask(request, &read, next).await {
                Ok(told) => return Ok(Told { before: before.max(told.before), ..told }),
                Err(Failure { error, fate }) => {
                    before = before.max(fate);
                    first.get_or_insert(error);
                }
            }
        }
        let error = first.unwrap_or_else(|| Error::Unreachable("no node".to_owned()));
        Err(Failure { error, fate: before })
    }

    /// Sends a request whose answer has no end, to one node after the other until one begins to answer in time.
    ///
    /// Errors: that of the node which was asked first.
    pub(super) async fn open(&self, request: &Request, time: Duration) -> Result<Response, Error> {
        let mut first = None;
        for node in self.in_order() {
            match node.open(request, time).await {
                Ok(response) => return Ok(response),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Err(first.unwrap_or_else(|| Error::Unreachable("no node".to_owned())))
    }

    /// The nodes in the order in which they are to be asked: those that are well, then those that are left alone, the
    /// one whose time ends first before the others.
    fn in_order(&self) -> impl Iterator<Item = &Arc<Node>> {
        let resting: Vec<Option<Instant>> = self.0.iter().map(Node::resting).collect();
        order(&resting).into_iter().filter_map(|place| self.0.get(place))
    }
}

/// The places of nodes by until when they are left alone; those that are not come first, in their own order.
fn order(resting: &[Option<Instant>]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..resting.len()).collect();
    places.sort_by_key(|place| resting[*place]);
    places
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn those_that_are_well_are_asked_first_and_all_are_asked_once() {
        let now = Instant::now();
        let until = |seconds| Some(now + Duration::from_secs(seconds));
        assert_eq!(order(&[None, None, None]), [0, 1, 2]);
        assert_eq!(order(&[until(5), None, None]), [1, 2, 0]);
        assert_eq!(order(&[until(5), None, until(1)]), [1, 2, 0]);
        assert_eq!(order(&[until(5), until(1), until(9)]), [1, 0, 2]);
    }
}
