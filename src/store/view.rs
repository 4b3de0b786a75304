//! Views, as a database is asked for them: a view of CouchDB's is a design document and a map function in JavaScript; here it
//! has a native twin too.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::document::{DbName, Document};

/// What a map function gives a row to: its key and its value, which many rows may share. The keys of our views are texts.
pub type Emit<'a> = dyn FnMut(&str, &Arc<RawValue>) + 'a;

/// A view: its name in CouchDB, and the native twin of its map function.
#[derive(Clone, Copy)]
pub struct View {
    /// The design document that holds it, without `_design/`.
    pub design: &'static str,
    /// Its name in the design document.
    pub name: &'static str,
    /// To be raised when the twin gives other rows than before: those that a file holds are made anew then.
    pub version: u32,
    /// Whether a database has it.
    pub holds: fn(&DbName) -> bool,
    /// Whether its rows are kept in memory while somebody asks for them: those of lists.
    pub is_kept: bool,
    /// The twin: gives the rows of a document.
    pub map: fn(&Document, &mut Emit<'_>),
}

/// A view of Kazoo's own, by which documents are found. Its keys are lists: of a text, and of a word that is always the
/// same where we look.
#[derive(Clone, Copy)]
pub struct Lookup {
    /// The view. The twin gives the text alone.
    pub view: View,
    /// The word.
    pub word: &'static str,
}

/// A design document of this crate, for databases in which it is missing.
#[derive(Debug, Clone, Copy)]
pub struct DesignDocument {
    /// Its name, without `_design/`.
    pub name: &'static str,
    /// Whether a database should have it.
    pub holds: fn(&DbName) -> bool,
    /// The document.
    pub json: &'static str,
}

/// What the ids of design documents begin with.
pub const DESIGN: &str = "_design/";
