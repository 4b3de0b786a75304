//! The store that a command is asked to look at.

use crossbar_groups::config::StoreArgument;
use crossbar_groups::open_store;
use crossbar_groups::store::SharedServer;

/// Opens the store that arguments name.
///
/// Errors: it is not there, or can't be asked.
pub async fn opened(store: &StoreArgument) -> anyhow::Result<SharedServer> {
    Ok(open_store(&store.location()?, &store.options()?).await?)
}
