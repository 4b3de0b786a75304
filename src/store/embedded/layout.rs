//! What is where in the file.

use std::collections::HashMap;
use std::io;

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};

use crate::document::{DbName, Document};

use super::super::mapping::Mapped;
use super::super::{Error, Result};

/// Where a row stands in [`ROWS`].
pub(super) type RowPlace = (u32, u8, &'static [u8], &'static str);

/// What a row holds: its key, and which of its document's values it has.
pub(super) type KeyAndNumber = (&'static str, u32);

/// Where a value stands in [`VALUES`].
pub(super) type ValuePlace = (u32, &'static str, u32);

/// The databases there are.
pub(super) const DATABASES: TableDefinition<&str, ()> = TableDefinition::new("databases");

/// Database -> the number that stands for it where its name would be written over and over.
const NUMBERED: TableDefinition<&str, u32> = TableDefinition::new("numbered_databases");

/// Database and document id -> the number of the document's last change, and the document as CouchDB would give it.
pub(super) const DOCUMENTS: TableDefinition<(&str, &str), (u64, &str)> = TableDefinition::new("documents_with_numbers");

/// Where the layouts before had the documents, and the numbers of their last changes.
pub(super) const FORMER_DOCUMENTS: TableDefinition<(&str, &str), &str> = TableDefinition::new("documents");
pub(super) const FORMER_NUMBERS: TableDefinition<(&str, &str), u64> = TableDefinition::new("numbers");

/// Database's and view's number, the key's place in the collation, document id -> key, and the number of the row's value.
pub(super) const ROWS: TableDefinition<RowPlace, KeyAndNumber> = TableDefinition::new("rows_by_number");

/// Database's number, document id, number -> a value of the document's rows, however many rows have it.
pub(super) const VALUES: TableDefinition<ValuePlace, &str> = TableDefinition::new("values_by_number");

/// Where former layouts had both.
pub(super) const FORMER_ROWS: [&str; 2] = ["rows", "values"];

/// Database, document id, attachment's name -> its bytes.
pub(super) const CONTENTS: TableDefinition<(&str, &str, &str), &[u8]> = TableDefinition::new("attachments");

/// What the file is and which views' rows it holds.
pub(super) const META: TableDefinition<&str, &str> = TableDefinition::new("meta");

/// The layout of the file: which tables it has, and what their keys and values are. An earlier build may not read it. In the
/// first, each row had its value itself; the second had no history; in the third rows named their database and view, and were
/// written with their document; in the fourth the numbers of documents' changes had a table of their own.
pub(super) const LAYOUT: u32 = 5;

/// The layout of files that name none.
pub(super) const FIRST_LAYOUT: u32 = 1;

/// The first layout with a history, and the first whose rows are those of this one.
pub(super) const LAYOUT_WITH_HISTORY: u32 = 3;
pub(super) const LAYOUT_WITH_ROWS: u32 = 4;

/// Where [`META`] has the name of the file's history.
pub(super) const HISTORY: &str = "history";

/// The tables of rows, in a transaction that writes.
pub(super) struct RowTables<'t> {
    rows: Table<'t, RowPlace, KeyAndNumber>,
    values: Table<'t, ValuePlace, &'static str>,
    numbered: Table<'t, &'static str, u32>,
    numbers: HashMap<DbName, u32>,
}

impl<'t> RowTables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self> {
        Ok(Self {
            rows: transaction.open_table(ROWS).map_err(failed)?,
            values: transaction.open_table(VALUES).map_err(failed)?,
            numbered: transaction.open_table(NUMBERED).map_err(failed)?,
            numbers: HashMap::new(),
        })
    }

    /// The number of a database, which it is given with its first row.
    fn number(&mut self, database: &DbName) -> Result<u32> {
        if let Some(number) = self.numbers.get(database) {
            return Ok(*number);
        }
        let found = self.numbered.get(database.as_str()).map_err(failed)?.map(|found| found.value());
        let number = match found {
            Some(number) => number,
            None => {
                let number = u32::try_from(self.numbered.len().map_err(failed)?).map_err(corrupt)?;
                self.numbered.insert(database.as_str(), number).map_err(failed)?;
                number
            }
        };
        self.numbers.insert(database.clone(), number);
        Ok(number)
    }

    /// Writes a document's rows in the place of those that are there.
    pub(super) fn replace(&mut self, database: &DbName, id: &str, existing: &Mapped, rows: &Mapped) -> Result<()> {
        let database = self.number(database)?;
        for (view, sort_key) in existing.rows.keys().filter(|place| !rows.rows.contains_key(place)) {
            self.rows.remove((database, number_of_view(*view)?, sort_key.as_slice(), id)).map_err(failed)?;
        }
        for (place @ (view, sort_key), row @ (key, number)) in &rows.rows {
            if existing.rows.get(place) != Some(row) {
                let place = (database, number_of_view(*view)?, sort_key.as_slice(), id);
                self.rows.insert(place, (key.as_str(), *number)).map_err(failed)?;
            }
        }
        for (number, value) in (0..).zip(&rows.values) {
            self.values.insert((database, id, number), value.get()).map_err(failed)?;
        }
        for (number, _) in (0..).zip(&existing.values).skip(rows.values.len()) {
            self.values.remove((database, id, number)).map_err(failed)?;
        }
        Ok(())
    }
}

/// A view's number as rows have it.
pub(super) fn number_of_view(view: usize) -> Result<u8> {
    u8::try_from(view).map_err(corrupt)
}

/// The number of a database; None if it has no rows.
pub(super) fn number_of_database(transaction: &ReadTransaction, database: &DbName) -> Result<Option<u32>> {
    let numbered = transaction.open_table(NUMBERED).map_err(failed)?;
    Ok(numbered.get(database.as_str()).map_err(failed)?.map(|found| found.value()))
}

pub(super) fn stored(json: &str) -> Result<Document> {
    Document::parse(json).map_err(corrupt)
}

pub(super) fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::Corrupt(error.to_string())
}

/// A fault of the file: full disk, broken file, …
pub(super) fn failed(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        error @ redb::Error::Corrupted(_) => Error::Corrupt(error.to_string()),
        redb::Error::Io(error) if is_full(&error) => Error::Full(error.to_string()),
        error => Error::Refused(error.to_string()),
    }
}

/// Whether there is no room for what was to be written: on the disk, in the user's part of it, or for a file so long.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
