//! The tests from outside: of the service over HTTP, of the program by its exit status and what it prints, of the
//! stores behind their trait. They are one binary, since each further one would link the whole service once more;
//! so they run side by side, on one CouchDB, and each keeps to an account or a store of its own.

mod auth;
mod beside;
mod cli;
mod common;
mod contract;
mod life;
mod nodes;
mod notices;
mod operate;
mod paging;
mod store;
mod system;
