//! What a request comes to, if it is answered as it asked: handlers give it, and `response` frames it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;

use crate::budgets::{Budget, Budgets};
use crate::document::{Revision, json};
use crate::in_flight;
use crate::kazoo::kind::{GROUPS, Table};

use super::coding::{Blocks, Coding};
use super::error::Error;

/// What a request comes to.
#[derive(Debug)]
pub struct Answer {
    /// Whether something was created: 201 instead of 200.
    pub created: bool,
    /// What is shown.
    pub data: Data,
    /// Which revision of it.
    pub revision: Shown,
    /// Where in a list it is.
    pub page: Option<Paging>,
    /// Where what was created is found: the request's path and this id.
    pub created_id: Option<String>,
    /// The token that was made.
    pub token: Option<String>,
    /// How it is shown as CSV.
    pub table: &'static Table,
}

/// What an answer shows, as the JSON that is sent.
#[derive(Debug)]
pub enum Data {
    /// One thing.
    One(Box<RawValue>),
    /// A list.
    List(Arc<List>),
}

impl Default for Data {
    fn default() -> Self {
        Self::List(Arc::new(List::new(json::raw(&[(); 0]), 0)))
    }
}

impl Data {
    /// The JSON.
    pub fn json(&self) -> &RawValue {
        match self {
            Self::One(json) => json,
            Self::List(list) => &list.json,
        }
    }
}

/// A list as the JSON that is sent, which many answers may share.
pub struct List {
    /// The rows in the order in which they are shown.
    json: Box<RawValue>,
    /// How many there are.
    count: usize,
    /// The same, compressed once somebody took it so.
    compressed: [OnceLock<Option<Blocks>>; Coding::ALL.len()],
}

impl List {
    /// A list of so many rows.
    pub fn new(json: Box<RawValue>, count: usize) -> Self {
        Self { json, count, compressed: Default::default() }
    }

    /// Its JSON.
    pub fn json(&self) -> &RawValue {
        &self.json
    }

    /// How many rows it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Its JSON, compressed; None where that fails.
    pub fn compressed(&self, coding: Coding) -> Option<&Blocks> {
        self.compressed[coding as usize].get_or_init(|| coding.compress(self.json.get().as_bytes())).as_ref()
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("List").field(&self.count).finish()
    }
}

/// What an envelope's `revision` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    #[default]
    None,
    /// The document's revision.
    Revision(Revision),
    /// A digest of the data, so that it stays the same while they do.
    Digest(String),
    /// The word `automatic`: what Kazoo says where it makes no digest.
    Automatic,
}

/// An envelope's words about a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paging {
    /// How many rows there are.
    pub size: usize,
    /// Where the page started, encoded.
    pub start: Option<String>,
    /// Where the next page starts, encoded.
    pub next: Option<String>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            created: false,
            data: Data::default(),
            revision: Shown::default(),
            page: None,
            created_id: None,
            token: None,
            table: &GROUPS.table,
        }
    }
}

impl Answer {
    /// One document.
    pub fn document(data: Box<RawValue>, revision: Option<Revision>) -> Self {
        let revision = revision.map_or(Shown::None, Shown::Revision);
        Self { data: Data::One(data), revision, ..Self::default() }
    }
}

/// What an answer may hold while it is made: whoever makes it longer asks first.
#[derive(Debug)]
pub struct Allowance {
    held: usize,
    most: usize,
    most_in_flight: usize,
}

impl Allowance {
    /// As much as the budgets say that one answer may hold, and as all requests together leave.
    pub fn new(budgets: &Budgets) -> Self {
        Self { held: 0, most: budgets.max_answer, most_in_flight: budgets.max_in_flight }
    }

    /// Errors: [`Error::OverBudget`], where the answer would become too long by so many bytes.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        self.held = self.held.saturating_add(bytes);
        if self.held > self.most {
            return Err(Error::OverBudget(Budget::Answer, self.most));
        }
        match in_flight::take(self.held) {
            true => Ok(()),
            false => Err(Error::OverBudget(Budget::InFlight, self.most_in_flight)),
        }
    }
}
