//! Kazoo 4.3's crossbar for groups.
//!
//! A request goes down once and comes back up:
//!
//! - [`api`]: HTTP. The pipeline of checks, and the resources at its end; answers, errors, and the responses of both.
//! - [`auth`]: who may do what: tokens, accounts, token restrictions, signing in.
//! - [`kazoo`]: Kazoo's rules, with no I/O: documents and private fields, what is served and how, rows of lists, filters,
//!   pages, tokens.
//! - [`store`]: databases, documents with revisions and views: a CouchDB, or a file of our own. Requests need a
//!   [`Store`](store::Store), over which metrics, notices and what makes writes last are laid; operators a [`Server`](store::Server).
//!   What is asked for most of a file of our own is kept in memory, the rows of lists and documents; [`api`] keeps the lists
//!   that it made of it for as long as the store says that nothing changed.
//!
//! All of them speak of a [`document`]: its fields in order, each with the JSON it came with. [`databases`] are made ready
//! and read whole, [`dump`] carries them in and out of files, [`demo`] fills a store with made-up accounts. [`world`] is
//! the time and new ids, [`metrics`] what is counted, [`logging`] the log, [`config`] the command line, [`budgets`] what a
//! request may cost, [`caching`] what is kept in memory. Work that keeps a processor busy is done [`aside`]. [`notices`] tells
//! Kazoo's nodes of what is written, [`background`] is the work that goes on beside requests, [`admin`] what operators'
//! machines ask, [`openapi`] what the API is, [`page`] how people use it in a browser. [`relay`] is the crossbar behind this
//! one, which answers what is not ours, and [`shadow`] holds its answers against ours. [`ringing`] reads what says whom a
//! group rings, [`using`] what names one. [`tls`] is who is believed over it, [`files`] reads what operators name.
//! [`operate`] is what operators do beside a running service, [`plan`] makes groups what a file says, [`backup`] is what they
//! keep of an embedded store. [`Application`] puts them together.

#![forbid(unsafe_code)]

pub mod admin;
pub mod api;
pub mod aside;
pub mod auth;
pub mod background;
pub mod backup;
pub mod budgets;
pub mod caching;
pub mod config;
pub mod databases;
pub mod demo;
pub mod document;
pub mod dump;
pub mod files;
pub mod in_flight;
pub mod kazoo;
pub mod listener;
pub mod logging;
pub mod metrics;
pub mod notices;
pub mod openapi;
pub mod operate;
pub mod page;
mod places;
pub mod plan;
pub mod relay;
pub mod ringing;
pub mod shadow;
pub mod store;
pub mod tls;
pub mod using;
pub mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::try_join_all;
use md5::{Digest, Md5};
use tokio_util::sync::CancellationToken;

use admin::Admin;
use api::{Admission, Api, Limiter, Listeners, Pages, Relay, Schemas, Writers};
use auth::Auth;
use background::Background;
use config::{ServeArguments, StoreLocation};
use kazoo::views;
use metrics::Metrics;
use relay::{RelayArguments, Upstream};
use shadow::Shadow;
use store::SharedStore;
use store::couch::{Couch, CouchOptions, NoClient};
use store::embedded::{CannotOpen, Embedded, Making};
use store::feeds::Feeds;
use store::lasting::Lasting;
use store::measured::Measured;
use tls::Identity;
use world::World;

/// The version, and the commit that it was built of.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CROSSBAR_COMMIT"), ")");

/// How long requests under way may take when the service stops. With [`ADMIN_GRACE_S`],
/// [`background::PATIENCE`] and [`logging::PATIENCE`] it is less than systemd waits (`packaging/crossbar-groups.service`).
const GRACE_S: u64 = 25;

/// The same at the admin's address.
const ADMIN_GRACE_S: u64 = 2;

/// How often is looked whether a store that has no account has one.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Why a store can't be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// What is wrong with its URL.
    #[error(transparent)]
    NoClient(#[from] NoClient),
    /// What is wrong with the server.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What is wrong with the folder.
    #[error(transparent)]
    Folder(#[from] CannotOpen),
}

impl OpenError {
    /// What an operator does about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NoClient(_) => None,
            Self::Store(error) => error.remedy(),
            Self::Folder(cannot) => cannot.remedy(),
        }
    }
}

/// Opens a store that is there, and sees that it answers. A CouchDB is asked as the options say.
///
/// Errors: [`OpenError`]; nothing was made.
pub async fn open_store(location: &StoreLocation, options: &CouchOptions) -> Result<store::SharedServer, OpenError> {
    open(location, options, Making::Refused, Embedded::MEMORY).await
}

/// The same; an embedded store that is not there is made, in a folder that is empty or not there either. So many bytes of
/// it may be kept in memory.
///
/// Errors: [`OpenError`]; nothing was made then.
pub async fn open_or_make_store(
    location: &StoreLocation,
    options: &CouchOptions,
    memory: usize,
) -> Result<store::SharedServer, OpenError> {
    open(location, options, Making::Allowed, memory).await
}

async fn open(
    location: &StoreLocation,
    options: &CouchOptions,
    making: Making,
    memory: usize,
) -> Result<store::SharedServer, OpenError> {
    match location {
        StoreLocation::Couch(urls) => {
            let couch = Couch::new(urls, options)?;
            couch.check().await?;
            Ok(Arc::new(couch))
        }
        StoreLocation::Folder(folder) => Ok(Arc::new(Embedded::open_keeping(folder, views::ALL, making, memory)?)),
    }
}

/// The service: its listeners, and what answers behind them.
pub struct Application {
    servers: Vec<Server>,
    address: SocketAddr,
    admin_address: SocketAddr,
    identity: Option<Arc<Identity>>,
    admin: Admin,
    background: Background,
    /// Ends those who listen, who would not end by themselves.
    ending: CancellationToken,
}

impl Application {
    /// Listens on the arguments' addresses (port 0: any that is free) before a store.
    ///
    /// Errors: an address can't be listened on; a file can't be used.
    pub fn build(arguments: &ServeArguments, store: SharedStore, world: World) -> io::Result<Self> {
        let identity = arguments.tls.identity()?;
        let notices_to = arguments.notices.settings(arguments.store.trusted()?)?;
        let (listener, address) = listener::on(arguments.listen, arguments.budgets.send_time_out)?;
        let metrics = Metrics::new((world.now)());
        let (background, ending) = (Background::here(), CancellationToken::new());
        let store: SharedStore = Arc::new(Feeds::new(store, background.clone()));
        let source: SharedStore = Arc::new(Measured::new(Arc::clone(&store), metrics.clone()));
        let store = caching::over(store, &arguments.caching, &background).map_err(io::Error::other)?;
        metrics.show(store.collectors());
        let store: SharedStore = Arc::new(Measured::new(store, metrics.clone()));
        let relay = relay(arguments, &metrics, &background)?;
        let upstream = relay.as_ref().map(|relay| Arc::clone(&relay.upstream));
        let admin = Admin::new(Arc::clone(&store), metrics.clone(), upstream);
        let store = notices::over(store, notices_to, address, world, metrics.clone(), &background);
        let store: SharedStore = Arc::new(Lasting::new(store, background.clone(), metrics.clone()));
        let auth = Auth::new(Arc::clone(&store), metrics.clone(), arguments.auth_cache, world)
            .writing_down_attempts(notices::node(address), &background);
        let api = web::Data::new(Api {
            auth,
            schemas: Schemas::new(Arc::clone(&store), arguments.auth_cache, arguments.budgets.of_data()),
            limiter: Limiter::new(arguments.rate_limit, arguments.trusted_proxy.iter().copied()),
            store,
            pages: Pages::default(),
            writers: Writers::default(),
            admission: Admission::new(&arguments.budgets, &metrics),
            listeners: Listeners::new(&arguments.budgets, &metrics, ending.clone(), source),
            budgets: arguments.budgets.clone(),
            has_page: !arguments.no_docs,
            relay,
            world,
            node: URL_SAFE_NO_PAD.encode(Md5::digest(address.to_string())),
            metrics,
        });
        let admin_data = web::Data::new(admin.clone());
        let is_apart = arguments.admin_listen.is_some();
        let (has_page, is_demo) = (!arguments.no_docs, arguments.demo);
        let public = {
            let admin_data = admin_data.clone();
            HttpServer::new(move || {
                let app = App::new().app_data(api.clone()).app_data(admin_data.clone());
                // most of what is asked is of this version: what is found first costs least
                let app = app.service(web::scope("/v2").default_service(web::to(api::respond)));
                let app = if is_apart { app } else { app.configure(admin::routes) };
                let app = if has_page { app.configure(|config| page::routes(config, is_demo)) } else { app };
                app.default_service(web::to(api::respond))
            })
        };
        let public = match arguments.workers {
            Some(workers) => public.workers(usize::from(workers)),
            None => public,
        };
        let public = public.keep_alive(arguments.keep_alive).client_request_timeout(arguments.budgets.head_time_out);
        // a body is sent piece by piece, and none waits until the one before has arrived
        let public = public.tcp_nodelay(true);
        // a client that closes its end has gone: who listens would keep a place until something is said to it
        let public = public.h1_allow_half_closed(false);
        let public = public.disable_signals().shutdown_timeout(GRACE_S);
        let public = match &identity {
            Some(identity) => public.listen_rustls_0_23(listener, identity.server().map_err(io::Error::other)?)?,
            None => public.listen(listener)?,
        };
        let mut servers = vec![public.run()];
        let mut admin_address = address;
        if let Some(wanted) = arguments.admin_listen {
            let (listener, listening) = listener::on(wanted, arguments.budgets.send_time_out)?;
            admin_address = listening;
            let admin = HttpServer::new(move || App::new().app_data(admin_data.clone()).configure(admin::routes));
            let admin = admin.workers(1).disable_signals().shutdown_timeout(ADMIN_GRACE_S);
            let admin = match identity.as_ref().filter(|_| listener::admin_has_tls(listening)) {
                Some(identity) => admin.listen_rustls_0_23(listener, identity.server().map_err(io::Error::other)?)?,
                None => admin.listen(listener)?,
            };
            servers.push(admin.run());
        }
        Ok(Self { servers, address, admin_address, identity, admin, background, ending })
    }

    /// Gives backups of a store to those who may use a socket in its folder.
    pub fn with_backups(self, socket: backup::Socket, store: store::SharedServer) -> Self {
        self.background.start(|stopping| socket.serve(store, stopping));
        self
    }

    /// Sees whether a store has any account. As long as it has none, the log and `/readyz` say so.
    pub fn looking_for_accounts(self, store: store::SharedServer) -> Self {
        let told = self.admin.clone();
        let looking = async move {
            // what can't be asked is told by whoever needs it
            while matches!(operate::has_account(store.as_ref()).await, Ok(false)) {
                if !told.finds_empty(true) {
                    log::warn!("{}", admin::EMPTY);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            if told.finds_empty(false) {
                log::info!("the store has an account now");
            }
        };
        self.background.start(async |stopping| {
            stopping.run_until_cancelled(looking).await;
        });
        self
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers, as clients write it.
    pub fn url(&self) -> String {
        listener::url(self.address, self.identity.is_some())
    }

    /// Where clients of this machine find it, also where it listens at all of the machine's addresses.
    pub fn url_from_here(&self) -> String {
        listener::url(listener::from_here(self.address), self.identity.is_some())
    }

    /// The certificate by which clients know it, if it answers over TLS.
    pub fn identity(&self) -> Option<Arc<Identity>> {
        self.identity.clone()
    }

    /// The address of `/healthz`, `/readyz` and `/metrics`.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Answers requests until `stop` is there; then takes no new connection, and ends when the requests under way are
    /// answered and the work in the background is done.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let handles: Vec<ServerHandle> = self.servers.iter().map(Server::handle).collect();
        let stopping = async {
            stop.await;
            self.admin.stopping();
            self.ending.cancel();
            // the public listener first: who watches can see it go
            for handle in &handles {
                handle.stop(true).await;
            }
            // the servers themselves say when they are done
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = try_join_all(self.servers) => ended.map(drop),
            () = stopping => Ok(()),
        };
        self.background.stop().await;
        ended
    }
}

/// The relay that the arguments ask for, whose upstream is looked at from now on.
///
/// Errors: a file can't be used.
fn relay(arguments: &ServeArguments, metrics: &Metrics, background: &Background) -> io::Result<Option<Relay>> {
    let RelayArguments { upstream: Some(target), sign_in, times } = arguments.relay.clone() else { return Ok(None) };
    let trusted = arguments.store.trusted()?;
    let upstream = Upstream::new(target, times, arguments.budgets.max_relayed, &trusted).map_err(io::Error::other)?;
    metrics.show(upstream.collectors());
    upstream.watch(background);
    let shadow = Shadow::new(arguments.shadow.clone());
    if let Some(shadow) = &shadow {
        metrics.show(shadow.collectors());
    }
    Ok(Some(Relay { upstream, sign_in, shadow }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_stops_before_systemd_kills_it() {
        let unit = include_str!("../packaging/crossbar-groups.service");
        let waits = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
        let longest = GRACE_S + ADMIN_GRACE_S + background::PATIENCE.as_secs() + logging::PATIENCE.as_secs();
        assert!(longest < waits.parse().unwrap(), "{longest} s");
    }
}
