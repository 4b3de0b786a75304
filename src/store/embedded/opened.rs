//! The redb database of the store's file, opened anew after a fault. After any I/O error, a full disk's too, redb takes
//! nothing more until its file is opened anew. That happens here: who reads or writes sees at the most one fault.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageError, WriteTransaction};

use super::super::{Error, Result};
use super::folder::{CannotOpen, Making};
use super::layout::{META, failed};

/// For how long after a fault nothing is written, and the file not opened anew once more.
const PAUSE: Duration = Duration::from_secs(1);

/// The same, as a multiple of what opening took: redb may have to read the whole file then, and readers wait for it.
const PAUSE_OF_OPENING: u32 = 4;

/// How many bytes must fit in after a fault before anybody writes again. With less room than that some writes would
/// succeed and others fail, each of which costs an opening.
const MARGIN: usize = 1 << 20;

/// How many bytes of the file are kept in memory; redb's own default is 1 GiB. What is asked for most is ready beside it.
const CACHE: usize = 16 << 20;

/// Where [`META`] has what is written to see whether it can be.
const PROOF: &str = "proof";

/// The open database.
pub(super) struct Opened {
    path: PathBuf,
    state: RwLock<State>,
    /// Held by who writes, and so by who opens the file anew: redb lets go of a file only when nobody writes.
    turn: Mutex<()>,
}

struct State {
    /// None if it could not be opened anew.
    database: Option<Database>,
    /// How often it was opened.
    openings: u64,
    /// The last fault, until a write has succeeded again.
    fault: Option<Fault>,
}

#[derive(Clone)]
struct Fault {
    error: Error,
    /// Nothing is tried before.
    until: Instant,
}

impl State {
    /// Errors: the last fault.
    fn database(&self) -> Result<&Database> {
        let fault = || self.fault.as_ref().map(|fault| fault.error.clone());
        self.database.as_ref().ok_or_else(|| fault().unwrap_or_else(|| Error::Unreachable("it is closed".to_owned())))
    }
}

/// Whoever has it may write.
type Turn<'t> = MutexGuard<'t, ()>;

impl Opened {
    /// Opens a file, or makes it where that is allowed.
    pub(super) fn new(path: PathBuf, making: Making) -> std::result::Result<Self, CannotOpen> {
        let database = open(&path, making)?;
        let state = RwLock::new(State { database: Some(database), openings: 1, fault: None });
        Ok(Self { path, state, turn: Mutex::default() })
    }

    /// A transaction that sees the file as it is now.
    pub(super) fn begin_read(&self) -> Result<ReadTransaction> {
        self.state().database()?.begin_read().map_err(failed)
    }

    /// Runs what reads; once more, if its fault was one that opening the file anew mends.
    pub(super) fn read<T>(&self, work: impl Fn() -> Result<T>) -> Result<T> {
        let before = self.state().openings;
        match work() {
            Err(error) if is_of_the_file(&error) => {
                let turn = self.turn();
                // somebody else may have mended it meanwhile
                if self.state().openings == before {
                    if !self.is_broken() || self.is_pausing() {
                        return Err(error);
                    }
                    self.open_anew(&turn, error)?;
                }
                drop(turn);
                work()
            }
            done => done,
        }
    }

    /// Runs `work` in one transaction, which is on disk when this returns. After a fault it has not happened, as far as
    /// that can be known: of a failed sync nobody can say.
    pub(super) fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
        self.refuse_while_pausing()?;
        let turn = self.turn();
        self.refuse_while_pausing()?;
        if self.state().fault.is_some() {
            self.find_room()?;
            self.commit(&turn, |transaction| prove(transaction, MARGIN))?;
            self.commit(&turn, |transaction| prove(transaction, 0))?;
        }
        self.commit(&turn, work)
    }

    /// Writes something small that nobody reads.
    pub(super) fn prove_writable(&self) -> Result<()> {
        self.write(|transaction| prove(transaction, 0))
    }

    /// Sees whether the disk has room, without the open file: a commit that fails costs an opening.
    fn find_room(&self) -> Result<()> {
        let file = tempfile::tempfile_in(folder_of(&self.path));
        let written = file.and_then(|mut file| file.write_all(&vec![1; MARGIN]).and_then(|()| file.sync_data()));
        match written.map_err(failed) {
            Err(error @ Error::Full(_)) => {
                self.set_fault(Some(Fault { error: error.clone(), until: Instant::now() + PAUSE }));
                Err(error)
            }
            // whatever else it was, a commit shows it
            _ => Ok(()),
        }
    }

    fn commit<T>(&self, turn: &Turn<'_>, work: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
        let transaction = match self.begin_write() {
            // the last transaction left a fault that nobody has seen yet
            Err(error) => {
                self.open_anew(turn, error)?;
                self.begin_write()?
            }
            begun => begun?,
        };
        let done = work(&transaction).and_then(|done| {
            transaction.commit().map_err(failed)?;
            Ok(done)
        });
        match &done {
            Ok(_) => self.mended(),
            // if it can't be opened anew, the next who asks is told
            Err(error) if is_of_the_file(error) && self.is_broken() => drop(self.open_anew(turn, error.clone())),
            Err(_) => {}
        }
        done
    }

    fn begin_write(&self) -> Result<WriteTransaction> {
        self.state().database()?.begin_write().map_err(failed)
    }

    /// Whether redb takes nothing more. To be asked by who has the turn, since it waits for who writes.
    fn is_broken(&self) -> bool {
        self.begin_write().and_then(|transaction| transaction.abort().map_err(failed)).is_err()
    }

    fn is_pausing(&self) -> bool {
        self.refuse_while_pausing().is_err()
    }

    fn refuse_while_pausing(&self) -> Result<()> {
        match &self.state().fault {
            Some(fault) if Instant::now() < fault.until => Err(fault.error.clone()),
            _ => Ok(()),
        }
    }

    /// Opens the file anew after a fault. What reads it in a transaction of before sees a fault.
    fn open_anew(&self, _: &Turn<'_>, error: Error) -> Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        log::error!("{}: {error}; it is opened anew", self.path.display());
        let started = Instant::now();
        // redb lets go of the file, so that it can be opened
        state.database = None;
        let opened = open(&self.path, Making::Refused).map_err(CannotOpen::into_error);
        let until = Instant::now() + PAUSE.max(started.elapsed() * PAUSE_OF_OPENING);
        state.openings += 1;
        match opened {
            Ok(database) => {
                state.database = Some(database);
                state.fault = Some(Fault { error, until });
                Ok(())
            }
            Err(cannot) => {
                log::error!("it can't be opened anew: {cannot}");
                state.fault = Some(Fault { error: cannot.clone(), until });
                Err(cannot)
            }
        }
    }

    /// Forgets a fault.
    fn mended(&self) {
        if self.state().fault.is_some() {
            log::info!("{}: writing works again", self.path.display());
            self.set_fault(None);
        }
    }

    fn set_fault(&self, fault: Option<Fault>) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).fault = fault;
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> Turn<'_> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a redb file for its owner alone.
///
/// Errors: it is not there, or empty, and is not to be made; another process has it open; it is none.
fn open(path: &Path, making: Making) -> std::result::Result<Database, CannotOpen> {
    let folder = folder_of(path);
    let is_made = making == Making::Allowed;
    let damaged = |reason: String| CannotOpen::Damaged { folder: folder.to_owned(), reason };
    let file = OpenOptions::new().read(true).write(true).create(is_made).truncate(false).mode(0o600).open(path);
    let file = file.map_err(CannotOpen::system(folder))?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(CannotOpen::system(folder))?;
    // redb would make a new database in it, and nobody's documents would be there
    if !is_made && file.metadata().map_err(CannotOpen::system(folder))?.len() == 0 {
        return Err(damaged("its file is empty".to_owned()));
    }
    let cannot = |error| match error {
        DatabaseError::DatabaseAlreadyOpen => CannotOpen::Locked(folder.to_owned()),
        DatabaseError::Storage(StorageError::Io(error)) if is_of_what_is_read(&error) => damaged(error.to_string()),
        error => CannotOpen::store(folder)(failed(error)),
    };
    let backend = FileBackend::new(file).map_err(cannot)?;
    Database::builder().set_cache_size(CACHE).create_with_backend(backend).map_err(cannot)
}

/// Whether it is what the file holds, and not how it is read.
fn is_of_what_is_read(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn prove(transaction: &WriteTransaction, bytes: usize) -> Result<()> {
    transaction.open_table(META).map_err(failed)?.insert(PROOF, " ".repeat(bytes).as_str()).map_err(failed)?;
    Ok(())
}

/// Whether redb may be broken after it.
fn is_of_the_file(error: &Error) -> bool {
    matches!(error, Error::Full(_) | Error::Refused(_) | Error::Corrupt(_) | Error::Unreachable(_))
}

#[cfg(test)]
mod tests {
    use redb::ReadableTable;

    use super::*;

    const READ: &str = "read";

    fn put(file: &Opened, value: &str) -> Result<()> {
        file.write(|transaction| {
            transaction.open_table(META).map_err(failed)?.insert(READ, value).map_err(failed)?;
            Ok(())
        })
    }

    fn get(file: &Opened) -> Result<String> {
        file.read(|| {
            let meta = file.begin_read()?.open_table(META).map_err(failed)?;
            Ok(meta.get(READ).map_err(failed)?.unwrap().value().to_owned())
        })
    }

    fn fault(file: &Opened) -> Result<()> {
        file.open_anew(&file.turn(), Error::Full("the test says so".to_owned()))
    }

    #[test]
    fn after_a_fault_reads_go_on_and_writes_after_a_pause() {
        let folder = tempfile::tempdir().unwrap();
        let file = Opened::new(folder.path().join("file"), Making::Allowed).unwrap();
        put(&file, "before").unwrap();
        let before = file.begin_read().unwrap();
        fault(&file).unwrap();
        assert_eq!(get(&file).unwrap(), "before");
        assert!(before.open_table(META).and_then(|meta| Ok(meta.iter()?.count())).is_err(), "it is closed");
        assert!(matches!(put(&file, "too early"), Err(Error::Full(_))));
        assert!(matches!(file.prove_writable(), Err(Error::Full(_))));
        std::thread::sleep(PAUSE);
        put(&file, "after").unwrap();
        file.prove_writable().unwrap();
        assert_eq!(get(&file).unwrap(), "after");
    }

    #[test]
    fn a_file_that_is_gone_is_not_made_and_found_when_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (folder.path().join("file"), folder.path().join("elsewhere"));
        let file = Opened::new(path.clone(), Making::Allowed).unwrap();
        put(&file, "before").unwrap();
        std::fs::rename(&path, &elsewhere).unwrap();
        fault(&file).unwrap_err();
        std::thread::sleep(PAUSE);
        for _ in 0..2 {
            assert!(matches!(get(&file), Err(Error::Unreachable(_))));
            assert!(matches!(put(&file, "nowhere"), Err(Error::Unreachable(_))));
        }
        assert!(!path.exists());
        std::fs::rename(&elsewhere, &path).unwrap();
        std::thread::sleep(PAUSE);
        assert_eq!(get(&file).unwrap(), "before");
    }
}
