//! What goes wrong in a store, and what an operator does about it.

use crate::document::DbName;

/// What went wrong below. That something is not there is no error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote the document since it was read; nothing was written.
    #[error("conflict: the document was written by somebody else meanwhile")]
    Conflict,
    /// No connection.
    #[error("the store can't be reached: {0}")]
    Unreachable(String),
    /// No machine has the name that was given.
    #[error("the store can't be reached: {0}")]
    UnknownHost(String),
    /// Over TLS it is not believed, or speaks none.
    #[error("the store can't be reached: {0}")]
    Untrusted(String),
    /// The user or the password is not the store's, or there is none, or the user may not.
    #[error("the store does not let us in: {0}")]
    Denied(String),
    /// No answer in time. Of a write it is not known whether it happened.
    #[error("the store did not answer in time: {0}")]
    TimedOut(String),
    /// Too much is under way to the store; nothing was sent.
    #[error("too much is under way to the store: {0}")]
    Busy(String),
    /// There is no such database, and nothing was written.
    #[error("there is no database {0}")]
    MissingDatabase(DbName),
    /// The view is not there: its design document is missing.
    #[error(
        "the view {design}/{view} is missing in {database}: run `crossbar-groups views install` on this store, or where it \
         is Kazoo's own (attributes, maintenance) `sup kapps_maintenance refresh {database}`"
    )]
    MissingView {
        /// The database that was asked.
        database: DbName,
        /// The view's design document.
        design: &'static str,
        /// The view.
        view: &'static str,
    },
    /// The store answered that it won't: not authorized, out of space, a fault of its own, …
    #[error("the store refused: {0}")]
    Refused(String),
    /// What answers is no store, or says nothing that one would say. Of a write it is not known whether it happened.
    #[error("what answers is no store: {0}")]
    Nonsense(String),
    /// There is no room for what was to be written, which did not happen.
    #[error("the store is full: {0}")]
    Full(String),
    /// The store's answer, or what it holds, can't be read.
    #[error("the store's data can't be read: {0}")]
    Corrupt(String),
}

/// A store's answer.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What an operator does about it, beside what the error itself says.
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable(_) => "see that the CouchDB runs, and that --store has its host and port",
            Self::UnknownHost(_) => "give --store a host's name that this machine can look up, or its address",
            Self::Untrusted(_) => {
                "give --ca the authority of its certificate, and --store the name that the certificate is for; where it \
                 speaks no TLS, http://"
            }
            Self::Denied(_) => {
                "give --store a user that may read and write, and its password: http://user:password@host:5984"
            }
            Self::TimedOut(_) => {
                "see that --store has the port of a CouchDB (https:// where it speaks TLS), that no firewall is between, \
                 and that it is not overloaded"
            }
            Self::Busy(_) => "try again, or allow more at a time: --couch-connections",
            Self::Nonsense(_) => {
                "give --store a CouchDB's own address, as Kazoo has it: no proxy's, and not crossbar's"
            }
            Self::Full(_) => "make room on the store's disk",
            Self::MissingDatabase(_) => "make it by `crossbar-groups import`, or start Kazoo once, which makes it",
            Self::Corrupt(_) => "restore the store from a backup",
            Self::Conflict | Self::MissingView { .. } | Self::Refused(_) => return None,
        })
    }

    /// The same, with the place at which it went wrong.
    pub(super) fn at(self, place: &str) -> Self {
        let named = |text: String| format!("{place}: {text}");
        match self {
            Self::Unreachable(text) => Self::Unreachable(named(text)),
            Self::UnknownHost(text) => Self::UnknownHost(named(text)),
            Self::Untrusted(text) => Self::Untrusted(named(text)),
            Self::Denied(text) => Self::Denied(named(text)),
            Self::TimedOut(text) => Self::TimedOut(named(text)),
            Self::Busy(text) => Self::Busy(named(text)),
            Self::Refused(text) => Self::Refused(named(text)),
            Self::Nonsense(text) => Self::Nonsense(named(text)),
            Self::Full(text) => Self::Full(named(text)),
            Self::Corrupt(text) => Self::Corrupt(named(text)),
            error @ (Self::Conflict | Self::MissingDatabase(_) | Self::MissingView { .. }) => error,
        }
    }
}
