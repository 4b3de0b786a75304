//! The folder of a store: what is in it, and why a store can't be opened there.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::super::Error;
use super::Embedded;

/// What a folder holds that is empty but for it: a file system's own, and what a service leaves that was killed.
const NOBODYS: [&str; 2] = ["lost+found", Embedded::SOCKET_NAME];

/// Whether a store may be made where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// It may, in a folder that is empty or not there.
    Allowed,
    /// It may not: who only reads leaves nothing behind.
    Refused,
}

/// Why a store can't be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CannotOpen {
    /// There is none, and none is to be made.
    #[error("{}: there is no store", .0.display())]
    Missing(PathBuf),
    /// What is there is a file.
    #[error("{}: it is a file, and a store is a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The folder is somebody else's: it holds this, and no store.
    #[error("{}: it holds {}, and no store", .0.display(), .1.display())]
    OtherFiles(PathBuf, OsString),
    /// Only one process may have a store open.
    #[error("{}: another process has this store open", .0.display())]
    Locked(PathBuf),
    /// The file is no store's, or was damaged.
    #[error("{}: the store is damaged: {reason}", .folder.display())]
    Damaged {
        /// The store's folder.
        folder: PathBuf,
        /// What is wrong with its file.
        reason: String,
    },
    /// The system does not let us.
    #[error("{}: {reason}", .folder.display())]
    System {
        /// The store's folder.
        folder: PathBuf,
        /// What it says.
        reason: String,
    },
    /// What the store holds can't be used.
    #[error("{}: {reason}", .folder.display())]
    Store {
        /// The store's folder.
        folder: PathBuf,
        /// Why.
        reason: Error,
    },
}

impl CannotOpen {
    /// What an operator does about it.
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing(_) => {
                "give a store's folder, or a CouchDB's URL; `import`, `restore` and `serve` make a store"
            }
            Self::NotAFolder(_) => "give a folder, or a CouchDB's URL",
            Self::OtherFiles(..) => "give a folder that is empty, not there yet, or a store's",
            Self::Locked(_) => "stop the service that has it open and run this again (`backup` alone works beside it)",
            Self::Damaged { .. } => {
                "move the folder away and make the store anew of a backup (`restore`) or of dumps (`import`)"
            }
            Self::System { .. } => {
                "see that its user may read and write the folder, and that the disk is there and has room"
            }
            Self::Store { reason, .. } => return reason.remedy(),
        })
    }

    /// What requests are told of a file that was open and can't be opened anew.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Damaged { .. } => Error::Corrupt(self.to_string()),
            Self::Store { reason, .. } => reason,
            _ => Error::Unreachable(self.to_string()),
        }
    }

    pub(super) fn unreadable(folder: &Path) -> Self {
        Self::Damaged { folder: folder.to_owned(), reason: "its pages can't be read".to_owned() }
    }

    pub(super) fn system(folder: &Path) -> impl Fn(io::Error) -> Self {
        |error| match error.kind() {
            io::ErrorKind::NotADirectory => Self::NotAFolder(folder.to_owned()),
            _ => Self::System { folder: folder.to_owned(), reason: error.to_string() },
        }
    }

    pub(super) fn store(folder: &Path) -> impl Fn(Error) -> Self {
        |error| match error {
            Error::Corrupt(reason) => Self::Damaged { folder: folder.to_owned(), reason },
            reason => Self::Store { folder: folder.to_owned(), reason },
        }
    }
}

/// What a folder holds beside what is nobody's: the first of it. None of one that is empty, or not there.
///
/// Errors: it can't be read, or is none.
pub fn first_in(folder: &Path) -> io::Result<Option<OsString>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let names: Vec<OsString> = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    Ok(names.into_iter().filter(|name| NOBODYS.iter().all(|nobodys| OsStr::new(nobodys) != name)).min())
}

/// Sees that a store may be opened in a folder, and makes the folder where it may be made, for its owner alone.
pub(super) fn prepare(folder: &Path, making: Making) -> Result<(), CannotOpen> {
    if folder.is_file() {
        return Err(CannotOpen::NotAFolder(folder.to_owned()));
    }
    if Embedded::is_in(folder) {
        return Ok(());
    }
    if making == Making::Refused {
        return Err(CannotOpen::Missing(folder.to_owned()));
    }
    if let Some(other) = first_in(folder).map_err(CannotOpen::system(folder))? {
        return Err(CannotOpen::OtherFiles(folder.to_owned(), other));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(CannotOpen::system(folder))
}
