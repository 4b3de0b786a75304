//! What operators do with the file: whole databases, in and out.

use async_trait::async_trait;
use futures::future::try_join_all;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;

use crate::document::{DbName, Document, Revision};

use super::super::rows::LAST;
use super::super::{Attachments, DESIGN, Entry, Loaded, Result, Server, ServerInfo, Store};
use super::file::File;
use super::{Embedded, id_of};

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
            let revision = document.revision().unwrap_or_else(|| document.next_revision(None));
            let incoming = self.writer.incoming(name, document, &revision);
            let plan = move |existing: Option<&Document>| {
                let current = existing.and_then(Document::revision);
                let mut loaded = Loaded::default();
                if current.as_ref().is_some_and(|current| *current >= revision) {
                    loaded.count(current.as_ref(), current.as_ref());
                    return Ok((None, loaded));
                }
                loaded.count(current.as_ref(), Some(&revision));
                Ok((Some(incoming?), loaded))
            };
            self.writer.write(name, id, plan).await
        };
        let mut all = Loaded::default();
        for loaded in try_join_all(documents.into_iter().map(load)).await? {
            all += loaded;
        }
        Ok(all)
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
