//! The store for those who have no CouchDB: one redb file that keeps CouchDB's rules. A document's view rows are
//! written in the transaction that writes the document, so a list never reads documents, and what was answered is
//! on disk. What is asked for most is kept ready in memory, since nobody else writes the file.

mod behind;
mod disk;
mod file;
mod folder;
mod history;
mod layout;
mod many;
mod opened;
mod rows;
mod snapshot;
mod sweep;
mod tables;
mod writer;

use std::panic;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join_all;
use futures::pin_mut;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use crate::document::{DbName, DocId, Document, Revision};

use super::ready::{Database, Known, Ready};
use super::rows::{Batch, LAST, in_batches};
use super::{
    Attachments, Changed, DESIGN, Entry, Error, HEARTBEAT, Loaded, Lookup, Query, Result, Row, Sequence, Server,
    ServerInfo, Store, View,
};

use disk::Disk;
use file::File;
use tables::Incoming;
use writer::Writer;

pub use folder::{CannotOpen, Making, first_in};

/// How many changes are given at a time.
const CHANGES: usize = 200;

/// A folder with one redb file. Only one process may have it open.
pub struct Embedded {
    disk: Disk,
    ready: Arc<Ready>,
    writer: Arc<Writer>,
    /// Held by who proves that the file can be written: one at a time, however long the disk takes.
    proof: Arc<Mutex<()>>,
}

impl Embedded {
    /// How many bytes of what is asked for most are kept in memory, unless something else is said.
    pub const MEMORY: usize = 100_000_000;

    /// [`Self::open_keeping`] as many bytes as usual, making what is not there.
    pub fn open(folder: &Path, views: &'static [View]) -> std::result::Result<Self, CannotOpen> {
        Self::open_keeping(folder, views, Making::Allowed, Self::MEMORY)
    }

    /// Opens the store in a folder; where making it is allowed, both are made if they are not there, the folder for its owner
    /// alone. Keeps so many bytes of what is asked for most in memory. Rows of views
    /// that this build does not have, or makes otherwise, are made anew.
    ///
    /// Errors: [`CannotOpen`]; nothing was made then.
    pub fn open_keeping(
        folder: &Path,
        views: &'static [View],
        making: Making,
        memory: usize,
    ) -> std::result::Result<Self, CannotOpen> {
        // where pages of the file are damaged, and its head is not, redb panics
        let opened = panic::catch_unwind(|| File::open(folder, views, making));
        let file = Arc::new(opened.unwrap_or_else(|_| Err(CannotOpen::unreadable(folder)))?);
        let ready = Arc::new(Ready::new(Arc::clone(&file.mapping), memory, 0));
        let writer = Writer::new(Arc::clone(&file), Arc::clone(&ready));
        Ok(Self { disk: Disk::new(file, Arc::clone(&writer)), ready, writer, proof: Arc::default() })
    }

    /// The name of a store's file in its folder.
    pub const FILE_NAME: &str = "store.redb";

    /// The name of the socket beside it, at which who has the store open is asked for backups.
    pub const SOCKET_NAME: &str = "backup.sock";

    /// Whether there is a store in a folder.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(Self::FILE_NAME).exists()
    }

    /// The rows of a query in its order, at most as many as its batch: those that are ready, or else the file's.
    async fn batch(&self, name: &DbName, view: &View, query: Query, least: usize) -> Result<Batch> {
        if let Some(database) = self.ready.database(name) {
            if let Some((batch, documents)) = self.ready.batch(&database, view, &query) {
                return self.with_documents(name, &database, batch, &documents).await;
            }
            self.make_ready(name, &database);
        }
        self.disk.rows(name, view, query, least).await
    }

    /// Adds the documents that a batch's rows lack; where there are too many, the batch ends before.
    async fn with_documents(
        &self,
        name: &DbName,
        database: &Arc<Database>,
        mut batch: Batch,
        documents: &[Arc<Known>],
    ) -> Result<Batch> {
        let lacking: Vec<usize> = (0..documents.len()).filter(|at| batch.rows[*at].document.is_none()).collect();
        if lacking.is_empty() {
            return Ok(batch);
        }
        let ids: Vec<Arc<str>> = lacking.iter().map(|at| Arc::clone(&batch.rows[*at].id)).collect();
        let found = {
            let name = name.clone();
            self.disk.reading(move |file| file.documents_of(&name, &ids)).await?
        };
        if let Some(end) = lacking.get(found.len()) {
            batch.rows.truncate(*end);
            batch.is_last = false;
        }
        for (at, document) in lacking.into_iter().zip(found) {
            batch.rows[at].document = document.map(Arc::new);
            if let Some(document) = &batch.rows[at].document {
                self.ready.keep(name, database, &documents[at], document);
            }
        }
        Ok(batch)
    }

    /// Reads a database's rows into memory, if nobody does; meanwhile they are the file's.
    fn make_ready(&self, name: &DbName, database: &Arc<Database>) {
        if database.is_to_be_loaded() {
            let (disk, ready) = (self.disk.clone(), Arc::clone(&self.ready));
            let (name, database) = (name.clone(), Arc::clone(database));
            tokio::spawn(async move {
                if let Err(error) = load(&disk, &ready, &name, &database).await {
                    log::error!("{name} is not made ready: {error}");
                }
            });
        }
    }
}

async fn load(disk: &Disk, ready: &Ready, name: &DbName, database: &Arc<Database>) -> Result<()> {
    let Some(mut loader) = ready.load(name, database) else { return Ok(()) };
    for (_, view) in ready.views() {
        let batches = in_batches(Query::all(), usize::MAX, |query, least| disk.rows(name, &view, query, least));
        pin_mut!(batches);
        while let Some(rows) = batches.try_next().await? {
            if !loader.read(&view, rows) {
                break;
            }
        }
    }
    loader.finish();
    Ok(())
}

#[async_trait]
impl Store for Embedded {
    async fn get(&self, name: &DbName, id: &DocId) -> Result<Option<Arc<Document>>> {
        match self.ready.database(name) {
            Some(database) => self.ready.document(name, &database, id.as_str(), self.disk.document(name, id)).await,
            None => self.disk.document(name, id).await,
        }
    }

    async fn get_many(&self, name: &DbName, ids: &[DocId]) -> Result<Vec<Arc<Document>>> {
        self.disk.documents(name, ids.iter().map(|id| id.as_str().into()).collect()).await
    }

    async fn find(&self, name: &DbName, by: &Lookup, keys: &[String]) -> Result<Vec<(String, Arc<Document>)>> {
        self.disk.find(name, by, keys).await
    }

    async fn put(&self, name: &DbName, document: &Document) -> Result<Revision> {
        let document = document.clone();
        let id = id_of(&document)?;
        let plan = |existing: Option<&Document>| {
            let current = existing.and_then(Document::revision);
            if current != document.revision() {
                return Err(Error::Conflict);
            }
            let revision = document.next_revision(current.as_ref());
            Ok((Some((Incoming::read(document)?, revision.clone())), revision))
        };
        self.writer.write(name, id, plan).await
    }

    fn batches<'a>(&'a self, name: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Vec<Row>>> {
        in_batches(query, usize::MAX, move |query, least| self.batch(name, view, query, least)).boxed()
    }

    fn version(&self, name: &DbName) -> Option<u64> {
        self.ready.version(name)
    }

    async fn sequence(&self, database: &DbName) -> Result<Option<Sequence>> {
        let database = database.clone();
        let reached = self.disk.reading(move |file| file.sequence(&database)).await?;
        // lists that are read from now on are no older
        self.writer.settled().await;
        Ok(reached)
    }

    async fn changed(&self, database: &DbName, since: &Sequence, most: usize) -> Result<Option<Vec<Changed>>> {
        let (database, since) = (database.clone(), since.clone());
        let changed = self.disk.reading(move |file| file.changed(&database, &since, most)).await?;
        self.writer.settled().await;
        Ok(changed)
    }

    fn follow<'a>(&'a self, database: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
        let begun = (since, self.writer.follow(database));
        let changes = stream::try_unfold(begun, async move |(since, mut written)| {
            written.mark_unchanged();
            let mut changed = self.changed(database, &since, CHANGES).await?;
            if changed.as_ref().is_some_and(Vec::is_empty) && timeout(HEARTBEAT, written.changed()).await.is_ok() {
                changed = self.changed(database, &since, CHANGES).await?;
            }
            let changed = changed.ok_or_else(|| Error::MissingDatabase(database.clone()))?;
            let since = changed.last().map_or(since, |last| last.sequence.clone());
            Ok(Some((changed, (since, written))))
        });
        changes.boxed()
    }

    fn is_written_here_alone(&self) -> bool {
        true
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        let database = database.clone();
        let id = id.clone();
        let name = name.to_owned();
        self.disk.reading(move |file| file.attachment(&database, &id, &name)).await
    }

    async fn prove_writable(&self) -> Result<()> {
        let proof = Arc::clone(&self.proof).try_lock_owned();
        let proof = proof.map_err(|_| Error::TimedOut("the last proof that it can be written goes on".to_owned()))?;
        self.disk
            .blocking(move |file| {
                let _proof = proof;
                file.redb.prove_writable()
            })
            .await
    }
}

#[async_trait]
impl Server for Embedded {
    fn has_native_views(&self) -> bool {
        true
    }

    async fn create(&self, database: &DbName) -> Result<()> {
        let database = database.clone();
        self.disk.blocking(move |file| file.create(&database)).await
    }

    async fn databases(&self) -> Result<Vec<DbName>> {
        self.disk.reading(File::databases).await
    }

    async fn load(&self, name: &DbName, documents: Vec<Document>) -> Result<Loaded> {
        let load = async |document: Document| {
            let id = id_of(&document)?;
            let plan = |existing: Option<&Document>| {
                let revision = document.revision().unwrap_or_else(|| document.next_revision(None));
                let current = existing.and_then(Document::revision);
                let mut loaded = Loaded::default();
                if current.as_ref().is_some_and(|current| *current >= revision) {
                    loaded.count(current.as_ref(), current.as_ref());
                    return Ok((None, loaded));
                }
                loaded.count(current.as_ref(), Some(&revision));
                Ok((Some((Incoming::read(document)?, revision)), loaded))
            };
            self.writer.write(name, id, plan).await
        };
        let mut all = Loaded::default();
        for loaded in try_join_all(documents.into_iter().map(load)).await? {
            all += loaded;
        }
        Ok(all)
    }

    async fn dump(
        &self,
        database: &DbName,
        after: Option<&str>,
        limit: usize,
        attachments: Attachments,
    ) -> Result<Option<Vec<Document>>> {
        let database = database.clone();
        let after = after.map(str::to_owned);
        self.disk.reading(move |file| file.documents(&database, (after.as_deref(), LAST), limit, attachments)).await
    }

    async fn design_documents(&self, database: &DbName) -> Result<Option<Vec<Document>>> {
        let database = database.clone();
        let last = format!("{DESIGN}{LAST}");
        self.disk
            .reading(move |file| {
                file.documents(&database, (Some(DESIGN), last.as_str()), usize::MAX, Attachments::Named)
            })
            .await
    }

    async fn put_design(&self, database: &DbName, document: &Document) -> Result<Revision> {
        self.put(database, document).await
    }

    async fn info(&self) -> Result<ServerInfo> {
        Ok(ServerInfo::Embedded)
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Entry>> {
        let (sender, entries) = mpsc::channel(1);
        let file = self.disk.file();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = file.snapshot(&sender) {
                // who took no more does not need to know
                let _ = sender.blocking_send(Err(error));
            }
        });
        stream::unfold(entries, async |mut entries| Some((entries.recv().await?, entries))).boxed()
    }
}

fn id_of(document: &Document) -> Result<String> {
    document.id().ok_or_else(|| Error::Refused("a document without an _id".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use futures::TryStreamExt;

    use crate::document::json;

    use redb::TableDefinition;

    use super::layout::{META, ROWS, VALUES};
    use super::*;

    const BEFORE: View = View {
        design: "d",
        name: "v",
        version: 1,
        holds: |_| true,
        is_kept: false,
        map: |_, emit| emit("old", &Arc::from(json::raw(&1))),
    };
    const AFTER: View = View { version: 2, map: |_, emit| emit("new", &Arc::from(json::raw(&2))), ..BEFORE };

    /// What this has begun has ended when it returns, and nobody has the file open.
    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[test]
    fn the_rows_of_a_view_of_another_version_are_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let database = DbName::fixed("db");
        // what a runtime has begun has ended with it, and nobody has the file open
        let keys = |views| {
            let (folder, database) = (&folder, &database);
            block_on(async move {
                let store = Embedded::open(folder.path(), views).unwrap();
                store.create(database).await.unwrap();
                let document = Document::parse(r#"{"_id":"a"}"#).unwrap();
                store.load(database, vec![document]).await.unwrap();
                let rows: Vec<Row> = store.rows(database, &BEFORE, Query::all()).try_collect().await.unwrap();
                rows.into_iter().map(|row| row.key.to_string()).collect::<Vec<_>>()
            })
        };
        assert_eq!(keys(&[BEFORE]), ["old"]);
        assert_eq!(keys(&[AFTER]), ["new"]);
    }

    #[test]
    fn the_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let file = folder.path().join("store.redb");
        set(folder.path(), 0o755);
        for _ in 0..2 {
            drop(Embedded::open(folder.path(), &[BEFORE]).unwrap());
            assert_eq!((mode(&file), mode(folder.path())), (0o600, 0o755));
            set(&file, 0o644);
        }
        let made = folder.path().join("made");
        drop(Embedded::open(&made, &[BEFORE]).unwrap());
        assert_eq!(mode(&made), 0o700);
    }

    #[test]
    fn the_rows_of_a_file_of_a_former_layout_are_made_anew() {
        type FirstPlace = (&'static str, &'static str, &'static [u8], &'static str);
        let first: TableDefinition<FirstPlace, (&str, &str)> = TableDefinition::new("rows");
        let third: TableDefinition<FirstPlace, (&str, u32)> = TableDefinition::new("rows");
        let database = DbName::fixed("db");
        let place = ("db", "d/v", &b"x"[..], "a");
        for layout in ["1", "3"] {
            let folder = tempfile::tempdir().unwrap();
            let (folder, database) = (folder.path(), &database);
            block_on(async {
                let store = Embedded::open(folder, &[BEFORE]).unwrap();
                store.create(database).await.unwrap();
                store.load(database, vec![Document::parse(r#"{"_id":"a","_rev":"1-a"}"#).unwrap()]).await.unwrap();
                let as_it_was = move |transaction: &redb::WriteTransaction| {
                    transaction.open_table(META).unwrap().insert("layout", layout).unwrap();
                    transaction.delete_table(VALUES).unwrap();
                    transaction.delete_table(ROWS).unwrap();
                    match layout {
                        "1" => transaction.open_table(first).unwrap().insert(place, ("old", "1")).map(drop).unwrap(),
                        _ => transaction.open_table(third).unwrap().insert(place, ("old", 0)).map(drop).unwrap(),
                    }
                    Ok(())
                };
                store.disk.file().redb.write(as_it_was).unwrap();
            });
            for _ in 0..2 {
                block_on(async {
                    let store = Embedded::open(folder, &[BEFORE]).unwrap();
                    let rows: Vec<Row> = store.rows(database, &BEFORE, Query::all()).try_collect().await.unwrap();
                    assert_eq!((rows.len(), rows[0].value.get()), (1, "1"), "{layout}");
                    let document = store.get(database, &"a".parse().unwrap()).await.unwrap().unwrap();
                    assert_eq!(document.to_json(), r#"{"_id":"a","_rev":"1-a"}"#);
                });
            }
        }
    }

    #[test]
    fn a_file_of_another_layout_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(folder.path(), &[BEFORE]).unwrap();
        let later = |transaction: &redb::WriteTransaction| {
            transaction.open_table(META).unwrap().insert("layout", "5").unwrap();
            Ok(())
        };
        store.disk.file().redb.write(later).unwrap();
        drop(store);
        let error = Embedded::open(folder.path(), &[BEFORE]).err().unwrap();
        assert!(error.to_string().contains("layout is 5"), "{error}");
    }
}
