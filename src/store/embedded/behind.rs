//! Rows that are behind their documents. What a write costs is mostly the pages of the file that it changes, and the rows of a
//! document lie in as many as it has users: so a write leaves them as they were, and notes what they are of. They are brought
//! up to their documents many at a time, those that lie side by side together. Who reads rows meanwhile makes those that are
//! missing of the documents (`rows.rs`).

use std::collections::HashSet;

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};

use crate::document::{DbName, Document};

use super::super::Result;
use super::super::rows::LAST;
use super::layout::{corrupt, failed, stored};

/// Database, document id -> the document that its rows are of; nothing, if it has none.
const BEHIND: TableDefinition<(&str, &str), &str> = TableDefinition::new("behind");

/// How many documents may be ahead of their rows.
const MOST: u64 = if cfg!(test) { 3 } else { 1_024 };

/// What has more bytes of JSON is not ahead: its rows are written with it.
pub(super) const SMALL: usize = 8 * 1024;

/// How many are taken out at a time.
const AT_ONCE: usize = 128;

/// The documents that are ahead of their rows, in a transaction that writes.
pub(super) struct Behind<'t>(Table<'t, (&'static str, &'static str), &'static str>);

/// A document that is ahead of its rows.
pub(super) struct Ahead {
    pub(super) database: DbName,
    pub(super) id: String,
    /// What its rows are of.
    pub(super) rows_of: Option<Document>,
}

impl<'t> Behind<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self> {
        Ok(Self(transaction.open_table(BEHIND).map_err(failed)?))
    }

    /// A document is written in place of one whose rows may be there.
    pub(super) fn note(&mut self, database: &DbName, id: &str, existing: Option<&Document>) -> Result<()> {
        let place = (database.as_str(), id);
        if self.0.get(place).map_err(failed)?.is_none() {
            let json = existing.map(Document::to_json).unwrap_or_default();
            self.0.insert(place, json.as_str()).map_err(failed)?;
        }
        Ok(())
    }

    /// How many documents there are beyond [`MOST`].
    pub(super) fn too_many(&self) -> Result<u64> {
        Ok(self.0.len().map_err(failed)?.saturating_sub(MOST))
    }

    /// Takes out a document; None if it is not ahead.
    pub(super) fn take_one(&mut self, database: &DbName, id: &str) -> Result<Option<Ahead>> {
        let place = (database.as_str(), id);
        Ok(self.take(place, place, 1)?.pop())
    }

    /// Takes out some of those of a database; none, if there are none.
    pub(super) fn take_of(&mut self, database: &DbName) -> Result<Vec<Ahead>> {
        self.take((database.as_str(), ""), (database.as_str(), LAST), AT_ONCE)
    }

    /// Takes out at most so many after a place, which is moved along: those that lie side by side, and the first again
    /// after the last.
    pub(super) fn take_some(&mut self, after: &mut (String, String), most: usize) -> Result<Vec<Ahead>> {
        let most = most.min(AT_ONCE);
        let mut taken = self.take((&after.0, &after.1), (LAST, LAST), most)?;
        if taken.len() < most {
            taken.extend(self.take(("", ""), (LAST, LAST), most - taken.len())?);
        }
        if let Some(Ahead { database, id, .. }) = taken.last() {
            *after = (database.to_string(), id.clone());
        }
        Ok(taken)
    }

    fn take(&mut self, first: (&str, &str), last: (&str, &str), most: usize) -> Result<Vec<Ahead>> {
        let mut taken = Vec::new();
        for entry in self.0.range(first..=last).map_err(failed)?.take(most) {
            let (place, json) = entry.map_err(failed)?;
            let ((database, id), json) = (place.value(), json.value());
            // one that can't be read must not stop all who write: its former rows stay
            let rows_of = Some(json).filter(|json| !json.is_empty()).map(stored).transpose().unwrap_or_else(|error| {
                log::error!("{database}: the rows of {id} can't be taken out: {error}");
                None
            });
            taken.push(Ahead { database: database.parse().map_err(corrupt)?, id: id.to_owned(), rows_of });
        }
        for Ahead { database, id, .. } in &taken {
            self.0.remove((database.as_str(), id.as_str())).map_err(failed)?;
        }
        Ok(taken)
    }
}

/// The ids of a database's documents that are ahead of their rows.
pub(super) fn ahead(transaction: &ReadTransaction, database: &DbName) -> Result<HashSet<String>> {
    let behind = transaction.open_table(BEHIND).map_err(failed)?;
    let name = database.as_str();
    let found = behind.range((name, "")..=(name, LAST)).map_err(failed)?;
    found.map(|entry| Ok(entry.map_err(failed)?.0.value().1.to_owned())).collect()
}

/// No rows are behind any longer: all are made anew.
pub(super) fn forget(transaction: &WriteTransaction) -> Result<()> {
    transaction.delete_table(BEHIND).map_err(failed)?;
    Behind::open(transaction).map(drop)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    use futures::TryStreamExt;
    use proptest::prelude::*;

    use crate::document::json;
    use crate::store::{Query, Server, Store, View};

    use super::super::Embedded;
    use super::*;

    /// A row for each letter of a document's `keys`.
    const LETTERS: View = View {
        design: "d",
        name: "letters",
        version: 1,
        holds: |_| true,
        is_kept: false,
        map: |document, emit| {
            let value = Arc::from(json::raw(&document.text("keys")));
            for letter in document.text("keys").unwrap_or_default().chars() {
                emit(&letter.to_string(), &value);
            }
        },
    };

    #[derive(Debug, Clone)]
    enum Step {
        /// Writes a document of a database, large or small.
        Write(u8, u8, String, bool),
        Read(u8),
        Reopen,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0..2_u8, 0..9_u8, "[a-e]{0,4}", prop::bool::weighted(0.2))
                .prop_map(|(database, id, keys, is_large)| Step::Write(database, id, keys, is_large)),
            1 => (0..2_u8).prop_map(Step::Read),
            1 => Just(Step::Reopen),
        ];
        prop::collection::vec(step, 1..60)
    }

    fn name(database: u8) -> DbName {
        [DbName::fixed("one"), DbName::fixed("other")][usize::from(database)].clone()
    }

    /// The rows of a database, as ids, keys and values.
    async fn rows(store: &Embedded, database: u8) -> Vec<(String, String, String)> {
        let name = name(database);
        let rows: Vec<_> = store.rows(&name, &LETTERS, Query::all()).try_collect().await.unwrap();
        let mut rows: Vec<_> =
            rows.iter().map(|row| (row.id.to_string(), row.key.to_string(), row.value.get().to_owned())).collect();
        rows.sort();
        rows
    }

    /// What they should be.
    fn expected(written: &BTreeMap<(u8, u8), String>, database: u8) -> Vec<(String, String, String)> {
        let of_database = written.iter().filter(|((of, _), _)| *of == database);
        let rows = of_database.flat_map(|((_, id), keys)| {
            keys.chars().map(move |letter| (format!("{id}"), letter.to_string(), format!("{keys:?}")))
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        rows.dedup();
        rows
    }

    async fn open(folder: &Path) -> Embedded {
        let store = Embedded::open(folder, &[LETTERS]).unwrap();
        for database in 0..2 {
            store.create(&name(database)).await.unwrap();
        }
        store
    }

    async fn run(folder: &Path, steps: Vec<Step>) {
        let mut store = open(folder).await;
        let mut written = BTreeMap::new();
        for step in steps {
            match step {
                Step::Write(database, id, keys, is_large) => {
                    let padding = if is_large { "x".repeat(SMALL) } else { String::new() };
                    let json = format!(r#"{{"_id":"{id}","keys":"{keys}","x":"{padding}"}}"#);
                    let mut document = Document::parse(&json).unwrap();
                    let there = store.get(&name(database), &id.to_string().parse().unwrap()).await.unwrap();
                    if let Some(revision) = there.and_then(|there| there.revision()) {
                        document.set_text("_rev", &revision.to_string());
                    }
                    store.put(&name(database), &document).await.unwrap();
                    written.insert((database, id), keys);
                }
                Step::Read(database) => assert_eq!(rows(&store, database).await, expected(&written, database)),
                Step::Reopen => {
                    // who writes lets go of the file a moment after he has told
                    drop(store);
                    store = loop {
                        match Embedded::open(folder, &[LETTERS]) {
                            Ok(store) => break store,
                            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
                        }
                    };
                }
            }
        }
        for database in 0..2 {
            assert_eq!(rows(&store, database).await, expected(&written, database));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn who_reads_rows_finds_those_of_the_documents(steps in steps()) {
            let folder = tempfile::tempdir().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run(folder.path(), steps));
        }
    }
}
