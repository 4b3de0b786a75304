//! A crossbar behind this one, to which is relayed what is not ours: any method, path, query, header and body as they came,
//! both ways as streams, of which no more is held than the pieces under way.
//!
//! It is HTTP/1.1 on both sides. Redirects are the client's, as any answer is; nothing is decoded; the environment's proxies
//! are not asked. [`headers`] and `target` decide without any I/O, `outgoing` and `incoming` are the two bodies.

mod counts;
pub mod headers;
mod incoming;
mod options;
mod outgoing;
mod shares;
mod target;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Chain;
use bytes::Bytes;
use futures::Stream;
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prometheus::core::Collector;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::auth::Network;
use crate::background::Background;
use crate::budgets::Budgets;
use crate::tls::Authorities;

use counts::Counts;
use outgoing::{Outgoing, Progress, Turn};
use shares::Shares;

pub use incoming::Coming;
pub use options::{RelayArguments, SignIn, Times};
pub use target::{NoTarget, Target};

/// How long an idle connection is kept. Cowboy, Kazoo's server, closes one after 5 s, and a request that it meets is lost.
const KEPT_FOR: Duration = Duration::from_secs(4);

/// The most that is read of an answer before the client has taken it; an answer's head is no longer than this.
const READ_AHEAD: usize = 64 * 1024;

/// How often the upstream is asked how it is, and how long it may take to answer that.
const LOOKED_AT: Duration = Duration::from_secs(5);
const LOOKS_WELL_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no answer of the upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It can't be connected to.
    #[error("upstream: {0}")]
    Unreachable(String),
    /// It ended the connection before it answered, or what it says is no HTTP.
    #[error("upstream: {0}")]
    Broken(String),
    /// It did not begin its answer in so many seconds.
    #[error("upstream: no answer in {0} s")]
    Late(u64),
    /// As many requests are under way as may be.
    #[error("{0} requests are being relayed")]
    Busy(usize),
    /// The client sent its body too slowly: what may take so many seconds took longer.
    #[error("the body did not arrive within {0} s")]
    ClientIsLate(u64),
    /// The client went before its body was there.
    #[error("the client has gone")]
    ClientIsGone,
}

/// What is asked of the upstream, besides a body.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path and the query.
    pub path_and_query: String,
    /// The headers, as they are sent.
    pub headers: HeaderMap,
}

/// What the upstream answers.
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, as they came.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Coming,
}

/// An upstream.
pub struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Outgoing>,
    target: Target,
    times: Times,
    /// How long a client may take to send a portion of a body.
    body_time: Duration,
    places: Arc<Shares>,
    counts: Counts,
}

impl Upstream {
    /// The upstream at a target, which is believed by `trusted` over TLS. The budgets say how many requests are relayed to it
    /// at a time, and how long their bodies may take to come.
    ///
    /// Errors: there is nobody at all who is trusted.
    pub fn new(
        target: Target,
        times: Times,
        budgets: &Budgets,
        trusted: &Authorities,
    ) -> Result<Arc<Self>, rustls::Error> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(times.connect));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trusted.client()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(KEPT_FOR)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(READ_AHEAD)
            .build(connector);
        let counts = Counts::new();
        let places = Shares::new(budgets.max_relayed, counts.under_way.clone());
        Ok(Arc::new(Self { client, target, times, body_time: budgets.body_time_out, places, counts }))
    }

    /// What is counted of it.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.counts.collectors()
    }

    /// Whether it answered when it was last looked at.
    pub fn is_well(&self) -> bool {
        self.counts.is_well.get() == 1
    }

    /// Looks at it again and again, beside the requests, and says in the log when it goes and when it is back.
    pub fn watch(self: &Arc<Self>, background: &Background) {
        let upstream = Arc::clone(self);
        background.start(|stopping| upstream.look(stopping));
    }

    async fn look(self: Arc<Self>, stopping: CancellationToken) {
        let mut was_well = None;
        loop {
            let found = self.looks_well().await;
            self.counts.is_well.set(i64::from(found.is_ok()));
            if was_well.replace(found.is_ok()) != Some(found.is_ok()) {
                match found {
                    Ok(()) => log::info!("upstream: {} answers", self.target),
                    Err(why) => log::warn!("upstream: {} is away: {why}", self.target),
                }
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(LOOKED_AT) => {}
            }
        }
    }

    /// Whether it answers at its root, where crossbar greets, and not with a fault.
    async fn looks_well(&self) -> Result<(), String> {
        let asked = Asked { method: Method::GET, path_and_query: "/".to_owned(), headers: HeaderMap::new() };
        let answer = timeout(LOOKS_WELL_WITHIN, self.send(&asked, Outgoing::NOTHING)).await;
        let answer = answer.map_err(|_| format!("no answer in {} s", LOOKS_WELL_WITHIN.as_secs()))?;
        let status = answer.map_err(|failure| failure.to_string())?.status();
        if status.is_server_error() { Err(status.to_string()) } else { Ok(()) }
    }

    /// Relays a request of a client's network, whose body comes in pieces if it has one. It is to be called where tasks of a
    /// thread may be started.
    ///
    /// Errors: there is no answer.
    pub async fn relay<E: std::error::Error + 'static>(
        &self,
        network: Option<Network>,
        asked: &Asked,
        body: Option<impl Stream<Item = Result<Bytes, E>> + Unpin + 'static>,
    ) -> Result<Answered, Failure> {
        let started = Instant::now();
        let place = self.places.take(network).map_err(Failure::Busy)?;
        let progress = Progress::new();
        let (outgoing, carrying) = match body {
            Some(pieces) => {
                let (to, outgoing) = Outgoing::carried();
                let carrying = outgoing::carry(pieces, to, progress.clone(), self.body_time);
                (outgoing, Some(AbortOnDropHandle::new(tokio::task::spawn_local(carrying))))
            }
            None => (Outgoing::NOTHING, None),
        };
        let may_be_asked_again = carrying.is_none() && asked.method.is_safe();
        let answer = async {
            match self.send(asked, outgoing).await {
                // a kept connection may end just when it is used; what only reads can be asked twice
                Err(Failure::Broken(_)) if may_be_asked_again => self.send(asked, Outgoing::NOTHING).await,
                answer => answer,
            }
        };
        let answer = tokio::select! {
            answer = answer => answer,
            () = progress.upstream_is_late(self.times.answer) => Err(Failure::Late(self.times.answer.as_secs())),
        };
        let answer = answer.map_err(|failure| match progress.turn() {
            Turn::ClientIsLate => Failure::ClientIsLate(self.body_time.as_secs()),
            Turn::ClientIsGone => Failure::ClientIsGone,
            Turn::Client | Turn::Upstream(_) => failure,
        })?;
        let (head, body) = answer.into_parts();
        self.counts.answered(head.status.as_u16(), started.elapsed());
        let (idle, broken) = (self.times.idle, self.counts.broken.clone());
        let body = Coming { body, idle, carrying, broken, _place: place };
        Ok(Answered { status: head.status, headers: head.headers, body })
    }

    /// A request was answered here with this status, since the upstream did not.
    pub fn failed(&self, status: u16) {
        self.counts.failed(status);
    }

    async fn send(&self, asked: &Asked, body: Outgoing) -> Result<Response<hyper::body::Incoming>, Failure> {
        let no_request = || Failure::Broken("the request can't be sent on".to_owned());
        let mut request = Request::new(body);
        *request.uri_mut() = self.target.uri(&asked.path_and_query).ok_or_else(no_request)?;
        *request.method_mut() = asked.method.clone();
        *request.headers_mut() = asked.headers.clone();
        let answer = self.client.request(request).await.map_err(|error| match error.is_connect() {
            true => Failure::Unreachable(in_full(&error)),
            false => Failure::Broken(in_full(&error)),
        })?;
        match answer.status() {
            // nobody asked for another protocol
            StatusCode::SWITCHING_PROTOCOLS => Err(Failure::Broken("it switches protocols".to_owned())),
            _ => Ok(answer),
        }
    }
}

/// An error with what it came of.
fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    Chain::new(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
