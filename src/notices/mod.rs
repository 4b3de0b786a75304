//! Change notices: after each document that is written, Kazoo's nodes learn of it over AMQP, so that they drop it from
//! their caches.
//!
//! A notice is queued when its document is written; one task, `publisher`, brings what is queued to the broker, at least
//! once and in order, and waits for it when it is away. A write is answered when the broker has its notice, so that a
//! Kazoo node that is asked next knows of it; but it waits for that only for a moment, and not at all for a broker that
//! is away.

mod broker;
mod publisher;
mod queue;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::background::Background;
use crate::document::{DbName, Document, Revision};
use crate::kazoo::notice::Notice;
use crate::metrics::Metrics;
use crate::store::{Layer, Result, SharedStore};
use crate::world::World;

pub use broker::{Broker, NotABroker};

use publisher::Publisher;
use queue::Queue;

/// What notices call us, before an @ and who of us it is. It must be the name of none of Kazoo's nodes.
const NODE: &str = "crossbar-groups";

/// Where notices go.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The broker.
    pub broker: Broker,
    /// How many notices may wait for it.
    pub capacity: usize,
    /// How long a write may wait until the broker has its notice.
    pub wait: Duration,
}

/// What we call ourselves among Kazoo's nodes, by what tells one of our processes from another.
pub fn node(sender: impl fmt::Display) -> String {
    format!("{NODE}@{sender}")
}

/// Lays notices over a store, if they are wanted. They are sent in the name of `crossbar-groups@sender`.
pub fn over(
    store: SharedStore,
    settings: Option<Settings>,
    sender: impl fmt::Display,
    world: World,
    metrics: Metrics,
    background: &Background,
) -> SharedStore {
    let Some(Settings { broker, capacity, wait }) = settings else { return store };
    let (queue, notices) = Queue::new(capacity, metrics);
    let publisher = Publisher::new(broker, Arc::clone(&queue), notices);
    background.start(|stopping| publisher.run(stopping));
    Arc::new(Notifying { store, queue, wait, node: node(sender), world })
}

/// A store that queues a notice of each document that is put into it.
struct Notifying {
    store: SharedStore,
    queue: Arc<Queue>,
    wait: Duration,
    node: String,
    world: World,
}

#[async_trait]
impl Layer for Notifying {
    fn store(&self) -> &SharedStore {
        &self.store
    }

    async fn write(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let revision = self.store.put(database, document).await?;
        let notice = Notice::of(database, document, &revision, &self.node, &self.world.message_id());
        if let Some(notice) = notice {
            let confirmed = self.queue.push(notice);
            if self.queue.is_connected() && !self.wait.is_zero() {
                // whether the broker has it in time or not, the document is written
                let _ = tokio::time::timeout(self.wait, confirmed).await;
            }
        }
        Ok(revision)
    }
}
