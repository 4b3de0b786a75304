//! `migrate`: databases carried from one store to another, any kind to any kind: documents with their revisions and
//! attachments, design documents too, but for ours, which a CouchDB gets where they are missing and an embedded store
//! does without.
//!
//! What is there already is not written again, so a migration that was stopped goes on when it is started again. At the
//! end both sides are read whole and compared, by how many documents they have and by a digest of all that they hold.
//! Numbers and texts count by their value: a CouchDB writes `1.10` as `1.1`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use futures::stream::{self, StreamExt, TryStreamExt};
use futures::{Stream, pin_mut};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::databases::{Error, documents, is_there, prepare};
use crate::document::{DbName, DocId, Document, hex};
use crate::kazoo::account::{ACCOUNTS, AccountId};
use crate::store::{self, Attachments, Server};

use super::{accounts, counted, views, write_lines};

/// How many databases are carried at a time: their documents come with their attachments.
const PARALLEL: usize = 4;

/// How many documents are written at a time.
const BATCH: usize = 200;

/// What is in a database: how many documents, and a digest of all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Content {
    /// How many documents.
    pub documents: u64,
    /// SHA-256 of them, in hex digits.
    pub digest: String,
}

/// A database that was carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// The database.
    pub database: DbName,
    /// How many documents were written; the others were there.
    pub written: u64,
    /// What is in the store that it was carried from.
    pub from: Option<Content>,
    /// What is in the store that it was carried to.
    pub to: Option<Content>,
    /// Why it was not carried.
    pub error: Option<String>,
}

impl Carried {
    /// Whether both stores have the same.
    pub fn is_same(&self) -> bool {
        self.error.is_none() && self.from.is_some() && self.from == self.to
    }
}

/// What was carried, by the databases' names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each database.
    pub databases: Vec<Carried>,
}

/// What of a database is carried.
#[derive(Clone)]
enum Part {
    Whole(DbName),
    One(DbName, DocId),
}

impl Part {
    fn database(&self) -> &DbName {
        match self {
            Self::Whole(database) | Self::One(database, _) => database,
        }
    }
}

/// Carries all databases of a store or, of one account, its database and its document in `accounts`.
///
/// Errors: a store fails, or there is nothing in `from`. What is wrong with one database is in the report.
pub async fn migrate(
    from: &dyn Server,
    to: &dyn Server,
    only: Option<AccountId>,
    progress: &ProgressBar,
) -> Result<Report, Error> {
    let parts = match only {
        Some(account) => {
            let copy = Part::One(DbName::fixed(ACCOUNTS), account.document_id());
            vec![Part::Whole(account.database()), copy]
        }
        None => databases(from).await?.into_iter().map(Part::Whole).collect(),
    };
    if parts.is_empty() {
        return Err(store::Error::Refused("there is no database to carry".to_owned()).into());
    }
    progress.set_length(parts.len() as u64);
    let carried = stream::iter(parts).map(|part| async move {
        let carried = carry(from, to, &part).await.unwrap_or_else(|error| Carried {
            database: part.database().clone(),
            written: 0,
            from: None,
            to: None,
            error: Some(error.to_string()),
        });
        progress.inc(1);
        carried
    });
    let mut databases: Vec<Carried> = carried.buffer_unordered(PARALLEL).collect().await;
    progress.finish_and_clear();
    databases.sort_by(|one, other| one.database.cmp(&other.database));
    Ok(Report { databases })
}

/// The databases of a store: those that it names and those of its accounts.
pub(super) async fn databases(store: &dyn Server) -> Result<BTreeSet<DbName>, Error> {
    let accounts = match accounts(store).await {
        Err(Error::NotThere(_)) => Vec::new(),
        accounts => accounts?,
    };
    // PouchDB's server names databases without their slashes
    let slashless = |account: &AccountId| account.database().as_str().replace('/', "");
    let slashless: HashSet<String> = accounts.iter().map(slashless).collect();
    let named = store.databases().await?.into_iter().filter(|name| !slashless.contains(name.as_str()));
    let mut databases: BTreeSet<DbName> = named.collect();
    for account in accounts.iter().map(AccountId::database) {
        // the account may be there without its database
        if !databases.contains(&account) && is_there(store, &account).await? {
            databases.insert(account);
        }
    }
    Ok(databases)
}

async fn carry(from: &dyn Server, to: &dyn Server, part: &Part) -> Result<Carried, Error> {
    let database = part.database();
    // a database that is not there is not made in the other store
    if !is_there(from, database).await? {
        return Err(Error::NotThere(database.clone()));
    }
    to.create(database).await?;
    let written = write_missing(from, to, part).await?;
    // last, since design documents may have come along
    prepare(to, database).await?;
    let from = content(from, part).await?;
    let to = content(to, part).await?;
    Ok(Carried { database: database.clone(), written, from: Some(from), to: Some(to), error: None })
}

/// Writes the documents that the other store has not, or not in this revision.
async fn write_missing(from: &dyn Server, to: &dyn Server, part: &Part) -> Result<u64, Error> {
    let there = revisions(to, part).await?;
    let missing = read(from, part).try_filter(|document| {
        let is_there = document.id().and_then(|id| there.get(&id)).is_some_and(|there| *there == revision(document));
        std::future::ready(!is_there)
    });
    let batches = missing.try_chunks(BATCH).map_err(|error| error.1);
    pin_mut!(batches);
    let mut written = 0;
    while let Some(batch) = batches.try_next().await? {
        written += batch.len() as u64;
        to.load(part.database(), batch).await?;
    }
    Ok(written)
}

fn revision(document: &Document) -> Option<String> {
    document.text("_rev")
}

async fn revisions(store: &dyn Server, part: &Part) -> Result<HashMap<String, Option<String>>, Error> {
    if let Part::One(database, id) = part {
        let there = store.get(database, id).await?;
        return Ok(there.iter().map(|document| (id.to_string(), revision(document))).collect());
    }
    let documents = documents(store, part.database(), Attachments::Named);
    documents.try_filter_map(async |document| Ok(document.id().map(|id| (id, revision(&document))))).try_collect().await
}

/// The documents of a part, with their attachments.
fn read<'a>(store: &'a dyn Server, part: &'a Part) -> impl Stream<Item = Result<Document, Error>> + 'a {
    match part {
        Part::Whole(database) => documents(store, database, Attachments::Inline)
            .try_filter(|document| std::future::ready(!views::is_ours(document)))
            .left_stream(),
        Part::One(database, id) => stream::once(store.get(database, id))
            .try_filter_map(async |found| Ok(found.map(Arc::unwrap_or_clone)))
            .map_err(Error::from)
            .right_stream(),
    }
}

async fn content(store: &dyn Server, part: &Part) -> Result<Content, Error> {
    let mut documents = 0;
    let mut context = Context::new(&SHA256);
    let all = read(store, part);
    pin_mut!(all);
    while let Some(document) = all.try_next().await? {
        documents += 1;
        context.update(document.canonical().as_bytes());
        context.update(b"\n");
    }
    Ok(Content { documents, digest: hex(context.finish().as_ref()) })
}

impl Report {
    /// Whether both stores have the same of every database.
    pub fn is_well(&self) -> bool {
        self.databases.iter().all(Carried::is_same)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<String> = self.databases.iter().filter(|carried| !carried.is_same()).map(problem).collect();
        write_lines(f, &problems)?;
        let documents: u64 = self.databases.iter().filter_map(|carried| Some(carried.to.as_ref()?.documents)).sum();
        let written: u64 = self.databases.iter().map(|carried| carried.written).sum();
        let databases = counted(self.databases.len(), "database");
        writeln!(f, "{databases}, {documents} documents, {written} of them written now")?;
        match problems.len() {
            0 => writeln!(f, "verified: both stores have the same, by count and digest"),
            different => writeln!(f, "not the same: {}; run it again", counted(different, "database")),
        }
    }
}

fn problem(carried: &Carried) -> String {
    match (&carried.error, &carried.from, &carried.to) {
        (Some(error), _, _) => format!("{}: {error}", carried.database),
        (None, Some(from), Some(to)) if from.documents != to.documents => {
            format!("{}: {} documents here, {} there", carried.database, from.documents, to.documents)
        }
        _ => format!(
            "{}: the digests differ: somebody wrote meanwhile, or the other store had its own",
            carried.database
        ),
    }
}
