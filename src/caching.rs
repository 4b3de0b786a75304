//! What of a store is kept in memory.

use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::background::Background;
use crate::config::at_least_one;
use crate::kazoo::views;
use crate::store::embedded::Embedded;
use crate::store::following::Following;
use crate::store::{Result, SharedStore};

/// What `--cache` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Cache {
    /// Every answer is CouchDB's now.
    #[default]
    Off,
    /// Accounts in use are kept, and held true by their feeds of changes.
    Follow,
}

/// What is kept, and how much of it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Memory")]
pub struct Caching {
    /// Whether accounts in use are kept in memory before a CouchDB: a write made here is seen at once, one made elsewhere
    /// when CouchDB's feed of changes tells of it. An embedded store always keeps them
    #[arg(long, env = "CROSSBAR_CACHE", default_value = "off", value_name = "WHAT")]
    pub cache: Cache,

    /// How many bytes of the accounts in use are kept in memory; who was not asked for the longest is left out first
    #[arg(long, env = "CROSSBAR_CACHE_MEMORY", default_value_t = Embedded::MEMORY, value_parser = at_least_one(), value_name = "BYTES")]
    pub cache_memory: usize,
}

/// Lays what is kept over a store, if it is wanted and others write the store too.
///
/// Errors: never, as long as the collation's data are part of this program.
pub fn over(store: SharedStore, caching: &Caching, background: &Background) -> Result<SharedStore> {
    if caching.cache == Cache::Off || store.is_written_here_alone() {
        return Ok(store);
    }
    Ok(Arc::new(Following::new(store, views::ALL, caching.cache_memory, background.clone())?))
}
