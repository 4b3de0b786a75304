//! A node of a CouchDB: how it is asked, and how it is found out whether it is well.
//!
//! It is judged by its greeting (`GET /`) alone: a view may be slow or broken, a client may hang up, and the node be well.
//! Whatever is wrong with a request, or nobody waits for it any longer, has the node greet, in a task of its own; so
//! does a silence. And what it refuses, "not found" above all, is believed only if it greets then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use reqwest::{Response, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};

use super::super::Error;
use super::answer::{Answer, Failure, Fate, Greeting, Nonsense, Said};
use super::counts::NodeCounts;
use super::health::Health;
use super::options::{CouchOptions, Line, Times};
use super::request::{Pace, Request};

/// How many bytes a greeting may have.
const LONGEST_GREETING: usize = 64 * 1024;

/// How many bytes a batch of whole documents may have, attachments included.
const LONGEST_BATCH: usize = 1024 * 1024 * 1024;

/// A node.
pub(super) struct Node {
    line: Line,
    times: Times,
    longest_answer: usize,
    connections: Semaphore,
    /// Those of the connections that slow requests may take.
    slow: Semaphore,
    health: Mutex<Health>,
    /// How it greeted last. Who holds it asks for a greeting.
    greeted: tokio::sync::Mutex<Option<Greeted>>,
    counts: NodeCounts,
}

#[derive(Clone, Copy)]
struct Greeted {
    /// When it was known.
    at: Instant,
    is_well: bool,
}

/// What can be done when a node fails a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another node is asked.
    Node,
    /// Nothing: it is the last.
    Nothing,
}

/// What a node said.
pub(super) struct Told<T> {
    pub(super) said: Said<T>,
    /// What may have become of the request when it was sent before without an answer.
    pub(super) before: Fate,
}

impl Node {
    /// The node at the end of a line.
    pub(super) fn new(line: Line, options: &CouchOptions, counts: NodeCounts) -> Self {
        let connections = options.connections.get().min(Semaphore::MAX_PERMITS);
        Self {
            line,
            times: options.times,
            longest_answer: options.longest_answer,
            connections: Semaphore::new(connections),
            slow: Semaphore::new(connections.div_ceil(2)),
            health: Mutex::new(Health::new(Instant::now())),
            greeted: tokio::sync::Mutex::default(),
            counts,
        }
    }

    /// Its host and port.
    pub(super) fn name(&self) -> &str {
        &self.line.name
    }

    /// Until when it is left alone. Where that is over, it is asked for a greeting, which nobody waits for.
    pub(super) fn resting(self: &Arc<Self>) -> Option<Instant> {
        let resting = self.health().resting();
        if resting.is_some_and(|until| until <= Instant::now()) {
            self.judge();
        }
        resting
    }

    /// Sends a request, and gives what the node says; `read` is how it says that it is done.
    ///
    /// Errors: no answer, or none that a CouchDB gives: another node has to be asked.
    pub(super) async fn ask<T>(
        self: &Arc<Self>,
        request: &Request,
        read: impl Fn(&Answer) -> Result<T, Nonsense>,
        next: Next,
    ) -> Result<Told<T>, Failure> {
        let mut trial = Trial { node: self, is_over: false };
        let told = self.told(request, read, next).await;
        trial.is_over = told.is_ok();
        told.map_err(|Failure { error, fate }| Failure { error: error.at(self.name()), fate })
    }

    async fn told<T>(
        self: &Arc<Self>,
        request: &Request,
        read: impl Fn(&Answer) -> Result<T, Nonsense>,
        next: Next,
    ) -> Result<Told<T>, Failure> {
        let time = self.time(request.pace, next);
        let turn = self.while_it_greets(next, Fate::Undone, self.turn(request.pace, time)).await?;
        let (answer, before) = self.while_it_greets(next, Fate::Open, self.answer(request, time)).await?;
        drop(turn);
        let said = answer.said(read)?;
        if let Said::Refused(refusal) = &said
            && !self.greets(Duration::ZERO).await
        {
            return Err(Nonsense(format!("it does not greet as a CouchDB does, but says {refusal}")).into());
        }
        Ok(Told { said, before })
    }

    /// Sends a request whose answer has no end, and takes none of the connections for what ends. A node that fails it has to
    /// greet, as with any other.
    pub(super) async fn open(self: &Arc<Self>, request: &Request, time: Duration) -> Result<Response, Error> {
        let mut trial = Trial { node: self, is_over: false };
        let sent = timeout(time, request.to(&self.line.root, &self.line.client).send()).await;
        let silent = || Error::TimedOut(format!("no answer in {} s", time.as_secs_f64()));
        let response = sent.map_or_else(|_| Err(silent()), |sent| sent.map_err(|error| Failure::from(error).error));
        let failed = |status: StatusCode| Error::Refused(format!("{status}"));
        let response = response.and_then(|response| match response.status() {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(response),
            status => Err(failed(status)),
        });
        trial.is_over = response.is_ok();
        response.map_err(|error| error.at(self.name()))
    }

    /// Its greeting. Errors: why there is none.
    pub(super) async fn greeting(&self) -> Result<Greeting, Error> {
        let (time, longest) = (self.times.greeting, LONGEST_GREETING);
        let (answer, _) = self.exchange(&Request::get(&[]), time, longest).await.map_err(|failure| failure.error)?;
        match answer.said(Answer::greeting) {
            Ok(said) => said.done(),
            Err(failure) => Err(failure.error),
        }
    }

    /// A connection, when it is the request's turn.
    async fn turn(&self, pace: Pace, time: Duration) -> Result<Turn<'_>, Failure> {
        let turn = async {
            let slow = match pace {
                Pace::Quick => None,
                Pace::Slow | Pace::Long => Some(self.slow.acquire().await?),
            };
            Ok::<_, tokio::sync::AcquireError>((self.connections.acquire().await?, slow))
        };
        let Ok(Ok((connection, slow))) = timeout(time, turn).await else {
            self.counts.refused.inc();
            let error = Error::Busy("no connection became free in time".to_owned());
            return Err(Failure { error, fate: Fate::Undone });
        };
        self.counts.under_way.inc();
        Ok(Turn { _permits: (connection, slow), under_way: &self.counts.under_way })
    }

    /// The answer to a request, in the time that it has; and what became of it when it was sent before.
    async fn answer(&self, request: &Request, time: Duration) -> Result<(Answer, Fate), Failure> {
        let longest = if request.pace == Pace::Long { LONGEST_BATCH } else { self.longest_answer };
        let answer = self.exchange(request, time, longest).await;
        if request.pace == Pace::Quick && matches!(answer, Err(Failure { error: Error::TimedOut(_), .. })) {
            // a document takes no time: whatever it says of itself, it does not do what it is there for
            self.failed("it leaves a document unanswered");
        }
        answer
    }

    /// The same, within these bounds.
    async fn exchange(&self, request: &Request, time: Duration, longest: usize) -> Result<(Answer, Fate), Failure> {
        let send = async || -> Result<Answer, Failure> {
            Answer::of(request.to(&self.line.root, &self.line.client).send().await?, longest).await
        };
        let exchange = async {
            match send().await {
                // a connection ends with the worker that opened it, or because it was idle: a new one may do
                Err(Failure { error: Error::Unreachable(_), fate: Fate::Open }) => match send().await {
                    Ok(answer) => Ok((answer, Fate::Open)),
                    Err(failure) => Err(Failure { fate: Fate::Open, ..failure }),
                },
                answer => Ok((answer?, Fate::Undone)),
            }
        };
        let sent = Instant::now();
        let exchanged = timeout(time, exchange).await.unwrap_or_else(|_| {
            let error = Error::TimedOut(format!("no answer in {} s", time.as_secs_f64()));
            Err(Failure { error, fate: Fate::Open })
        });
        self.counts.asked(exchanged.is_ok(), sent.elapsed());
        exchanged
    }

    /// How long a request may take, and before that wait for its turn.
    fn time(&self, pace: Pace, next: Next) -> Duration {
        match pace {
            Pace::Quick if next == Next::Node => self.times.document_of_several,
            Pace::Quick => self.times.document,
            Pace::Slow => self.times.view,
            Pace::Long => Pace::LONG,
        }
    }

    /// Waits for work as long as the node greets, if another can be asked then; `fate` is what is left of the work.
    async fn while_it_greets<T>(
        self: &Arc<Self>,
        next: Next,
        fate: Fate,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let silent = async {
            loop {
                sleep(self.times.patience).await;
                if !self.greets(self.times.patience).await && next == Next::Node {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            () = silent => Err(Failure { error: Error::TimedOut("it is silent, and does not greet".to_owned()), fate }),
        }
    }

    /// Whether the node greets, by a greeting that comes now, or came no longer ago than `age`. All who want to know at
    /// the same time share one.
    async fn greets(self: &Arc<Self>, age: Duration) -> bool {
        let (node, now) = (Arc::clone(self), Instant::now());
        let greets = tokio::spawn(async move {
            let mut last = node.greeted.lock().await;
            match *last {
                Some(Greeted { at, is_well }) if now <= at + age => is_well,
                _ => {
                    let greeting = node.greeting().await;
                    let is_well = greeting.is_ok();
                    match greeting {
                        Ok(_) => node.greeted(),
                        Err(error) => node.failed(&error.to_string()),
                    }
                    *last = Some(Greeted { at: Instant::now(), is_well });
                    is_well
                }
            }
        });
        // it is cut off with the runtime alone
        greets.await.unwrap_or_default()
    }

    /// Has it found out whether the node is well, unless somebody does, or just did. Nobody waits for it.
    fn judge(self: &Arc<Self>) {
        if let (Ok(runtime), Ok(_)) = (Handle::try_current(), self.greeted.try_lock()) {
            let node = Arc::clone(self);
            runtime.spawn(async move { node.greets(node.times.patience).await });
        }
    }

    fn greeted(&self) {
        if !self.change(|health| health.greeted(Instant::now())).is_well() {
            self.counts.well.set(1);
            log::warn!("CouchDB node {} is back", self.name());
        }
    }

    fn failed(&self, why: &str) {
        if self.change(|health| health.failed(Instant::now())).is_well() {
            self.counts.well.set(0);
            log::warn!("CouchDB node {} failed: {why}", self.name());
        }
    }

    fn health(&self) -> Health {
        self.change(|health| health)
    }

    /// Changes its health; gives what it was before.
    fn change(&self, change: impl FnOnce(Health) -> Health) -> Health {
        // it is set in one step, so whoever panicked left it whole
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *health;
        *health = change(before);
        before
    }
}

/// A request that is put to a node. Unless it ends well, the node has to greet: also where it was dropped, since nobody
/// waits for it any longer.
struct Trial<'n> {
    node: &'n Arc<Node>,
    is_over: bool,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.node.judge();
        }
    }
}

/// A connection that a request may take, until this is dropped.
struct Turn<'n> {
    _permits: (SemaphorePermit<'n>, Option<SemaphorePermit<'n>>),
    under_way: &'n IntGauge,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.under_way.dec();
    }
}
