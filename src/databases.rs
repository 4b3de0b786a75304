//! What is done with whole databases of a store: they are made ready to be served, and read to their last document.

use futures::future::try_join_all;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};

use crate::document::{DbName, Document};
use crate::kazoo::views::DESIGN_DOCUMENTS;
use crate::store::{self, Attachments, DESIGN, DesignDocument, Server, Store};

/// How many documents are read at a time.
const BATCH: usize = 200;

/// Why a database can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// There is no such database.
    #[error("there is no database {0}")]
    NotThere(DbName),
}

impl Error {
    /// What an operator does about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.remedy(),
            Self::NotThere(_) => Some("`crossbar-groups databases` lists those that are there"),
        }
    }
}

/// All documents of a database, in the order of their ids, read in batches.
///
/// Errors: the database is not there, or the store fails.
pub fn documents<'a>(
    store: &'a dyn Store,
    database: &'a DbName,
    attachments: Attachments,
) -> impl Stream<Item = Result<Document, Error>> + 'a {
    stream::try_unfold(Some(None::<String>), move |after| async move {
        let Some(after) = after else { return Ok::<_, Error>(None) };
        let batch = store.dump(database, after.as_deref(), BATCH, attachments).await?;
        let batch = batch.ok_or_else(|| Error::NotThere(database.clone()))?;
        let next = batch.last().filter(|_| batch.len() == BATCH).and_then(Document::id).map(Some);
        Ok(Some((stream::iter(batch).map(Ok), next)))
    })
    .try_flatten()
}

/// Whether a database is there.
pub async fn is_there(store: &dyn Server, database: &DbName) -> store::Result<bool> {
    Ok(store.dump(database, None, 1, Attachments::Named).await?.is_some())
}

/// Makes a database that is not there yet, and in it the design documents that it should have and lacks.
pub async fn prepare(store: &dyn Server, database: &DbName) -> Result<(), Error> {
    store.create(database).await?;
    add_views(store, database).await
}

/// Adds the design documents that a database should have and lacks.
pub async fn add_views(store: &dyn Server, database: &DbName) -> Result<(), Error> {
    if store.has_native_views() {
        return Ok(());
    }
    let there = store.design_documents(database).await?.unwrap_or_default();
    let lacks = |ours: &&DesignDocument| (ours.holds)(database) && design_document(&there, ours.name).is_none();
    let add = async |ours: &DesignDocument| match store.put_design(database, &content(ours)?).await {
        // somebody else was faster, and theirs stays
        Ok(_) | Err(store::Error::Conflict) => Ok(()),
        Err(error) => Err(Error::from(error)),
    };
    try_join_all(DESIGN_DOCUMENTS.iter().filter(lacks).map(add)).await.map(drop)
}

/// The design document of this name.
pub fn design_document<'d>(documents: &'d [Document], name: &str) -> Option<&'d Document> {
    documents.iter().find(|document| design_name(document).is_some_and(|of| of == name))
}

/// The name of a design document, without `_design/`; None if it is another document.
pub fn design_name(document: &Document) -> Option<String> {
    document.id()?.strip_prefix(DESIGN).map(str::to_owned)
}

/// The document as it is put into a database.
///
/// Errors: never, as long as what this crate brings along is JSON.
pub fn content(ours: &DesignDocument) -> store::Result<Document> {
    Document::parse(ours.json).map_err(|error| store::Error::Corrupt(error.to_string()))
}
