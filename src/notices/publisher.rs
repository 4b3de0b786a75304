//! The task that brings notices from the queue to the broker. It has one connection at a time, and takes a notice for
//! sent once the broker has confirmed it; what was not confirmed is published again over the next connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::broker::{Broker, Error, Line};
use super::queue::{Queue, Queued};

/// How many notices may be under way to the broker.
const UNDER_WAY: usize = 256;

/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The pauses between attempts to connect, without end.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(200))
    .with_max_delay(LONGEST_PAUSE)
    .without_max_times()
    .with_jitter();

/// How long the broker is given when the service stops.
const LAST_CALL: Duration = Duration::from_secs(5);

pub(super) struct Publisher {
    broker: Broker,
    queue: Arc<Queue>,
    notices: UnboundedReceiver<Queued>,
    /// Out of the queue, but not confirmed; in the order in which they were published.
    unconfirmed: VecDeque<Queued>,
    line: Option<Line>,
}

impl Publisher {
    pub(super) fn new(broker: Broker, queue: Arc<Queue>, notices: UnboundedReceiver<Queued>) -> Self {
        Self { broker, queue, notices, unconfirmed: VecDeque::new(), line: None }
    }

    /// Publishes until `stopping` is cancelled, and then for a moment what is still there.
    pub(super) async fn run(mut self, stopping: CancellationToken) {
        tokio::select! {
            () = self.publish() => {}
            () = stopping.cancelled() => {}
        }
        self.notices.close();
        if self.queue.waiting() > 0 {
            // what this does not bring to the broker is abandoned
            let _ = timeout(LAST_CALL, self.publish()).await;
        }
        self.queue.abandon();
        if let Some(line) = self.line.take() {
            line.close().await;
        }
    }

    /// Publishes until the queue is closed and nothing is left in it. May be given up and called again.
    async fn publish(&mut self) {
        let mut pauses = PAUSES.build();
        let mut logged = None;
        loop {
            let Err(error) = self.publish_over_one_connection().await else { return };
            let error = error.to_string();
            self.queue.set_connected(false);
            if let Some(line) = self.line.take() {
                logged = None;
                if line.since.elapsed() > LONGEST_PAUSE {
                    pauses = PAUSES.build();
                }
            }
            // an outage is logged once
            if logged.as_ref() != Some(&error) {
                let waiting = self.queue.waiting();
                log::warn!("change notices can't go to {}: {error}; {waiting} wait", self.broker);
                logged = Some(error);
            }
            sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    async fn publish_over_one_connection(&mut self) -> Result<(), Error> {
        let line = match &self.line {
            Some(line) => line,
            None => {
                let line = self.broker.connect().await?;
                log::info!("change notices go to {}", self.broker);
                self.queue.set_connected(true);
                self.line.insert(line)
            }
        };
        // of the first of the unconfirmed, one each
        let mut confirms = FuturesOrdered::new();
        loop {
            while let Some(queued) = self.unconfirmed.get(confirms.len()) {
                confirms.push_back(line.publish(&queued.notice).await?);
            }
            tokio::select! {
                Some(confirm) = confirms.next() => {
                    if !confirm?.is_ack() {
                        return Err(Error::NotTaken);
                    }
                    if let Some(queued) = self.unconfirmed.pop_front() {
                        self.queue.confirmed(queued);
                    }
                }
                Some(notice) = self.notices.recv(), if self.unconfirmed.len() < UNDER_WAY => {
                    self.unconfirmed.push_back(notice);
                }
                else => return Ok(()),
            }
        }
    }
}
