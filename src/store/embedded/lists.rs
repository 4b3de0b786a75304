//! The rows of lists: those that are ready in memory, or else the file's until they are.

use std::sync::Arc;

use futures::{TryStreamExt, pin_mut};

use crate::document::DbName;

use super::super::ready::{Database, Known, Ready};
use super::super::rows::{Batch, in_batches};
use super::super::{Query, Result, View};
use super::Embedded;
use super::disk::Disk;

impl Embedded {
    /// The rows of a query in its order, at most as many as its batch: those that are ready, or else the file's.
    pub(super) async fn batch(&self, name: &DbName, view: &View, query: Query, least: usize) -> Result<Batch> {
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
