//! A view's rows as a stream, read from the store in batches.

use futures::stream::{self, Stream, TryStreamExt};

use crate::document::DbName;

use super::{Query, Result, Row, Select, Store, View};

/// The rows that a query selects, to the last: `query.limit` is how many are asked for at a time.
///
/// A batch goes on from the last row of the one before, by its key or, under [`Select::Key`], by its document's id.
/// So a view in which many documents emit the same key is to be read by [`Select::Key`].
pub fn rows<'a>(
    store: &'a dyn Store,
    database: &'a DbName,
    view: &'a View,
    query: Query,
) -> impl Stream<Item = Result<Row>> + 'a {
    let first = Some((query, None::<(String, String)>));
    stream::try_unfold(first, move |state| async move {
        let Some((query, seen)) = state else { return Ok(None) };
        let asked = Query { limit: query.limit.saturating_add(usize::from(seen.is_some())), ..query.clone() };
        let mut batch = store.query(database, view, &asked).await?;
        let is_last = batch.len() < asked.limit;
        if let Some((key, id)) = seen
            && batch.first().is_some_and(|row| row.key == key && row.id == id)
        {
            batch.remove(0);
        }
        let next = batch.last().filter(|_| !is_last).map(|row| {
            let select = match &query.select {
                Select::From(_) => Select::From(Some(row.key.clone())),
                Select::Key(key, _) => Select::Key(key.clone(), Some(row.id.clone())),
            };
            (Query { select, ..query }, Some((row.key.clone(), row.id.clone())))
        });
        Ok(Some((stream::iter(batch.into_iter().map(Ok)), next)))
    })
    .try_flatten()
}
