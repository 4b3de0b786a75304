//! `import`, `export` and `databases`: dump files, into a store and out of one, and what there is to be exported.

use std::io;

use futures::stream::{self, StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crossbar_groups::config::{DatabasesArguments, ExportArguments, ImportArguments};
use crossbar_groups::databases::{self, is_there};
use crossbar_groups::document::DbName;
use crossbar_groups::dump::{self, Dump, Imported};
use crossbar_groups::kazoo::account::{ACCOUNTS, AccountId};
use crossbar_groups::open_or_make_store;
use crossbar_groups::operate::databases::list;
use crossbar_groups::store::embedded::Embedded;
use crossbar_groups::store::{Loaded, Server};

use super::opened::opened;
use super::output::{print, print_json, print_report, written};

/// Files of fewer documents are loaded before anyone would look at a bar.
const MANY_DOCUMENTS: u64 = 1_000;

/// How many files are loaded at a time: a CouchDB that makes databases mostly waits for its disk.
const AT_ONCE: usize = 16;

/// What `import` tells scripts.
#[derive(Serialize)]
struct Report {
    databases: Vec<Imported>,
    #[serde(flatten)]
    documents: Loaded,
}

/// Loads dump files into a store. All are looked at before any of them is written.
pub async fn import(arguments: ImportArguments) -> anyhow::Result<()> {
    let dumps: Vec<Dump> = arguments.files.iter().map(|file| Dump::check(file)).collect::<Result<_, _>>()?;
    let (location, options) = (arguments.store.location()?, arguments.store.options()?);
    let store = open_or_make_store(&location, &options, Embedded::MEMORY).await?;
    let documents: u64 = dumps.iter().map(Dump::documents).sum();
    let is_told = documents >= MANY_DOCUMENTS && !arguments.json;
    let bar = if is_told { ProgressBar::new(documents) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} documents, {eta} left") {
        bar.set_style(style);
    }
    let imports = stream::iter(dumps.iter().map(|dump| dump.import(store.as_ref(), |written| bar.inc(written))));
    let databases: Vec<Vec<Imported>> = imports.buffered(AT_ONCE).try_collect().await?;
    bar.finish_and_clear();
    let mut report = Report { databases: databases.concat(), documents: Loaded::default() };
    for Imported { documents, .. } in &report.databases {
        report.documents += *documents;
    }
    if arguments.json {
        return print_json(&report);
    }
    let Loaded { new, changed, unchanged } = report.documents;
    let databases = report.databases.len();
    print(&format!(
        "{documents} documents of {databases} databases: {new} new, {changed} changed, {unchanged} unchanged\n"
    ))
}

/// Writes databases of a store to standard output, one dump after the other.
pub async fn export(arguments: ExportArguments) -> anyhow::Result<()> {
    let store = opened(&arguments.store).await?;
    let store = store.as_ref();
    let databases: Vec<DbName> = match (arguments.account, arguments.all) {
        (Some(account), _) => vec![account.database()],
        (None, true) => list(store).await?.databases.into_iter().map(|listed| listed.database).collect(),
        (None, false) => arguments.databases,
    };
    // nothing is written where one of them is not there
    for database in &databases {
        if !is_there(store, database).await? {
            return Err(databases::Error::NotThere(database.clone()).into());
        }
    }
    match dumped(store, &databases, arguments.account).await {
        Err(dump::Error::Output(error)) => Ok(written(Err(error)).map_err(dump::Error::Output)?),
        dumped => Ok(dumped?),
    }
}

/// Databases, and an account's document of `accounts`.
async fn dumped(store: &dyn Server, databases: &[DbName], account: Option<AccountId>) -> Result<(), dump::Error> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    for database in databases {
        dump::export(store, database, &mut output).await?;
    }
    match account {
        Some(account) => dump::export_one(store, &DbName::fixed(ACCOUNTS), &account.document_id(), &mut output).await,
        None => Ok(()),
    }
}

/// Lists the databases of a store.
pub async fn databases(arguments: DatabasesArguments) -> anyhow::Result<()> {
    let store = opened(&arguments.store).await?;
    let report = list(store.as_ref()).await?;
    if report.databases.is_empty() {
        log::warn!("the store holds no database");
    }
    print_report(&report, arguments.json)
}
