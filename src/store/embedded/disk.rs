//! What reads the file, or writes it, where it may block.

use std::sync::Arc;

use crate::document::{DbName, DocId, Document};
use crate::in_flight::{self, SMALL};

use super::super::rows::Batch;
use super::super::{Error, Query, Result, View};
use super::file::{File, Found};
use super::writer::Writer;

/// Of so many documents rows may be behind that are read by the way.
const FEW: usize = 32;

/// The file, for who must not block.
#[derive(Clone)]
pub(super) struct Disk {
    file: Arc<File>,
    writer: Arc<Writer>,
}

impl Disk {
    /// A file, which `writer` writes.
    pub(super) fn new(file: Arc<File>, writer: Arc<Writer>) -> Self {
        Self { file, writer }
    }

    /// The file itself, for who may block.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// A document; a large one once the request that wants it may hold it.
    pub(super) async fn document(&self, name: &DbName, id: &DocId) -> Result<Option<Arc<Document>>> {
        let mut most = SMALL;
        loop {
            let (name, id) = (name.clone(), id.clone());
            match self.reading(move |file| file.document(&name, &id, most)).await? {
                Found::Document(found) => return Ok(found.map(Arc::new)),
                Found::Longer(bytes) => {
                    in_flight::wait_for(bytes).await;
                    most = bytes;
                }
            }
        }
    }

    /// [`File::rows`]. Who reads on is to find them in the file.
    pub(super) async fn rows(&self, name: &DbName, view: &View, query: Query, least: usize) -> Result<Batch> {
        let (database, view) = (name.clone(), *view);
        let (batch, behind) = self.reading(move |file| file.rows(&database, &view, &query, least)).await?;
        if behind > FEW || behind > 0 && !batch.is_last {
            self.writer.bring_up(name);
        }
        Ok(batch)
    }

    /// Runs what reads the file, once more after a fault that could be mended.
    pub(super) async fn reading<T: Send + 'static>(
        &self,
        work: impl Fn(&File) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.blocking(move |file| file.redb.read(|| work(file))).await
    }

    /// Runs what reads or writes the file where it may block.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&File) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let file = Arc::clone(&self.file);
        tokio::task::spawn_blocking(move || work(&file))
            .await
            .unwrap_or_else(|error| Err(Error::Refused(format!("the store's work was cut off: {error}"))))
    }
}
