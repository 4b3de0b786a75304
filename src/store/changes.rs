//! What changed in a database: the places of its history, and the documents that changed after one.

use std::fmt;
use std::sync::Arc;

use crate::document::{Document, Revision};

/// A place in a database's history, as its store names it. Which of two is the later nobody else can tell.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sequence(Arc<str>);

/// A document that changed.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The place to go on from, once this is known.
    pub sequence: Sequence,
    /// Its id.
    pub id: Arc<str>,
    /// Its revision since then.
    pub revision: Revision,
    /// What it is since; None if it was taken away, which Kazoo does to none of an account's.
    pub document: Option<Arc<Document>>,
}

impl Changed {
    /// How many bytes its document has.
    pub fn bytes(&self) -> usize {
        self.document.as_ref().map_or(0, |document| document.bytes())
    }
}

impl Sequence {
    /// A place by the name that its store gave it.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name that its store gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
