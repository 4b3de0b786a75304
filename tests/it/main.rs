//! The tests from outside: of the service over HTTP, of the program by its exit status and what it prints, of the
//! stores behind their trait. They are one binary, since each further one would link the whole service once more.
//!
//! So all run side by side, in one process and on one CouchDB. Each keeps to an account or a store of its own; the
//! accounts of the seed in the CouchDB are those of `contract`, and nobody writes to its system documents.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what panics has failed")]

mod admission;
mod auth;
mod backup;
mod beside;
mod cli;
mod coding;
mod common;
mod config;
mod contention;
mod contract;
mod costs;
mod deleted;
mod durability;
mod events;
mod faults;
mod following;
mod guessing;
mod hostile;
mod life;
mod logging;
mod manual;
mod matrix;
mod memory;
mod metrics;
mod nodes;
mod notices;
mod openapi;
mod operate;
mod owners;
mod page;
mod paging;
mod plan;
mod ready;
mod relay;
mod rings;
mod routes;
mod secrets;
mod shadow;
mod store;
mod system;
mod tls;
mod used;
mod words;
