//! `backup` and `restore`: an embedded store, into one file and out of it.

use std::path::Path;

use crossbar_groups::backup::{self, Summary};
use crossbar_groups::config::{BackupArguments, RestoreArguments, StoreLocation};
use crossbar_groups::world::World;

use super::failure::WrongCommandLine;
use super::output::{print, print_json};

/// Writes a backup of a store to a file.
pub async fn backup(arguments: BackupArguments) -> anyhow::Result<()> {
    let BackupArguments { store, file, force, json } = arguments;
    let summary =
        backup::back_up((&store.location()?, &store.options()?), &file, force, World::real().iso8601()).await?;
    tell(&file, &summary, json)
}

/// Makes a store of a backup.
pub async fn restore(arguments: RestoreArguments) -> anyhow::Result<()> {
    let StoreLocation::Folder(folder) = arguments.store.location()? else {
        let why = "a CouchDB can't be restored to: restore to a folder, and carry that to the CouchDB by `migrate`";
        return Err(WrongCommandLine(why).into());
    };
    let summary = backup::restore(&folder, &arguments.file).await?;
    tell(&folder, &summary, arguments.json)
}

/// Tells what a file or a folder holds now.
fn tell(place: &Path, summary: &Summary, json: bool) -> anyhow::Result<()> {
    if json { print_json(summary) } else { print(&format!("{}: {summary}\n", place.display())) }
}
