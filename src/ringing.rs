//! The documents that say whom a group rings, read from a store: level by level, each in as few requests as the store can.

use futures::future::try_join;

use crate::document::DocId;
use crate::kazoo::account::AccountId;
use crate::kazoo::rings::{DEPTH, Element, Reading, TooLarge};
use crate::kazoo::views::OWNED;
use crate::store::{self, Store};

/// How often is read at the most: for the groups of each level, then for devices and for their owners.
const ROUNDS: usize = DEPTH + 3;

/// How many documents are read at the most.
const DOCUMENTS: usize = 50_000;

/// Reads all that an element of an account's callflow needs. `grow` is told how many more bytes are held, and may refuse.
///
/// Errors: the store fails, `grow` refuses, or [`TooLarge`].
pub async fn read<E: From<store::Error> + From<TooLarge>>(
    store: &dyn Store,
    account: AccountId,
    element: Element,
    mut grow: impl FnMut(usize) -> Result<(), E>,
) -> Result<Reading, E> {
    let database = account.database();
    let mut reading = Reading::of(element, account);
    for _ in 0..ROUNDS {
        let wanted = reading.wanted().clone();
        if wanted.is_empty() {
            return Ok(reading);
        }
        if reading.len() + wanted.documents.len() > DOCUMENTS {
            break;
        }
        // what is no id names nothing
        let ids: Vec<DocId> = wanted.documents.iter().filter_map(|id| id.parse().ok()).collect();
        let users: Vec<String> = wanted.owned.iter().cloned().collect();
        let documents = async { if ids.is_empty() { Ok(Vec::new()) } else { store.get_many(&database, &ids).await } };
        let devices =
            async { if users.is_empty() { Ok(Vec::new()) } else { store.find(&database, &OWNED, &users).await } };
        let (documents, devices) = try_join(documents, devices).await?;
        let bytes = documents.iter().chain(devices.iter().map(|(_, device)| device)).map(|document| document.bytes());
        grow(bytes.sum())?;
        reading.take(documents, devices);
    }
    Err(TooLarge.into())
}
