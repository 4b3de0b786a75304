//! What changed in a database, and in which order: each document has the number of its last change, which is written with
//! it and never given again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use tokio::sync::watch;
use uuid::Uuid;

use crate::document::DbName;

use super::super::rows::BATCH_BYTES;
use super::super::{Changed, Error, Result, Sequence};
use super::file::File;
use super::layout::{DATABASES, DOCUMENTS, FORMER_DOCUMENTS, FORMER_NUMBERS, HISTORY, META, corrupt, failed, stored};

/// Database, number -> the id of the document whose last change this is.
const CHANGES: TableDefinition<(&str, u64), &str> = TableDefinition::new("changes");

/// The table of changes, in a transaction that writes.
pub(super) struct History<'t> {
    changes: Table<'t, (&'static str, u64), &'static str>,
    /// The last number of each database that was written.
    last: HashMap<DbName, u64>,
}

impl<'t> History<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self> {
        Ok(Self { changes: transaction.open_table(CHANGES).map_err(failed)?, last: HashMap::new() })
    }

    /// The number of a database's next change.
    pub(super) fn next(&mut self, database: &DbName) -> Result<u64> {
        if let Some(last) = self.last.get_mut(database) {
            *last += 1;
            return Ok(*last);
        }
        let next = last_number(&self.changes, database)? + 1;
        self.last.insert(database.clone(), next);
        Ok(next)
    }

    /// A document was changed, which is the change of a number; that of its last change before, if there was one.
    pub(super) fn add(&mut self, database: &DbName, id: &str, number: u64, before: Option<u64>) -> Result<()> {
        let database = database.as_str();
        if let Some(before) = before {
            self.changes.remove((database, before)).map_err(failed)?;
        }
        self.changes.insert((database, number), id).map_err(failed)?;
        Ok(())
    }

    /// The numbers of the databases that were changed.
    pub(super) fn into_last(self) -> HashMap<DbName, u64> {
        self.last
    }
}

/// The last number that a database has given; 0 if none.
fn last_number(changes: &impl ReadableTable<(&'static str, u64), &'static str>, database: &DbName) -> Result<u64> {
    let name = database.as_str();
    let last = changes.range((name, 0)..=(name, u64::MAX)).map_err(failed)?.next_back();
    Ok(last.transpose().map_err(failed)?.map_or(0, |(place, _)| place.value().1))
}

/// Begins a file's history.
pub(super) fn begin(transaction: &WriteTransaction) -> Result<()> {
    let name = Uuid::new_v4().simple().to_string();
    transaction.open_table(META).map_err(failed)?.insert(HISTORY, name.as_str()).map_err(failed)?;
    transaction.delete_table(CHANGES).map_err(failed)?;
    Ok(())
}

/// Takes over the documents of a file of a former layout, with the numbers of their last changes. Those that have none were
/// changed in the order of their ids.
pub(super) fn take_over(transaction: &WriteTransaction) -> Result<()> {
    let former = transaction.open_table(FORMER_DOCUMENTS).map_err(failed)?;
    let numbers = transaction.open_table(FORMER_NUMBERS).map_err(failed)?;
    let mut documents = transaction.open_table(DOCUMENTS).map_err(failed)?;
    let mut history = History::open(transaction)?;
    for entry in former.iter().map_err(failed)? {
        let (place, json) = entry.map_err(failed)?;
        let (database, id) = place.value();
        let number = match numbers.get((database, id)).map_err(failed)? {
            Some(number) => number.value(),
            None => {
                let database = database.parse().map_err(corrupt)?;
                let number = history.next(&database)?;
                history.add(&database, id, number, None)?;
                number
            }
        };
        documents.insert((database, id), (number, json.value())).map_err(failed)?;
    }
    drop((former, numbers));
    transaction.delete_table(FORMER_DOCUMENTS).map_err(failed)?;
    transaction.delete_table(FORMER_NUMBERS).map_err(failed)?;
    Ok(())
}

impl File {
    /// The place that a database's history has reached; None if it is not there.
    pub(super) fn sequence(&self, database: &DbName) -> Result<Option<Sequence>> {
        let transaction = self.redb.begin_read()?;
        if !has(&transaction, database)? {
            return Ok(None);
        }
        let changes = transaction.open_table(CHANGES).map_err(failed)?;
        Ok(Some(sequence(last_number(&changes, database)?, &name(&transaction)?)))
    }

    /// What changed after a place, at most so many and, but for the first, [`BATCH_BYTES`]; None if there is no such place.
    pub(super) fn changed(&self, database: &DbName, since: &Sequence, most: usize) -> Result<Option<Vec<Changed>>> {
        let transaction = self.redb.begin_read()?;
        let changes = transaction.open_table(CHANGES).map_err(failed)?;
        let documents = transaction.open_table(DOCUMENTS).map_err(failed)?;
        let history = name(&transaction)?;
        let last = last_number(&changes, database)?;
        let Some(since) = number(since, &history).filter(|since| *since <= last) else { return Ok(None) };
        if !has(&transaction, database)? {
            return Ok(None);
        }
        let name = database.as_str();
        let (mut found, mut bytes) = (Vec::new(), 0);
        for entry in changes.range((name, since.saturating_add(1))..=(name, u64::MAX)).map_err(failed)? {
            if found.len() >= most || bytes >= BATCH_BYTES {
                break;
            }
            let (place, id) = entry.map_err(failed)?;
            let document = documents.get((name, id.value())).map_err(failed)?;
            let document =
                document.ok_or_else(|| Error::Corrupt(format!("{} changed and is not there", id.value())))?;
            let document = stored(document.value().1)?;
            bytes += document.bytes();
            let revision = document.revision();
            let revision = revision.ok_or_else(|| Error::Corrupt(format!("{} has no revision", id.value())))?;
            let sequence = sequence(place.value().1, &history);
            found.push(Changed { sequence, id: id.value().into(), revision, document: Some(Arc::new(document)) });
        }
        Ok(Some(found))
    }
}

fn has(transaction: &ReadTransaction, database: &DbName) -> Result<bool> {
    let databases = transaction.open_table(DATABASES).map_err(failed)?;
    Ok(databases.get(database.as_str()).map_err(failed)?.is_some())
}

/// What tells this file's numbers from those of another that took its place.
fn name(transaction: &ReadTransaction) -> Result<String> {
    let meta = transaction.open_table(META).map_err(failed)?;
    let name = meta.get(HISTORY).map_err(failed)?;
    let name = name.ok_or_else(|| Error::Corrupt("its history has no name".to_owned()))?;
    Ok(name.value().to_owned())
}

fn sequence(number: u64, history: &str) -> Sequence {
    Sequence::new(format!("{number}-{history}"))
}

fn number(sequence: &Sequence, history: &str) -> Option<u64> {
    let (number, of) = sequence.as_str().split_once('-')?;
    number.parse().ok().filter(|_| of == history)
}

/// Who waits for changes of which database.
#[derive(Default)]
pub(super) struct Followers(Mutex<HashMap<DbName, watch::Sender<u64>>>);

impl Followers {
    /// What sees each change of a database from now on.
    pub(super) fn follow(&self, database: &DbName) -> watch::Receiver<u64> {
        let mut followed = self.followed();
        followed.retain(|_, sender| !sender.is_closed());
        followed.entry(database.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// The databases have changed, up to these numbers.
    pub(super) fn changed(&self, last: HashMap<DbName, u64>) {
        let followed = self.followed();
        for (database, number) in last {
            if let Some(sender) = followed.get(&database) {
                sender.send_replace(number);
            }
        }
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<DbName, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use crate::document::Document;
    use crate::store::{Server, Store};

    use super::super::Embedded;
    use super::super::layout::{FIRST_LAYOUT, LAYOUT, LAYOUT_WITH_HISTORY, LAYOUT_WITH_ROWS};
    use super::*;

    /// Does something with the store of a folder, which nobody has open any longer when this returns.
    fn with<T>(folder: &Path, work: impl AsyncFnOnce(&Embedded) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { work(&Embedded::open(folder, &[]).unwrap()).await })
    }

    async fn load(store: &Embedded, database: &DbName, documents: &[&str]) {
        store.create(database).await.unwrap();
        let documents = documents.iter().map(|json| Document::parse(json).unwrap()).collect();
        store.load(database, documents).await.unwrap();
    }

    /// The ids that changed after a number, and up to which number.
    async fn changed(store: &Embedded, database: &DbName, after: u64) -> (Vec<String>, u64) {
        let reached = store.sequence(database).await.unwrap().unwrap();
        let (number, name) = reached.as_str().split_once('-').unwrap();
        let changed = store.changed(database, &sequence(after, name), 100).await.unwrap().unwrap();
        (changed.iter().map(|changed| changed.id.to_string()).collect(), number.parse().unwrap())
    }

    /// Makes of the documents what a former layout had.
    pub(in super::super) fn as_before(transaction: &WriteTransaction, layout: u32) {
        let layout = layout.to_string();
        transaction.open_table(META).unwrap().insert("layout", layout.as_str()).unwrap();
        let documents = transaction.open_table(DOCUMENTS).unwrap();
        let mut former = transaction.open_table(FORMER_DOCUMENTS).unwrap();
        let mut numbers = transaction.open_table(FORMER_NUMBERS).unwrap();
        for entry in documents.iter().unwrap() {
            let (place, document) = entry.unwrap();
            let (number, json) = document.value();
            former.insert(place.value(), json).unwrap();
            numbers.insert(place.value(), number).unwrap();
        }
        drop((documents, former, numbers));
        transaction.delete_table(DOCUMENTS).unwrap();
    }

    #[test]
    fn files_of_before_keep_their_history() {
        let database = DbName::fixed("db");
        for layout in [LAYOUT_WITH_HISTORY, LAYOUT_WITH_ROWS] {
            let folder = tempfile::tempdir().unwrap();
            let reached = with(folder.path(), async |store| {
                load(store, &database, &[r#"{"_id":"a","_rev":"1-a"}"#, r#"{"_id":"b","_rev":"1-a"}"#]).await;
                load(store, &database, &[r#"{"_id":"a","_rev":"2-a"}"#]).await;
                let before = |transaction: &WriteTransaction| {
                    as_before(transaction, layout);
                    Ok(())
                };
                store.disk.file().redb.write(before).unwrap();
                store.sequence(&database).await.unwrap()
            });
            with(folder.path(), async |store| {
                assert_eq!(store.sequence(&database).await.unwrap(), reached, "{layout}");
                load(store, &database, &[r#"{"_id":"b","_rev":"2-a"}"#]).await;
                assert_eq!(changed(store, &database, 0).await, (vec!["a".to_owned(), "b".to_owned()], 4), "{layout}");
            });
        }
    }

    #[test]
    fn files_of_before_are_given_a_history() {
        let (one, other) = (DbName::fixed("one"), DbName::fixed("other"));
        for layout in [FIRST_LAYOUT, 2] {
            let folder = tempfile::tempdir().unwrap();
            with(folder.path(), async |store| {
                load(store, &one, &[r#"{"_id":"b","_rev":"1-a"}"#, r#"{"_id":"a","_rev":"1-a"}"#]).await;
                load(store, &other, &[r#"{"_id":"c","_rev":"1-a"}"#]).await;
                let as_it_was = |transaction: &WriteTransaction| {
                    as_before(transaction, layout);
                    transaction.open_table(META).unwrap().remove(HISTORY).unwrap();
                    transaction.delete_table(CHANGES).unwrap();
                    transaction.delete_table(FORMER_NUMBERS).unwrap();
                    Ok(())
                };
                store.disk.file().redb.write(as_it_was).unwrap();
            });
            let begun = with(folder.path(), async |store| {
                assert_eq!(changed(store, &one, 0).await, (vec!["a".to_owned(), "b".to_owned()], 2), "{layout}");
                assert_eq!(changed(store, &other, 0).await, (vec!["c".to_owned()], 1), "{layout}");
                store.sequence(&one).await.unwrap()
            });
            // it is begun once
            with(folder.path(), async |store| {
                assert_eq!(store.sequence(&one).await.unwrap(), begun);
                let transaction = store.disk.file().redb.begin_read().unwrap();
                let meta = transaction.open_table(META).unwrap();
                assert_eq!(meta.get("layout").unwrap().unwrap().value(), LAYOUT.to_string());
            });
        }
    }

    #[test]
    fn numbers_outlive_who_gave_them_and_are_given_once() {
        let database = DbName::fixed("db");
        let folder = tempfile::tempdir().unwrap();
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        with(folder.path(), async |store| {
            load(store, &database, &[r#"{"_id":"a","_rev":"1-a"}"#, r#"{"_id":"b","_rev":"1-a"}"#]).await;
            load(store, &database, &[r#"{"_id":"a","_rev":"2-a"}"#]).await;
            assert_eq!(changed(store, &database, 0).await, (ids(&["b", "a"]), 3));
        });
        with(folder.path(), async |store| {
            load(store, &database, &[r#"{"_id":"a","_rev":"3-a"}"#]).await;
            // what is known to be later is not written, and no change
            load(store, &database, &[r#"{"_id":"a","_rev":"2-b"}"#]).await;
            assert_eq!(changed(store, &database, 0).await, (ids(&["b", "a"]), 4));
            assert_eq!(changed(store, &database, 2).await, (ids(&["a"]), 4));
        });
    }

    #[test]
    fn what_is_no_place_of_the_file_is_not_known() {
        let database = DbName::fixed("db");
        let folder = tempfile::tempdir().unwrap();
        with(folder.path(), async |store| {
            assert!(store.sequence(&database).await.unwrap().is_none());
            load(store, &database, &[r#"{"_id":"a","_rev":"1-a"}"#]).await;
            let reached = store.sequence(&database).await.unwrap().unwrap();
            let (_, name) = reached.as_str().split_once('-').unwrap();
            let not_yet = format!("2-{name}");
            for place in ["", "1", "1-x", "x", "-", &format!("-{name}"), &not_yet] {
                assert!(store.changed(&database, &Sequence::new(place), 1).await.unwrap().is_none(), "{place}");
            }
            assert!(store.changed(&database, &reached, 1).await.unwrap().unwrap().is_empty());
            let missing = DbName::fixed("missing");
            assert!(store.changed(&missing, &sequence(0, name), 1).await.unwrap().is_none());
        });
    }
}
