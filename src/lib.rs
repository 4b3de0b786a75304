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
//! [`Application`] puts these together, of what the command line ([`config`]) asks for. All of them speak of a [`document`]:
//! its fields in order, each with the JSON it came with.
//!
//! What a request may take: [`budgets`] are its bounds, [`in_flight`] are the bytes that all of them hold; work that keeps a
//! processor busy is done [`aside`]; [`caching`] says what is kept in memory. [`ringing`] reads what says whom a group rings,
//! [`using`] what names one, [`deleted`] what was deleted softly.
//!
//! Beside requests: [`background`] is the work that goes on, [`notices`] tells Kazoo's nodes of what is written, [`admin`] is
//! what operators' machines ask, [`metrics`] are what is counted, [`logging`] is the log.
//!
//! Around the API: [`openapi`] is what it is, [`page`] how people use it in a browser. [`relay`] is the crossbar behind this
//! one, which answers what is not ours, and [`shadow`] holds its answers against ours.
//!
//! For operators: [`operate`] is what they do beside a running service, [`plan`] makes groups what a file says, [`databases`]
//! are made ready and read whole, [`dump`] carries them in and out of files, [`backup`] is what is kept of an embedded store,
//! [`demo`] fills a store with made-up accounts.
//!
//! Where the world comes in: [`world`] is the time and new ids, [`listener`] the sockets, [`tls`] whom we are believed to be and
//! whom we believe, [`files`] what operators name.

#![forbid(unsafe_code)]

pub mod admin;
pub mod api;
mod application;
pub mod aside;
pub mod auth;
pub mod background;
pub mod backup;
pub mod budgets;
pub mod caching;
pub mod config;
pub mod databases;
pub mod deleted;
pub mod demo;
pub mod document;
pub mod dump;
pub mod files;
pub mod in_flight;
pub mod kazoo;
pub mod listener;
pub mod logging;
pub mod metrics;
mod near;
pub mod notices;
pub mod openapi;
mod opening;
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

pub use application::Application;
pub use opening::{OpenError, open_or_make_store, open_store};

/// The version, and the commit that it was built of.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CROSSBAR_COMMIT"), ")");
