//! The service put together: its listeners, the store and what is laid over it, what answers, and the work beside.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::try_join_all;
use md5::{Digest, Md5};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::api::{self, Admission, Api, Limiter, Listeners, Pages, Relay, Schemas, Writers};
use crate::auth::Auth;
use crate::background::Background;
use crate::config::ServeArguments;
use crate::metrics::Metrics;
use crate::relay::{RelayArguments, Upstream};
use crate::shadow::Shadow;
use crate::store::feeds::Feeds;
use crate::store::lasting::Lasting;
use crate::store::measured::Measured;
use crate::store::{SharedServer, SharedStore};
use crate::tls::Identity;
use crate::world::World;
use crate::{backup, caching, listener, notices, operate, page};

/// How long requests under way may take when the service stops. With [`ADMIN_GRACE_S`],
/// [`background::PATIENCE`](crate::background::PATIENCE) and [`logging::PATIENCE`](crate::logging::PATIENCE) it is less than systemd waits (`packaging/crossbar-groups.service`).
const GRACE_S: u64 = 25;

/// The same at the admin's address.
const ADMIN_GRACE_S: u64 = 2;

/// How often is looked whether a store that has no account has one.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

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
        let mut servers = vec![public_server(arguments, api, &admin, (listener, identity.as_ref()))?];
        let mut admin_address = address;
        if let Some(wanted) = arguments.admin_listen {
            let (listener, listening) = listener::on(wanted, arguments.budgets.send_time_out)?;
            admin_address = listening;
            let identity = identity.as_ref().filter(|_| listener::admin_has_tls(listening));
            servers.push(admin_server(&admin, (listener, identity))?);
        }
        Ok(Self { servers, address, admin_address, identity, admin, background, ending })
    }

    /// Gives backups of a store to those who may use a socket in its folder.
    pub fn with_backups(self, socket: backup::Socket, store: SharedServer) -> Self {
        self.background.start(|stopping| socket.serve(store, stopping));
        self
    }

    /// Sees whether a store has any account. As long as it has none, the log and `/readyz` say so.
    pub fn looking_for_accounts(self, store: SharedServer) -> Self {
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

/// What answers clients, and operators' machines too where they have no address of their own.
///
/// Errors: it can't be listened.
fn public_server(
    arguments: &ServeArguments,
    api: web::Data<Api>,
    admin: &Admin,
    (listener, identity): (TcpListener, Option<&Arc<Identity>>),
) -> io::Result<Server> {
    let admin = web::Data::new(admin.clone());
    let is_apart = arguments.admin_listen.is_some();
    let (has_page, is_demo) = (!arguments.no_docs, arguments.demo);
    let server = HttpServer::new(move || {
        let app = App::new().app_data(api.clone()).app_data(admin.clone());
        // most of what is asked is of this version: what is found first costs least
        let app = app.service(web::scope("/v2").default_service(web::to(api::respond)));
        let app = if is_apart { app } else { app.configure(admin::routes) };
        let app = if has_page { app.configure(|config| page::routes(config, is_demo)) } else { app };
        app.default_service(web::to(api::respond))
    });
    let server = match arguments.workers {
        Some(workers) => server.workers(usize::from(workers)),
        None => server,
    };
    let server = server
        .keep_alive(arguments.keep_alive)
        .client_request_timeout(arguments.budgets.head_time_out)
        // a body is sent piece by piece, and none waits until the one before has arrived
        .tcp_nodelay(true)
        // a client that closes its end has gone: who listens would keep a place until something is said to it
        .h1_allow_half_closed(false)
        .disable_signals()
        .shutdown_timeout(GRACE_S);
    let server = match identity {
        Some(identity) => server.listen_rustls_0_23(listener, identity.server().map_err(io::Error::other)?)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// What answers operators' machines at an address of their own.
///
/// Errors: it can't be listened.
fn admin_server(admin: &Admin, (listener, identity): (TcpListener, Option<&Arc<Identity>>)) -> io::Result<Server> {
    let admin = web::Data::new(admin.clone());
    let server = HttpServer::new(move || App::new().app_data(admin.clone()).configure(admin::routes));
    let server = server.workers(1).disable_signals().shutdown_timeout(ADMIN_GRACE_S);
    let server = match identity {
        Some(identity) => server.listen_rustls_0_23(listener, identity.server().map_err(io::Error::other)?)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// The relay that the arguments ask for, whose upstream is looked at from now on.
///
/// Errors: a file can't be used.
fn relay(arguments: &ServeArguments, metrics: &Metrics, background: &Background) -> io::Result<Option<Relay>> {
    let RelayArguments { upstream: Some(target), sign_in, times } = arguments.relay.clone() else { return Ok(None) };
    let trusted = arguments.store.trusted()?;
    let upstream = Upstream::new(target, times, &arguments.budgets, &trusted).map_err(io::Error::other)?;
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
    use crate::{background, logging};

    #[test]
    fn the_service_stops_before_systemd_kills_it() {
        let unit = include_str!("../packaging/crossbar-groups.service");
        let waits = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
        let longest = GRACE_S + ADMIN_GRACE_S + background::PATIENCE.as_secs() + logging::PATIENCE.as_secs();
        assert!(longest < waits.parse().unwrap(), "{longest} s");
    }
}
