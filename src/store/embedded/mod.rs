//! The store for those who have no CouchDB: one redb file that keeps CouchDB's rules. A document's view rows are
//! written in the transaction that writes the document, so a list never reads documents, and what was answered is
//! on disk.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use icu_collator::{Collator, CollatorBorrowed};
use md5::{Digest, Md5};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde_json::value::RawValue;

use crate::document::{DbName, DocId, Document, Revision, json};

use super::{ATTACHMENTS, Attachments, DESIGN, Error, Query, Result, Row, Select, Server, Store, View};

/// Where a row stands in [`ROWS`].
type RowPlace = (&'static str, &'static str, &'static [u8], &'static str);

/// What a row holds.
type KeyAndValue = (&'static str, &'static str);

/// The databases there are.
const DATABASES: TableDefinition<&str, ()> = TableDefinition::new("databases");

/// Database and document id -> the document, as CouchDB would give it.
const DOCUMENTS: TableDefinition<(&str, &str), &str> = TableDefinition::new("documents");

/// Database, view, the key's place in the collation, document id -> key and value.
const ROWS: TableDefinition<RowPlace, KeyAndValue> = TableDefinition::new("rows");

/// Database, document id, attachment's name -> its bytes.
const CONTENTS: TableDefinition<(&str, &str, &str), &[u8]> = TableDefinition::new("attachments");

/// What the file is and which views' rows it holds.
const META: TableDefinition<&str, &str> = TableDefinition::new("meta");

/// The layout of the file: which tables it has, and what their keys and values are. A later build may not read it.
const LAYOUT: &str = "1";

/// Sorts after every text that can follow in the same place of a key.
const LAST: &str = "\u{10ffff}";

/// A folder with one redb file. Only one process may have it open.
pub struct Embedded {
    inner: Arc<Inner>,
}

struct Inner {
    file: Database,
    views: &'static [View],
    collator: CollatorBorrowed<'static>,
}

impl Embedded {
    /// Opens the store in a folder, making both if they are not there, the folder for its owner alone. Rows of views
    /// that this build does not have, or makes otherwise, are made anew.
    ///
    /// Errors: the folder can't be made or written, another process has the store open, the file is no store, or it is
    /// one of a layout that this build does not know.
    pub fn open(folder: &Path, views: &'static [View]) -> Result<Self> {
        let cannot = |error: &dyn std::fmt::Display| Error::Unreachable(format!("{}: {error}", folder.display()));
        // signing keys and users' secrets are in it
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| cannot(&error))?;
        let file = Database::create(folder.join("store.redb")).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => cannot(&"another process has this store open"),
            error => cannot(&error),
        })?;
        let collator = Collator::try_new(Default::default(), Default::default()).map_err(|error| cannot(&error))?;
        let inner = Inner { file, views, collator };
        inner.prepare_tables()?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs what reads or writes the file where it may block.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .unwrap_or_else(|error| Err(Error::Refused(format!("the store's work was cut off: {error}"))))
    }
}

#[async_trait]
impl Store for Embedded {
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Document>> {
        let (database, id) = (database.clone(), id.clone());
        self.blocking(move |inner| {
            let documents = inner.read()?.open_table(DOCUMENTS).map_err(failed)?;
            let found = documents.get((database.as_str(), id.as_str())).map_err(failed)?;
            found.map(|json| stored(json.value())).transpose()
        })
        .await
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let (database, document) = (database.clone(), document.clone());
        self.blocking(move |inner| {
            inner.write(&database, |tables| {
                let id = id_of(&document)?;
                let existing = tables.document(&id)?;
                let current = existing.as_ref().and_then(Document::revision);
                if current != document.revision() {
                    return Err(Error::Conflict);
                }
                let revision = document.next_revision(current.as_ref());
                tables.replace(&id, existing.as_ref(), document, &revision)?;
                Ok(revision)
            })
        })
        .await
    }

    async fn query(&self, database: &DbName, view: &View, query: &Query) -> Result<Vec<Row>> {
        let (database, view, query) = (database.clone(), *view, query.clone());
        self.blocking(move |inner| inner.rows(&database, &view, &query)).await
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        let (database, id, name) = (database.clone(), id.clone(), name.to_owned());
        self.blocking(move |inner| {
            let contents = inner.read()?.open_table(CONTENTS).map_err(failed)?;
            let found = contents.get((database.as_str(), id.as_str(), name.as_str())).map_err(failed)?;
            Ok(found.map(|bytes| Bytes::copy_from_slice(bytes.value())))
        })
        .await
    }

    async fn create(&self, database: &DbName) -> Result<()> {
        let database = database.clone();
        self.blocking(move |inner| {
            let transaction = inner.file.begin_write().map_err(failed)?;
            transaction.open_table(DATABASES).map_err(failed)?.insert(database.as_str(), ()).map_err(failed)?;
            transaction.commit().map_err(failed)
        })
        .await
    }

    async fn prepare(&self, database: &DbName) -> Result<()> {
        self.create(database).await
    }

    async fn load(&self, database: &DbName, documents: Vec<Document>) -> Result<()> {
        let database = database.clone();
        self.blocking(move |inner| {
            inner.write(&database, |tables| {
                for document in documents {
                    let id = id_of(&document)?;
                    let revision = document.revision().unwrap_or_else(|| document.next_revision(None));
                    let existing = tables.document(&id)?;
                    if existing.as_ref().and_then(Document::revision).is_none_or(|current| current < revision) {
                        tables.replace(&id, existing.as_ref(), document, &revision)?;
                    }
                }
                Ok(())
            })
        })
        .await
    }

    async fn dump(&self, database: &DbName, after: Option<&str>, limit: usize) -> Result<Option<Vec<Document>>> {
        let (database, after) = (database.clone(), after.map(str::to_owned));
        let all = move |inner: &Inner| inner.documents(&database, (after.as_deref(), LAST), limit, Attachments::Inline);
        self.blocking(all).await
    }

    async fn documents(&self, database: &DbName, after: Option<&str>, limit: usize) -> Result<Option<Vec<Document>>> {
        let (database, after) = (database.clone(), after.map(str::to_owned));
        let all = move |inner: &Inner| inner.documents(&database, (after.as_deref(), LAST), limit, Attachments::Named);
        self.blocking(all).await
    }

    async fn design_documents(&self, database: &DbName) -> Result<Option<Vec<Document>>> {
        let database = database.clone();
        let last = format!("{DESIGN}{LAST}");
        let range = move |inner: &Inner| {
            inner.documents(&database, (Some(DESIGN), last.as_str()), usize::MAX, Attachments::Named)
        };
        self.blocking(range).await
    }

    async fn put_design(&self, database: &DbName, document: &Document) -> Result<Revision> {
        self.put(database, document).await
    }

    async fn databases(&self) -> Result<Vec<DbName>> {
        self.blocking(|inner| {
            let databases = inner.read()?.open_table(DATABASES).map_err(failed)?;
            let names = databases.iter().map_err(failed)?;
            names.map(|entry| entry.map_err(failed)?.0.value().parse().map_err(corrupt)).collect()
        })
        .await
    }

    async fn server(&self) -> Result<Server> {
        Ok(Server::Embedded)
    }
}

impl Inner {
    /// Makes the tables of a new file; makes the rows anew if they are not those of this build's views.
    fn prepare_tables(&self) -> Result<()> {
        let views: Vec<String> = self.views.iter().map(|view| format!("{}@{}", path(view), view.version)).collect();
        let views = views.join(" ");
        let transaction = self.file.begin_write().map_err(failed)?;
        let is_current = {
            let mut meta = transaction.open_table(META).map_err(failed)?;
            let found = |key: &str| -> Result<Option<String>> {
                Ok(meta.get(key).map_err(failed)?.map(|found| found.value().to_owned()))
            };
            let (layout, current) = (found("layout")?, found("views")?.is_some_and(|found| found == views));
            // files of before there were layouts have the first
            if let Some(layout) = layout.filter(|layout| layout != LAYOUT) {
                let text = format!("the store's layout is {layout}, and this build knows {LAYOUT}: use a later build");
                return Err(Error::Refused(text));
            }
            meta.insert("layout", LAYOUT).map_err(failed)?;
            current
        };
        if !is_current {
            transaction.delete_table(ROWS).map_err(failed)?;
            self.make_rows(&transaction)?;
            let mut meta = transaction.open_table(META).map_err(failed)?;
            meta.insert("views", views.as_str()).map_err(failed)?;
        }
        transaction.open_table(DATABASES).map_err(failed)?;
        transaction.open_table(CONTENTS).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    fn make_rows(&self, transaction: &WriteTransaction) -> Result<()> {
        let documents = transaction.open_table(DOCUMENTS).map_err(failed)?;
        let mut rows = transaction.open_table(ROWS).map_err(failed)?;
        for entry in documents.iter().map_err(failed)? {
            let (place, json) = entry.map_err(failed)?;
            let (database, id) = place.value();
            let database = database.parse().map_err(corrupt)?;
            for row in self.mapped(&database, &stored(json.value())?) {
                row.insert(&mut rows, &database, id)?;
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<ReadTransaction> {
        self.file.begin_read().map_err(failed)
    }

    /// Runs `work` in one transaction, which is on disk when it returns, or else has not happened.
    fn write<T>(&self, database: &DbName, work: impl FnOnce(&mut Tables<'_>) -> Result<T>) -> Result<T> {
        let transaction = self.file.begin_write().map_err(failed)?;
        let done = {
            let databases = transaction.open_table(DATABASES).map_err(failed)?;
            if databases.get(database.as_str()).map_err(failed)?.is_none() {
                return Err(Error::MissingDatabase(database.clone()));
            }
            work(&mut Tables {
                inner: self,
                database,
                documents: transaction.open_table(DOCUMENTS).map_err(failed)?,
                rows: transaction.open_table(ROWS).map_err(failed)?,
                contents: transaction.open_table(CONTENTS).map_err(failed)?,
            })?
        };
        transaction.commit().map_err(failed)?;
        Ok(done)
    }

    fn rows(&self, database: &DbName, view: &View, query: &Query) -> Result<Vec<Row>> {
        let transaction = self.read()?;
        let table = transaction.open_table(ROWS).map_err(failed)?;
        let (database, view) = (database.as_str(), path(view));
        let (first, first_id, last) = match &query.select {
            Select::From(key) => {
                // no sort key begins with a byte of 255
                (key.as_deref().map_or_else(Vec::new, |key| self.sort_key(key)), "", vec![u8::MAX])
            }
            Select::Key(key, id) => {
                let key = self.sort_key(key);
                (key.clone(), id.as_deref().unwrap_or_default(), key)
            }
        };
        let first = (database, view.as_str(), first.as_slice(), first_id);
        let last = (database, view.as_str(), last.as_slice(), LAST);
        let range = table.range(first..=last).map_err(failed)?;
        let documents = if query.documents { Some(transaction.open_table(DOCUMENTS).map_err(failed)?) } else { None };
        let read = |entry: std::result::Result<RowEntry<'_>, redb::StorageError>| -> Result<Row> {
            let (place, row) = entry.map_err(failed)?;
            let (_, _, _, id) = place.value();
            let (key, value) = row.value();
            let document = match &documents {
                Some(documents) => {
                    let found = documents.get((database, id)).map_err(failed)?;
                    found.map(|json| stored(json.value())).transpose()?
                }
                None => None,
            };
            Ok(Row {
                id: id.to_owned(),
                key: key.to_owned(),
                value: RawValue::from_string(value.to_owned()).map_err(corrupt)?,
                document,
            })
        };
        range.take(query.limit).map(read).collect()
    }

    /// The documents whose ids come after one id and up to another, at most so many; None if the database is not there.
    fn documents(
        &self,
        database: &DbName,
        (after, last): (Option<&str>, &str),
        limit: usize,
        attachments: Attachments,
    ) -> Result<Option<Vec<Document>>> {
        let transaction = self.read()?;
        let databases = transaction.open_table(DATABASES).map_err(failed)?;
        if databases.get(database.as_str()).map_err(failed)?.is_none() {
            return Ok(None);
        }
        let documents = transaction.open_table(DOCUMENTS).map_err(failed)?;
        let contents = transaction.open_table(CONTENTS).map_err(failed)?;
        let name = database.as_str();
        let range = documents.range((name, after.unwrap_or_default())..=(name, last)).map_err(failed)?;
        let mut found = Vec::new();
        for entry in range {
            let (place, json) = entry.map_err(failed)?;
            let (_, id) = place.value();
            if Some(id) == after {
                continue;
            }
            if found.len() == limit {
                break;
            }
            let mut document = stored(json.value())?;
            if matches!(attachments, Attachments::Inline) {
                for (attachment, stub) in attachments_of(&mut document) {
                    let bytes = contents.get((name, id, attachment.as_str())).map_err(failed)?;
                    let missing = || Error::Corrupt(format!("{id}: no content for attachment {attachment}"));
                    let bytes = bytes.ok_or_else(missing)?;
                    let mut inline = Document::new();
                    if let Some(kind) = stub.get("content_type") {
                        inline.set("content_type", kind.to_owned());
                    }
                    inline.set_text("data", &STANDARD.encode(bytes.value()));
                    set_attachment(&mut document, &attachment, &inline);
                }
            }
            found.push(document);
        }
        Ok(Some(found))
    }

    /// The rows that this database's views have of a document.
    fn mapped(&self, database: &DbName, document: &Document) -> Vec<MappedRow> {
        let mut rows = Vec::new();
        if document.id().is_none_or(|id| id.starts_with('_')) {
            return rows;
        }
        for view in self.views.iter().filter(|view| (view.holds)(database)) {
            (view.map)(document, &mut |key, value| {
                rows.push(MappedRow {
                    view: path(view),
                    sort_key: self.sort_key(key),
                    key: key.to_owned(),
                    value: value.to_owned(),
                });
            });
        }
        rows
    }

    /// Bytes that sort as CouchDB collates the text: by ICU's root collation.
    fn sort_key(&self, key: &str) -> Vec<u8> {
        let mut sort_key = Vec::with_capacity(key.len() * 2);
        let Ok(()) = self.collator.write_sort_key_to(key, &mut sort_key);
        sort_key
    }
}

type RowEntry<'a> = (redb::AccessGuard<'a, RowPlace>, redb::AccessGuard<'a, KeyAndValue>);

/// A view's name as the file has it.
fn path(view: &View) -> String {
    format!("{}/{}", view.design, view.name)
}

struct MappedRow {
    view: String,
    sort_key: Vec<u8>,
    key: String,
    value: Box<RawValue>,
}

type RowTable<'t> = Table<'t, RowPlace, KeyAndValue>;

impl MappedRow {
    fn insert(&self, rows: &mut RowTable<'_>, database: &DbName, id: &str) -> Result<()> {
        let place = (database.as_str(), self.view.as_str(), self.sort_key.as_slice(), id);
        rows.insert(place, (self.key.as_str(), self.value.get())).map_err(failed)?;
        Ok(())
    }

    fn remove(&self, rows: &mut RowTable<'_>, database: &DbName, id: &str) -> Result<()> {
        rows.remove((database.as_str(), self.view.as_str(), self.sort_key.as_slice(), id)).map_err(failed)?;
        Ok(())
    }
}

/// One database's part of the tables, in a transaction that writes.
struct Tables<'t> {
    inner: &'t Inner,
    database: &'t DbName,
    documents: Table<'t, (&'static str, &'static str), &'static str>,
    rows: RowTable<'t>,
    contents: Table<'t, (&'static str, &'static str, &'static str), &'static [u8]>,
}

impl Tables<'_> {
    fn document(&self, id: &str) -> Result<Option<Document>> {
        let found = self.documents.get((self.database.as_str(), id)).map_err(failed)?;
        found.map(|json| stored(json.value())).transpose()
    }

    /// Writes a document, its attachments and its rows in place of those that are there.
    fn replace(
        &mut self,
        id: &str,
        existing: Option<&Document>,
        document: Document,
        revision: &Revision,
    ) -> Result<()> {
        let mut document = with_revision(document, revision);
        self.replace_attachments(id, existing, &mut document, revision)?;
        for row in existing.iter().flat_map(|existing| self.inner.mapped(self.database, existing)) {
            row.remove(&mut self.rows, self.database, id)?;
        }
        for row in self.inner.mapped(self.database, &document) {
            row.insert(&mut self.rows, self.database, id)?;
        }
        self.documents.insert((self.database.as_str(), id), document.to_json().as_str()).map_err(failed)?;
        Ok(())
    }

    /// Keeps the attachments that the document names by a stub, writes those that it brings, and drops the others.
    fn replace_attachments(
        &mut self,
        id: &str,
        existing: Option<&Document>,
        document: &mut Document,
        revision: &Revision,
    ) -> Result<()> {
        let attachments = attachments_of(document);
        let mut old = existing.cloned().unwrap_or_default();
        for (name, _) in attachments_of(&mut old) {
            if attachments.iter().all(|(kept, _)| *kept != name) {
                self.contents.remove((self.database.as_str(), id, name.as_str())).map_err(failed)?;
            }
        }
        for (name, attachment) in attachments {
            let Some(data) = attachment.text("data") else { continue };
            let bytes = STANDARD
                .decode(data)
                .map_err(|_| Error::Refused(format!("{id}: the data of attachment {name} is not base64")))?;
            self.contents.insert((self.database.as_str(), id, name.as_str()), bytes.as_slice()).map_err(failed)?;
            let mut stub = Document::new();
            if let Some(kind) = attachment.get("content_type") {
                stub.set("content_type", kind.to_owned());
            }
            stub.set("revpos", json::raw(&revision.number()));
            stub.set_text("digest", &format!("md5-{}", STANDARD.encode(Md5::digest(&bytes))));
            stub.set("length", json::raw(&bytes.len()));
            stub.set("stub", json::raw(&true));
            set_attachment(document, &name, &stub);
        }
        Ok(())
    }
}

/// The attachments that a document names.
fn attachments_of(document: &mut Document) -> Vec<(String, Document)> {
    let attachments = document.get(ATTACHMENTS).and_then(Document::from_raw).unwrap_or_default();
    attachments.into_iter().filter_map(|(name, raw)| Some((name, Document::from_raw(&raw)?))).collect()
}

/// Sets one of a document's attachments, which come after its other fields, as CouchDB gives them.
fn set_attachment(document: &mut Document, name: &str, attachment: &Document) {
    let attachments = document.remove(ATTACHMENTS);
    let mut attachments = attachments.and_then(|raw| Document::from_raw(&raw)).unwrap_or_default();
    attachments.set(name, attachment.to_raw());
    document.set(ATTACHMENTS, attachments.to_raw());
}

/// The document with `_id` and its new revision first, as CouchDB gives it.
fn with_revision(mut document: Document, revision: &Revision) -> Document {
    let mut whole = Document::new();
    if let Some(id) = document.remove("_id") {
        whole.set("_id", id);
    }
    document.remove("_rev");
    whole.set_text("_rev", &revision.to_string());
    whole.extend(document);
    whole
}

fn id_of(document: &Document) -> Result<String> {
    document.id().ok_or_else(|| Error::Refused("a document without an _id".to_owned()))
}

fn stored(json: &str) -> Result<Document> {
    Document::parse(json).map_err(corrupt)
}

fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::Corrupt(error.to_string())
}

/// A fault of the file: full disk, broken file, …
fn failed(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        error @ redb::Error::Corrupted(_) => Error::Corrupt(error.to_string()),
        error => Error::Refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: View =
        View { design: "d", name: "v", version: 1, holds: |_| true, map: |_, emit| emit("old", json::empty_object()) };
    const AFTER: View = View { version: 2, map: |_, emit| emit("new", json::empty_object()), ..BEFORE };

    #[test]
    fn the_rows_of_a_view_of_another_version_are_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let database = DbName::fixed("db");
        let block_on = |work| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
        block_on(async {
            let keys = async |views| {
                let store = Embedded::open(folder.path(), views).unwrap();
                store.create(&database).await.unwrap();
                let document = Document::parse(r#"{"_id":"a"}"#).unwrap();
                store.load(&database, vec![document]).await.unwrap();
                let query = Query { select: Select::From(None), limit: 9, documents: false };
                let rows = store.query(&database, &BEFORE, &query).await.unwrap();
                rows.into_iter().map(|row| row.key).collect::<Vec<_>>()
            };
            assert_eq!(keys(&[BEFORE]).await, ["old"]);
            assert_eq!(keys(&[AFTER]).await, ["new"]);
        });
    }

    #[test]
    fn a_file_of_another_layout_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(folder.path(), &[BEFORE]).unwrap();
        let transaction = store.inner.file.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert("layout", "2").unwrap();
        transaction.commit().unwrap();
        drop(store);
        let error = Embedded::open(folder.path(), &[BEFORE]).err().unwrap();
        assert!(error.to_string().contains("layout is 2"), "{error}");
    }
}
