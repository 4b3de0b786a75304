//! Kazoo 4.3's crossbar for groups.
//!
//! A request goes down once and comes back up:
//!
//! - [`api`]: HTTP. The pipeline of checks, and the resources at its end; envelopes, errors, tokens.
//! - [`kazoo`]: Kazoo's rules, with no I/O: documents and private fields, rows of lists, filters, pages, tokens.
//! - [`store`]: databases, documents with revisions and views: a CouchDB, or a file of our own.
//!
//! All three speak of a [`document`]: its fields in order, each with the JSON it came with. [`dump`] carries whole
//! databases in and out of a store, [`demo`] fills one with made-up accounts, [`world`] is the time and new ids,
//! [`config`] the command line. [`operate`] holds what operators do beside a running service. [`Application`] puts them together.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod api;
pub mod config;
pub mod demo;
pub mod document;
pub mod dump;
pub mod kazoo;
pub mod operate;
pub mod store;
pub mod world;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use md5::{Digest, Md5};

use api::{Api, Authenticator, Limiter};
use config::{ServeArguments, StoreLocation};
use kazoo::views;
use store::couch::Couch;
use store::embedded::Embedded;
use store::{SharedStore, Store};
use world::World;

/// How long requests under way may take when the service stops.
const GRACE_S: u64 = 30;

/// Opens a store, and sees that it answers.
///
/// Errors: what is wrong with the URL, the server or the folder, in a line.
pub async fn open_store(location: &StoreLocation) -> Result<SharedStore, String> {
    match location {
        StoreLocation::Couch(url) => {
            let couch = Couch::new(url, views::DESIGN_DOCUMENTS).map_err(|error| error.to_string())?;
            couch.check().await.map_err(|error| error.to_string())?;
            Ok(Arc::new(couch))
        }
        StoreLocation::Folder(folder) => {
            let embedded = Embedded::open(folder, views::ALL).map_err(|error| error.to_string())?;
            Ok(Arc::new(embedded))
        }
    }
}

/// The service: a listener, and what answers behind it.
pub struct Application {
    server: Server,
    address: SocketAddr,
}

impl Application {
    /// Listens on the arguments' address (port 0: any that is free) before a store.
    ///
    /// Errors: the address can't be listened on.
    pub fn build(arguments: &ServeArguments, store: Arc<dyn Store>, world: World) -> io::Result<Self> {
        let listener = TcpListener::bind(arguments.listen)?;
        let address = listener.local_addr()?;
        let api = web::Data::new(Api {
            authenticator: Authenticator::new(Arc::clone(&store), arguments.auth_cache),
            limiter: Limiter::new(arguments.rate_limit, arguments.trusted_proxy.iter().copied()),
            store,
            world,
            node: URL_SAFE_NO_PAD.encode(Md5::digest(address.to_string())),
        });
        let mut server =
            HttpServer::new(move || App::new().app_data(api.clone()).default_service(web::to(api::respond)))
                .disable_signals()
                .shutdown_timeout(GRACE_S);
        if let Some(workers) = arguments.workers {
            server = server.workers(usize::from(workers));
        }
        Ok(Self { server: server.listen(listener)?.run(), address })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stops it from elsewhere.
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Answers requests until `stop` is there; then takes no new connection, and ends when the requests under way are
    /// answered.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let handle = self.server.handle();
        let stopping = async {
            stop.await;
            handle.stop(true).await;
            // the server itself says when it is done
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = self.server => ended,
            () = stopping => Ok(()),
        }
    }
}
