//! Backups in files: made of a store, and made into one. Either is there whole, or not at all.

use std::fs::{DirBuilder, File};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use tempfile::{NamedTempFile, TempPath};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use crate::config::StoreLocation;
use crate::document::{DbName, Document};
use crate::kazoo::views;
use crate::store::couch::CouchOptions;
use crate::store::embedded::{CannotOpen, Embedded, first_in};
use crate::store::{Entry, Server};
use crate::{OpenError, open_store};

use super::lines::{self, Summary};
use super::{Error, socket};

/// How many bytes are carried at a time.
const CHUNK: usize = 64 << 10;

/// How many documents are written to a store at a time, and of how many bytes, but for one that is longer.
const BATCH: usize = 200;
const BATCH_BYTES: usize = 8 << 20;

/// Writes a backup of an embedded store to a file, for its owner alone: by the service that has it open, or else by
/// itself. `time` is now; a file that is there is replaced only if that is wanted.
///
/// Errors: the store is none that can be backed up, fails, or the file can't be written. It is as before then.
pub async fn back_up(
    (location, options): (&StoreLocation, &CouchOptions),
    file: &Path,
    replace: bool,
    time: String,
) -> Result<Summary, Error> {
    if !replace && file.exists() {
        return Err(Error::of(file, "is there already: with --force it is replaced"));
    }
    let folder = folder_of(file);
    let failed = |error: io::Error| Error::of(file, error);
    let mut made = NamedTempFile::new_in(folder).map_err(|error| Error::of(folder, error))?;
    match running(location).await? {
        Some(stream) => copy(stream, made.as_file_mut()).await.map_err(failed)?,
        None => {
            let store = open_store(location, options).await?;
            let (ours, theirs) = tokio::io::duplex(CHUNK);
            let copied = async { copy(theirs, made.as_file_mut()).await.map_err(failed) };
            tokio::try_join!(lines::write(store.as_ref(), time, ours), copied)?;
        }
    }
    // what is kept is what can be restored
    let summary = check(made.path()).map_err(|reason| Error::of(file, format!("the backup failed: {reason}")))?;
    made.as_file().sync_all().map_err(failed)?;
    let kept = if replace { made.persist(file) } else { made.persist_noclobber(file) };
    kept.map_err(|error| failed(error.error))?;
    sync(folder)?;
    Ok(summary)
}

/// The service that has a store open, if one does.
async fn running(location: &StoreLocation) -> Result<Option<tokio::net::UnixStream>, Error> {
    let StoreLocation::Folder(folder) = location else { return Ok(None) };
    if !Embedded::is_in(folder) {
        return Err(OpenError::Folder(CannotOpen::Missing(folder.clone())).into());
    }
    socket::connect(folder).await.map_err(|error| Error::of(folder.join(Embedded::SOCKET_NAME), error))
}

async fn copy(mut from: impl AsyncRead + Unpin, to: &mut File) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk).await? {
            0 => return Ok(()),
            length => to.write_all(&chunk[..length])?,
        }
    }
}

/// Reads a backup for itself, to see that it is whole.
fn check(file: &Path) -> Result<Summary, String> {
    let open = File::open(file).map_err(|error| error.to_string())?;
    lines::read(BufReader::new(open), &mut |_| Ok(()))
}

/// Makes an embedded store of a backup, in a folder that is empty or made for it.
///
/// Errors: the file is no whole backup, the folder holds something, or can't be written. It is as before then.
pub async fn restore(folder: &Path, file: &Path) -> Result<Summary, Error> {
    check(file).map_err(|reason| Error::of(file, reason))?;
    let failed = |error: io::Error| Error::of(folder, error);
    if let Some(name) = first_in(folder).map_err(failed)? {
        let reason = format!("holds {} already: restore to another folder, or move it away", name.display());
        return Err(Error::of(folder, reason));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let building = tempfile::Builder::new().prefix(".restore-").tempdir_in(folder).map_err(failed)?;
    let summary = load(building.path(), file).await?;
    let made = TempPath::try_from_path(building.path().join(Embedded::FILE_NAME)).map_err(failed)?;
    made.persist_noclobber(folder.join(Embedded::FILE_NAME)).map_err(|error| failed(error.error))?;
    sync(folder)?;
    Ok(summary)
}

/// Makes a store of a backup.
async fn load(folder: &Path, file: &Path) -> Result<Summary, Error> {
    let store = Embedded::open(folder, views::ALL).map_err(OpenError::from)?;
    let (sender, mut loads) = mpsc::channel(1);
    let path = file.to_owned();
    let reader = tokio::task::spawn_blocking(move || {
        let mut batches = Batches { sender, database: None, documents: Vec::new(), bytes: 0 };
        let open = File::open(path).map_err(|error| error.to_string())?;
        let summary = lines::read(BufReader::new(open), &mut |entry| batches.take(entry))?;
        batches.send()?;
        Ok::<_, String>(summary)
    });
    while let Some((database, documents)) = loads.recv().await {
        store.create(&database).await?;
        store.load(&database, documents).await?;
    }
    reader.await.unwrap_or_else(|error| Err(error.to_string())).map_err(|reason| Error::of(file, reason))
}

/// Sends documents on in batches.
struct Batches {
    sender: mpsc::Sender<(DbName, Vec<Document>)>,
    database: Option<DbName>,
    documents: Vec<Document>,
    bytes: usize,
}

impl Batches {
    fn take(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Database(name) => {
                self.send()?;
                self.database = Some(name);
            }
            Entry::Document(document) => {
                self.bytes += document.iter().map(|(name, value)| name.len() + value.get().len()).sum::<usize>();
                self.documents.push(document);
                if self.documents.len() >= BATCH || self.bytes >= BATCH_BYTES {
                    self.send()?;
                }
            }
        }
        Ok(())
    }

    /// A database of no documents is sent too.
    fn send(&mut self) -> Result<(), String> {
        let Some(database) = &self.database else { return Ok(()) };
        self.bytes = 0;
        let batch = (database.clone(), std::mem::take(&mut self.documents));
        self.sender.blocking_send(batch).map_err(|_| "the store failed".to_owned())
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes names in a folder last.
fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::of(folder, error))
}
