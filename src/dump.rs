//! Dump files: one JSON object a database, `{"db", "docs"}`, with revisions and inline attachments; several may stand in a
//! file, one after the other. What is imported and exported again is the same.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::{self, Stream};
use futures::{TryStreamExt, pin_mut};
use serde::Serialize;
use serde::de::{self, DeserializeSeed, Deserializer};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::databases::{self, add_views, documents};
use crate::document::{DbName, DocId, Document, Revision, json};
use crate::store::{self, Attachments, Loaded, Server};

/// How many documents are written at a time, unless they have more bytes than these.
const BATCH: usize = 200;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What a dump is, for who has something else.
const LOOKS: &str =
    r#"a dump is {"db": "accounts", "docs": [{"_id": …, …}, …]}, one or several in a file, as `export` writes it"#;

/// Why a dump can't be imported or exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("{}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file is no dump.
    #[error("{}: line {line}, column {column}: {reason}", file.display())]
    NoDump {
        /// The file.
        file: PathBuf,
        /// The line up to which it was read, from 1 on.
        line: usize,
        /// The column of that line.
        column: usize,
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

impl Error {
    /// What an operator does about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NoDump { .. } => Some(LOOKS),
            Self::Database(error) => error.remedy(),
            Self::Unreadable { .. } | Self::Output(_) => None,
        }
    }

    fn of_json(file: &Path, error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        if error.is_io() {
            return Self::Unreadable { file: file.to_owned(), reason: error.to_string() };
        }
        let text = error.to_string();
        let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        let reason = if error.is_data() { text.to_owned() } else { format!("no JSON: {text}") };
        Self::NoDump { file: file.to_owned(), line, column, reason }
    }
}

/// A dump file that was read to its end and found sound: one database, or several one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    file: PathBuf,
    databases: Vec<DbName>,
    documents: u64,
}

/// What became of the documents of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The database.
    pub database: DbName,
    /// How many were new, changed and unchanged.
    #[serde(flatten)]
    pub documents: Loaded,
}

impl Dump {
    /// Reads a file once, without keeping it, to see that it is a dump.
    ///
    /// Errors: [`Error::NoDump`] with what is wrong and, for a document, which one.
    pub fn check(file: &Path) -> Result<Self, Error> {
        let mut documents = 0;
        let databases = read(file, &mut |_, _| {
            documents += 1;
            Ok(())
        })?;
        Ok(Self { file: file.to_owned(), databases, documents })
    }

    /// How many documents the file holds.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Writes the documents to a store, keeping their revisions; makes the databases, and the views that neither they nor
    /// the dump has. To do it again changes nothing. `progress` is called with how many documents were written since its
    /// last call.
    pub async fn import(&self, store: &dyn Server, progress: impl Fn(u64)) -> Result<Vec<Imported>, Error> {
        let (sender, mut batches) = mpsc::channel(1);
        let file = self.file.clone();
        let reader = tokio::task::spawn_blocking(move || in_batches(&file, &sender));
        let mut imported = Vec::with_capacity(self.databases.len());
        for database in &self.databases {
            store.create(database).await?;
            imported.push(Imported { database: database.clone(), documents: Loaded::default() });
        }
        while let Some((place, documents)) = batches.recv().await {
            let Some(of) = imported.get_mut(place) else { return Err(self.unreadable("it has grown")) };
            let written = documents.len() as u64;
            of.documents += store.load(&of.database, documents).await?;
            progress(written);
        }
        reader.await.map_err(|error| self.unreadable(error))??;
        // last, since the dump may bring design documents of its own
        for database in &self.databases {
            add_views(store, database).await?;
        }
        Ok(imported)
    }

    fn unreadable(&self, reason: impl ToString) -> Error {
        Error::Unreadable { file: self.file.clone(), reason: reason.to_string() }
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

/// Documents, and at which place of the file's databases theirs is.
type Placed = (usize, Vec<Document>);

/// Reads a dump from its file, batch by batch.
fn in_batches(file: &Path, sender: &mpsc::Sender<Placed>) -> Result<(), Error> {
    let send = |place: usize, batch: &mut Vec<Document>| {
        sender.blocking_send((place, std::mem::take(batch))).map_err(|_| "the import stopped".to_owned())
    };
    let (mut place, mut batch, mut bytes) = (0, Vec::new(), 0);
    read(file, &mut |of, document| {
        if of != place && !batch.is_empty() {
            bytes = 0;
            send(place, &mut batch)?;
        }
        place = of;
        bytes += document.bytes();
        batch.push(document);
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            bytes = 0;
            send(place, &mut batch)?;
        }
        Ok(())
    })?;
    if batch.is_empty() {
        return Ok(());
    }
    send(place, &mut batch).map_err(|reason| Error::Unreadable { file: file.to_owned(), reason })
}

/// Reads the dumps of a file, giving each document to `take` as it comes, and at which place its dump is; gives the
/// databases' names.
fn read(file: &Path, take: &mut dyn FnMut(usize, Document) -> Result<(), String>) -> Result<Vec<DbName>, Error> {
    let open = File::open(file);
    let open = open.map_err(|error| Error::Unreadable { file: file.to_owned(), reason: error.to_string() })?;
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(open));
    let mut databases = Vec::new();
    loop {
        let place = databases.len();
        let dump = DumpObject(&mut |document| take(place, document)).deserialize(&mut reader);
        databases.push(dump.map_err(|error| Error::of_json(file, &error))?);
        // what is not the end is another dump, or what is wrong with it is told as of one
        if reader.end().is_ok() {
            return Ok(databases);
        }
    }
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
    write_dump(database, documents(store, database, Attachments::Inline), output).await
}

/// Writes one document of a database as a dump, if it is there.
///
/// Errors: the store fails, or `output` can't be written.
pub async fn export_one(
    store: &dyn Server,
    database: &DbName,
    id: &DocId,
    output: &mut dyn Write,
) -> Result<(), Error> {
    match store.get(database, id).await? {
        Some(document) => write_dump(database, stream::iter([Ok(Arc::unwrap_or_clone(document))]), output).await,
        None => Ok(()),
    }
}

async fn write_dump(
    database: &DbName,
    documents: impl Stream<Item = Result<Document, databases::Error>>,
    output: &mut dyn Write,
) -> Result<(), Error> {
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
