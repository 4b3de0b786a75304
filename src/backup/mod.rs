//! Backups of an embedded store: all that it holds at one moment, in one file, also while the service writes on.
//!
//! The file is text, a JSON object a line, each with one field: `backup` first; each `database`, and then its
//! `document`s, which are as in a dump, revisions and attachments inside; `end` last, which counts them and has a
//! checksum of all lines before, so that a backup that was cut off or changed is known as such.
//!
//! Only one process has a store's file open. So while the service runs, it makes the backup ([`Socket`]).

mod file;
mod lines;
mod socket;

use std::io;
use std::path::PathBuf;

use crate::{OpenError, store};

pub use file::{back_up, restore};
pub use lines::Summary;
pub use socket::Socket;

/// Why there is no backup, or none is restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A file or a folder is not what it must be, or can't be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or the folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Whom the backup was for did not take it.
    #[error("nobody took it: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// What an operator does about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Open(error) => error.remedy(),
            Self::Store(error) => error.remedy(),
            Self::File { .. } | Self::Output(_) => None,
        }
    }

    fn of(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::File { path: path.into(), reason: reason.to_string() }
    }
}
