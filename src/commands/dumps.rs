//! `import` and `export`: dump files, into a store and out of one.

use std::io;

use futures::stream::{self, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};

use crossbar_groups::config::{ExportArguments, ImportArguments};
use crossbar_groups::dump::{self, Dump};
use crossbar_groups::open_store;

use super::output::print;

/// Files of fewer documents are loaded before anyone would look at a bar.
const MANY_DOCUMENTS: u64 = 1_000;

/// How many files are loaded at a time: a CouchDB that makes databases mostly waits for its disk.
const AT_ONCE: usize = 16;

/// Loads dump files into a store. All are looked at before any of them is written.
pub async fn import(arguments: ImportArguments) -> anyhow::Result<()> {
    let dumps: Vec<Dump> = arguments.files.iter().map(|file| Dump::check(file)).collect::<Result<_, _>>()?;
    let store = open_store(&arguments.store.location()?, &arguments.store.options()?).await?;
    let documents: u64 = dumps.iter().map(Dump::documents).sum();
    let bar = if documents < MANY_DOCUMENTS { ProgressBar::hidden() } else { ProgressBar::new(documents) };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} documents, {eta} left") {
        bar.set_style(style);
    }
    let imports = dumps.iter().map(|dump| Ok(dump.import(store.as_ref(), |written| bar.inc(written))));
    stream::iter(imports).try_for_each_concurrent(AT_ONCE, |import| import).await?;
    bar.finish_and_clear();
    print(&format!("{documents} documents of {} databases imported\n", dumps.len()))
}

/// Writes a database of a store to standard output.
pub async fn export(arguments: ExportArguments) -> anyhow::Result<()> {
    let store = open_store(&arguments.store.location()?, &arguments.store.options()?).await?;
    let mut output = io::BufWriter::new(io::stdout().lock());
    Ok(dump::export(store.as_ref(), &arguments.database, &mut output).await?)
}
