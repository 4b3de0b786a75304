//! Whether the views of a database give the rows that their native twins of [`crate::kazoo::views`] give.
//!
//! Rows are compared by sums of their digests, in as many sums as [`BUCKETS`] says: what is held in memory does not
//! grow with a database. Only where a sum differs, the documents of its bucket are looked at one by one.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use futures::{TryStreamExt, pin_mut};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::databases::{Error, documents};
use crate::document::{DbName, json};
use crate::kazoo::views;
use crate::store::{self, Attachments, Query, Server, View};

/// How many sums of rows are kept for a view, by their documents' ids.
const BUCKETS: usize = 1_024;

/// How many buckets whose sums differ are looked at.
const SUSPECTS: usize = 8;

/// How many documents whose rows differ are named.
const EXAMPLES: usize = 5;

/// What a view gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// The rows that are needed.
    Same,
    /// Other rows, for these documents and perhaps for more.
    Different(Vec<String>),
    /// Nothing: there is no such view.
    Missing,
    /// Nothing: the store said why.
    Failed(String),
}

/// A view that the service reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViewRows {
    /// Its design document and its name.
    pub view: String,
    /// What it gives.
    pub rows: Rows,
}

/// Holds the rows of a database's views against those of their twins.
pub(super) async fn compare(store: &dyn Server, database: &DbName) -> Result<Vec<ViewRows>, Error> {
    let views: Vec<&View> = views::ours().filter(|view| (view.holds)(database)).collect();
    let mut ledgers: Vec<Ledger> = views.iter().map(|_| Ledger::new(&[])).collect();
    add_native(store, database, &views, &mut ledgers).await?;
    let mut compared = Vec::new();
    for (view, mut ledger) in views.into_iter().zip(ledgers) {
        let rows = match subtract_rows(store, database, view, &mut ledger).await {
            Ok(()) if ledger.is_even() => Rows::Same,
            Ok(()) => examine(store, database, view, &ledger.uneven()).await?,
            Err(store::Error::MissingView { .. }) => Rows::Missing,
            Err(store::Error::TimedOut(reason)) => {
                Rows::Failed(format!("{reason}; a view is built when it is first read: check again"))
            }
            Err(error @ (store::Error::Refused(_) | store::Error::Denied(_))) => Rows::Failed(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        compared.push(ViewRows { view: format!("{}/{}", view.design, view.name), rows });
    }
    Ok(compared)
}

/// Compares a view's rows once more: Kazoo may have written between the documents' reading and the rows'.
async fn examine(store: &dyn Server, database: &DbName, view: &View, suspects: &[usize]) -> Result<Rows, Error> {
    let mut ledgers = [Ledger::new(suspects)];
    add_native(store, database, &[view], &mut ledgers).await?;
    let [mut ledger] = ledgers;
    subtract_rows(store, database, view, &mut ledger).await?;
    Ok(if ledger.is_even() { Rows::Same } else { Rows::Different(ledger.examples()) })
}

async fn add_native(
    store: &dyn Server,
    database: &DbName,
    views: &[&View],
    ledgers: &mut [Ledger],
) -> Result<(), Error> {
    let documents = documents(store, database, Attachments::Named);
    pin_mut!(documents);
    while let Some(document) = documents.try_next().await? {
        let Some(id) = document.id().filter(|id| !id.starts_with('_')) else { continue };
        for (view, ledger) in views.iter().zip(ledgers.iter_mut()) {
            (view.map)(&document, &mut |key, value| ledger.count(&id, row_digest(key, value), u128::wrapping_add));
        }
    }
    Ok(())
}

async fn subtract_rows(
    store: &dyn Server,
    database: &DbName,
    view: &View,
    ledger: &mut Ledger,
) -> Result<(), store::Error> {
    let mut rows = store.rows(database, view, Query::all());
    while let Some(row) = rows.try_next().await? {
        ledger.count(&row.id, row_digest(&row.key, &row.value), u128::wrapping_sub);
    }
    Ok(())
}

/// A row's digest: the same for rows of the same value, in whatever order `features` names what is enabled.
fn row_digest(key: &str, value: &RawValue) -> u128 {
    let value = match json::tree(value) {
        Ok(mut value) => {
            if let Some(Value::Array(features)) = value.get_mut("features") {
                features.sort_by_key(json::canonical);
            }
            json::canonical(&value)
        }
        Err(_) => value.get().to_owned(),
    };
    start_of_digest(&format!("{} {value}", json::encode(key)))
}

fn start_of_digest(text: &str) -> u128 {
    digest(&SHA256, text.as_bytes()).as_ref().iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

/// The sums of rows' digests, one side added and the other taken away: all are zero where both have the same rows.
struct Ledger {
    sums: Vec<u128>,
    suspects: Vec<usize>,
    /// Of the suspects' documents, each by itself.
    exact: BTreeMap<String, u128>,
}

impl Ledger {
    fn new(suspects: &[usize]) -> Self {
        Self { sums: vec![0; BUCKETS], suspects: suspects.to_vec(), exact: BTreeMap::new() }
    }

    fn count(&mut self, id: &str, digest: u128, add: fn(u128, u128) -> u128) {
        let bucket = (start_of_digest(id) % BUCKETS as u128) as usize;
        self.sums[bucket] = add(self.sums[bucket], digest);
        if self.suspects.contains(&bucket) {
            let sum = self.exact.entry(id.to_owned()).or_default();
            *sum = add(*sum, digest);
            if *sum == 0 {
                self.exact.remove(id);
            }
        }
    }

    fn is_even(&self) -> bool {
        self.sums.iter().all(|sum| *sum == 0)
    }

    fn uneven(&self) -> Vec<usize> {
        let uneven = self.sums.iter().enumerate().filter(|(_, sum)| **sum != 0);
        uneven.map(|(bucket, _)| bucket).take(SUSPECTS).collect()
    }

    fn examples(self) -> Vec<String> {
        self.exact.into_keys().take(EXAMPLES).collect()
    }
}
