//! The store for those who have no CouchDB: one redb file that keeps CouchDB's rules. A document's view rows are
//! written in the transaction that writes the document, so a list never reads documents, and what was answered is
//! on disk. What is asked for most is kept ready in memory, since nobody else writes the file.

mod behind;
mod disk;
mod file;
mod folder;
mod history;
mod layout;
mod lists;
mod many;
mod opened;
mod rows;
mod server;
mod settler;
mod snapshot;
mod sweep;
mod tables;
mod writer;

use std::panic;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::document::{DbName, DocId, Document, Revision};

use super::ready::Ready;
use super::rows::{LAST, in_batches};
use super::{Attachments, Changed, Error, HEARTBEAT, Lookup, Query, Result, Row, Sequence, Store, View};

use disk::Disk;
use file::File;
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

    /// The name of a store's file in its folder.
    pub const FILE_NAME: &str = "store.redb";

    /// The name of the socket beside it, at which who has the store open is asked for backups.
    pub const SOCKET_NAME: &str = "backup.sock";

    /// [`Self::open_keeping`] as many bytes as usual, making what is not there.
    pub fn open(folder: &Path, views: &'static [View]) -> std::result::Result<Self, CannotOpen> {
        Self::open_keeping(folder, views, Making::Allowed, Self::MEMORY)
    }

    /// Opens the store in a folder; where making it is allowed, both are made if they are not there, the folder for its owner
    /// alone. Keeps so many bytes of what is asked for most in memory. Rows of views that this build does not have, or makes
    /// otherwise, are made anew.
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
        let writer = Writer::new(Arc::clone(&file), Arc::clone(&ready)).map_err(CannotOpen::system(folder))?;
        Ok(Self { disk: Disk::new(file, Arc::clone(&writer)), ready, writer, proof: Arc::default() })
    }

    /// Whether there is a store in a folder.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(Self::FILE_NAME).exists()
    }
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
        let id = id_of(document)?;
        let current = document.revision();
        let revision = document.next_revision(current.as_ref());
        let incoming = self.writer.incoming(name, document.clone(), &revision);
        let plan = move |existing: Option<&Document>| {
            if existing.and_then(Document::revision) == current {
                Ok((Some(incoming?), revision))
            } else {
                Err(Error::Conflict)
            }
        };
        self.writer.write(name, id, plan).await
    }

    fn batches<'a>(&'a self, name: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Vec<Row>>> {
        in_batches(query, usize::MAX, move |query, least| self.batch(name, view, query, least)).boxed()
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

fn id_of(document: &Document) -> Result<String> {
    document.id().ok_or_else(|| Error::Refused("a document without an _id".to_owned()))
}

#[cfg(test)]
mod tests;
