//! Lists that were put together, kept for who asks for the same next as long as nothing of their account is written.

use std::sync::Arc;

use moka::future::Cache;
use moka::policy::EvictionPolicy;

use crate::kazoo::account::AccountId;

use super::answer::List;
use super::error::Error;

/// How many bytes of lists are kept.
const MOST: u64 = 16 * 1024 * 1024;

/// What a list costs beside its rows, and these compressed.
const COST_OF_LIST: usize = 1_500;

/// Which list, and which page of it. What a filter accepts is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The account.
    pub account: AccountId,
    /// What is listed.
    pub noun: &'static str,
    /// The user to whom it belongs, if it is a user's list.
    pub user: Option<String>,
    /// Where the client wants it to start, encoded.
    pub start: Option<String>,
    /// How many rows a page has; None: the list is not paged.
    pub size: Option<usize>,
}

/// A list, or a page of one.
#[derive(Debug)]
pub struct Page {
    /// Its rows.
    pub rows: Arc<List>,
    /// A digest of the rows and of what follows them.
    pub digest: String,
    /// Where the page started, encoded.
    pub start: Option<String>,
    /// Where the next page starts, encoded.
    pub next: Option<String>,
}

/// The lists that are kept, each with the version of its account's database of which it was made.
pub struct Pages(Cache<(Wanted, u64), Arc<Page>>);

impl Default for Pages {
    fn default() -> Self {
        let weigh = |_: &_, page: &Arc<Page>| {
            u32::try_from(2 * page.rows.json().get().len() + COST_OF_LIST).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MOST).weigher(weigh).eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl Pages {
    /// A list as it is in a version of its database, put together by `gather` if it is not kept; once for all who ask for
    /// it at the same time.
    ///
    /// Errors: those of `gather`.
    pub async fn get(
        &self,
        wanted: Wanted,
        version: u64,
        gather: impl Future<Output = Result<Page, Error>>,
    ) -> Result<Arc<Page>, Error> {
        let page = self.0.try_get_with((wanted, version), async { gather.await.map(Arc::new) }).await;
        page.map_err(|error| Error::clone(&error))
    }
}
