//! Dump files: one JSON object a database, `{"db", "docs"}`, with revisions and inline attachments. What is imported
//! and exported again is the same.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use futures::{TryStreamExt, pin_mut};
use serde::de::{self, DeserializeSeed, Deserializer};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::databases::{self, add_views, documents};
use crate::document::{DbName, Document, Revision, json};
use crate::store::{self, Attachments, Server};

/// How many documents are written at a time, unless they have more bytes than these.
const BATCH: usize = 200;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Why a dump can't be imported or exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read, or is no dump.
    #[error("{}: {reason}", file.display())]
    NoDump {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The store failed, or has no such database.
    #[error(transparent)]
    Database(#[from] databases::Error),
    /// What was exported can't be written.
    #[error("can't write: {0}")]
    Output(#[from] std::io::Error),
}

/// A dump file that was read to its end and found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    file: PathBuf,
    database: DbName,
    documents: u64,
}

impl Dump {
    /// Reads a file once, without keeping it, to see that it is a dump.
    ///
    /// Errors: [`Error::NoDump`] with what is wrong and, for a document, which one.
    pub fn check(file: &Path) -> Result<Self, Error> {
        let mut documents = 0;
        let database = read(file, &mut |_| {
            documents += 1;
            Ok(())
        })?;
        Ok(Self { file: file.to_owned(), database, documents })
    }

    /// How many documents the file holds.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Writes the documents to a store, keeping their revisions; makes the database, and the views that neither it nor
    /// the dump has. To do it again changes nothing. `progress` is called with how many documents were written since its
    /// last call.
    pub async fn import(&self, store: &dyn Server, progress: impl Fn(u64)) -> Result<(), Error> {
        let (sender, mut batches) = mpsc::channel(1);
        let file = self.file.clone();
        let reader = tokio::task::spawn_blocking(move || in_batches(&file, &sender));
        store.create(&self.database).await?;
        while let Some(documents) = batches.recv().await {
            let written = documents.len() as u64;
            store.load(&self.database, documents).await?;
            progress(written);
        }
        reader.await.map_err(|error| self.no_dump(&error.to_string()))??;
        // last, since the dump may bring design documents of its own
        Ok(add_views(store, &self.database).await?)
    }

    fn no_dump(&self, reason: &str) -> Error {
        Error::NoDump { file: self.file.clone(), reason: reason.to_owned() }
    }
}

/// A document as files have it, which must have what loading it needs.
///
/// Errors: what is wrong with it.
pub(crate) fn document(raw: &RawValue) -> Result<Document, String> {
    json::check(raw.get().as_bytes(), json::DEEPEST).map_err(|refused| refused.to_string())?;
    let compact = json::compact(raw.get()).map_err(|refused| refused.to_string())?;
    let document = Document::parse(&compact).map_err(|error| error.to_string())?;
    let id = document.id().ok_or("a document without an _id")?;
    match document.text("_rev").map(|text| text.parse::<Revision>()) {
        Some(Err(error)) => Err(format!("document {id}: {error}")),
        None if document.contains("_rev") => Err(format!("document {id}: its _rev is no text")),
        Some(Ok(_)) | None => Ok(document),
    }
}

/// Reads a dump from its file, batch by batch.
fn in_batches(file: &Path, sender: &mpsc::Sender<Vec<Document>>) -> Result<(), Error> {
    let send = |batch: &mut Vec<Document>| {
        sender.blocking_send(std::mem::take(batch)).map_err(|_| "the import stopped".to_owned())
    };
    let (mut batch, mut bytes) = (Vec::new(), 0);
    read(file, &mut |document| {
        bytes += document.bytes();
        batch.push(document);
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            bytes = 0;
            send(&mut batch)?;
        }
        Ok(())
    })?;
    if batch.is_empty() {
        return Ok(());
    }
    send(&mut batch).map_err(|reason| Error::NoDump { file: file.to_owned(), reason })
}

/// Reads a dump from its file, giving each document to `take` as it comes; gives the database's name.
fn read(file: &Path, take: &mut dyn FnMut(Document) -> Result<(), String>) -> Result<DbName, Error> {
    let no_dump = |reason: String| Error::NoDump { file: file.to_owned(), reason };
    let open = File::open(file).map_err(|error| no_dump(error.to_string()))?;
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(open));
    let database = DumpObject(take).deserialize(&mut reader).map_err(|error| no_dump(error.to_string()))?;
    reader.end().map_err(|error| no_dump(error.to_string()))?;
    Ok(database)
}

type Take<'t> = &'t mut dyn FnMut(Document) -> Result<(), String>;

/// `{"db": …, "docs": […]}`, in any order.
struct DumpObject<'t>(Take<'t>);

impl<'de> DeserializeSeed<'de> for DumpObject<'_> {
    type Value = DbName;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<DbName, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> de::Visitor<'de> for DumpObject<'_> {
    type Value = DbName;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a dump: an object of \"db\" and \"docs\"")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<DbName, A::Error> {
        let mut database = None;
        let mut has_documents = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "db" => {
                    let name = map.next_value::<String>()?.parse::<DbName>();
                    database = Some(name.map_err(de::Error::custom)?);
                }
                "docs" => {
                    map.next_value_seed(Documents(&mut *self.0))?;
                    has_documents = true;
                }
                _ => drop(map.next_value::<de::IgnoredAny>()?),
            }
        }
        if !has_documents {
            return Err(de::Error::missing_field("docs"));
        }
        database.ok_or_else(|| de::Error::missing_field("db"))
    }
}

struct Documents<'t>(Take<'t>);

impl<'de> DeserializeSeed<'de> for Documents<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> de::Visitor<'de> for Documents<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of documents")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut documents: A) -> Result<(), A::Error> {
        while let Some(raw) = documents.next_element::<Box<RawValue>>()? {
            let document = document(&raw).map_err(de::Error::custom)?;
            (self.0)(document).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Writes a database of a store as a dump.
///
/// Errors: the database is not there, the store fails, or `output` can't be written.
pub async fn export(store: &dyn Server, database: &DbName, output: &mut dyn Write) -> Result<(), Error> {
    let documents = documents(store, database, Attachments::Inline);
    pin_mut!(documents);
    // nothing is written before it is known that the database is there
    let mut next = documents.try_next().await?;
    write!(output, "{{\n \"db\": {},\n \"docs\": [", json::encode(database.as_str()))?;
    let mut separator = "";
    while let Some(document) = next {
        write!(output, "{separator}\n  {}", document.to_json())?;
        separator = ",";
        next = documents.try_next().await?;
    }
    write!(output, "\n ]\n}}\n")?;
    output.flush()?;
    Ok(())
}
