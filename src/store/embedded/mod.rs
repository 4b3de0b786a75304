//! The store for those who have no CouchDB: one redb file that keeps CouchDB's rules. A document's view rows are
//! written in the transaction that writes the document, so a list never reads documents, and what was answered is
//! on disk.

mod file;
mod layout;
mod opened;
mod snapshot;
mod tables;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::{Mutex, mpsc};

use crate::document::{DbName, DocId, Document, Revision};
use crate::in_flight::{self, SMALL};

use super::rows::in_batches;
use super::{Attachments, DESIGN, Entry, Error, Query, Result, Row, Server, ServerInfo, Store, View};

use file::{File, Found};
use layout::LAST;

/// A folder with one redb file. Only one process may have it open.
pub struct Embedded {
    file: Arc<File>,
    /// Held by who proves that the file can be written: one at a time, however long the disk takes.
    proof: Arc<Mutex<()>>,
}

impl Embedded {
    /// Opens the store in a folder, making both if they are not there, the folder for its owner alone. Rows of views
    /// that this build does not have, or makes otherwise, are made anew.
    ///
    /// Errors: the folder can't be made or written, another process has the store open, the file is no store, or it is
    /// one of a layout that this build does not know.
    pub fn open(folder: &Path, views: &'static [View]) -> Result<Self> {
        Ok(Self { file: Arc::new(File::open(folder, views)?), proof: Arc::default() })
    }

    /// The name of a store's file in its folder.
    pub const FILE_NAME: &str = "store.redb";

    /// Whether there is a store in a folder.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(Self::FILE_NAME).exists()
    }

    /// Runs what reads the file, once more after a fault that could be mended.
    async fn reading<T: Send + 'static>(&self, work: impl Fn(&File) -> Result<T> + Send + 'static) -> Result<T> {
        self.blocking(move |file| file.redb.read(|| work(file))).await
    }

    /// Runs what reads or writes the file where it may block.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&File) -> Result<T> + Send + 'static) -> Result<T> {
        let file = Arc::clone(&self.file);
        tokio::task::spawn_blocking(move || work(&file))
            .await
            .unwrap_or_else(|error| Err(Error::Refused(format!("the store's work was cut off: {error}"))))
    }
}

#[async_trait]
impl Store for Embedded {
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Arc<Document>>> {
        let find = |most| {
            let (database, id) = (database.clone(), id.clone());
            self.reading(move |file| file.document(&database, &id, most))
        };
        let mut most = SMALL;
        loop {
            match find(most).await? {
                Found::Document(found) => return Ok(found.map(Arc::new)),
                Found::Longer(bytes) => {
                    in_flight::wait_for(bytes).await;
                    most = bytes;
                }
            }
        }
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let database = database.clone();
        let document = document.clone();
        self.blocking(move |file| {
            file.write(&database, |tables| {
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

    fn batches<'a>(&'a self, database: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Vec<Row>>> {
        in_batches(query, usize::MAX, move |query, least| {
            let database = database.clone();
            let view = *view;
            self.reading(move |file| file.rows(&database, &view, &query, least))
        })
        .boxed()
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        let database = database.clone();
        let id = id.clone();
        let name = name.to_owned();
        self.reading(move |file| file.attachment(&database, &id, &name)).await
    }

    async fn prove_writable(&self) -> Result<()> {
        let proof = Arc::clone(&self.proof).try_lock_owned();
        let proof = proof.map_err(|_| Error::TimedOut("the last proof that it can be written goes on".to_owned()))?;
        self.blocking(move |file| {
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
        self.blocking(move |file| file.create(&database)).await
    }

    async fn databases(&self) -> Result<Vec<DbName>> {
        self.reading(File::databases).await
    }

    async fn load(&self, database: &DbName, documents: Vec<Document>) -> Result<()> {
        let database = database.clone();
        self.blocking(move |file| {
            file.write(&database, |tables| {
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

    async fn dump(
        &self,
        database: &DbName,
        after: Option<&str>,
        limit: usize,
        attachments: Attachments,
    ) -> Result<Option<Vec<Document>>> {
        let database = database.clone();
        let after = after.map(str::to_owned);
        self.reading(move |file| file.documents(&database, (after.as_deref(), LAST), limit, attachments)).await
    }

    async fn design_documents(&self, database: &DbName) -> Result<Option<Vec<Document>>> {
        let database = database.clone();
        let last = format!("{DESIGN}{LAST}");
        self.reading(move |file| {
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
        let file = Arc::clone(&self.file);
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

    use super::layout::{META, VALUES};
    use super::*;

    const BEFORE: View = View {
        design: "d",
        name: "v",
        version: 1,
        holds: |_| true,
        map: |_, emit| emit("old", &Arc::from(json::raw(&1))),
    };
    const AFTER: View = View { version: 2, map: |_, emit| emit("new", &Arc::from(json::raw(&2))), ..BEFORE };

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
                let rows: Vec<Row> = store.rows(&database, &BEFORE, Query::all()).try_collect().await.unwrap();
                rows.into_iter().map(|row| row.key).collect::<Vec<_>>()
            };
            assert_eq!(keys(&[BEFORE]).await, ["old"]);
            assert_eq!(keys(&[AFTER]).await, ["new"]);
        });
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
    fn the_rows_of_a_file_of_the_first_layout_are_made_anew() {
        type Place = (&'static str, &'static str, &'static [u8], &'static str);
        let first: TableDefinition<Place, (&str, &str)> = TableDefinition::new("rows");
        let folder = tempfile::tempdir().unwrap();
        let database = DbName::fixed("db");
        let block_on = |work| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
        block_on(async {
            let store = Embedded::open(folder.path(), &[BEFORE]).unwrap();
            store.create(&database).await.unwrap();
            store.load(&database, vec![Document::parse(r#"{"_id":"a","_rev":"1-a"}"#).unwrap()]).await.unwrap();
            let as_it_was = |transaction: &redb::WriteTransaction| {
                transaction.open_table(META).unwrap().insert("layout", "1").unwrap();
                transaction.delete_table(VALUES).unwrap();
                transaction.delete_table(first).unwrap();
                transaction.open_table(first).unwrap().insert(("db", "d/v", &b"x"[..], "a"), ("old", "1")).unwrap();
                Ok(())
            };
            store.file.redb.write(as_it_was).unwrap();
            drop(store);
            for _ in 0..2 {
                let store = Embedded::open(folder.path(), &[BEFORE]).unwrap();
                let rows: Vec<Row> = store.rows(&database, &BEFORE, Query::all()).try_collect().await.unwrap();
                assert_eq!((rows.len(), rows[0].value.get()), (1, "1"));
                let id = "a".parse().unwrap();
                assert_eq!(store.get(&database, &id).await.unwrap().unwrap().to_json(), r#"{"_id":"a","_rev":"1-a"}"#);
            }
        });
    }

    #[test]
    fn a_file_of_another_layout_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(folder.path(), &[BEFORE]).unwrap();
        let later = |transaction: &redb::WriteTransaction| {
            transaction.open_table(META).unwrap().insert("layout", "3").unwrap();
            Ok(())
        };
        store.file.redb.write(later).unwrap();
        drop(store);
        let error = Embedded::open(folder.path(), &[BEFORE]).err().unwrap();
        assert!(error.to_string().contains("layout is 3"), "{error}");
    }
}
