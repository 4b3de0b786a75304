//! `backup` and `restore`: an embedded store, into one file and out of it.

use anyhow::bail;

use crossbar_groups::backup;
use crossbar_groups::config::{BackupArguments, RestoreArguments, StoreLocation};
use crossbar_groups::world::World;

use super::output::print;

/// Writes a backup of a store to a file.
pub async fn backup(arguments: BackupArguments) -> anyhow::Result<()> {
    let BackupArguments { store, file, force } = arguments;
    let summary =
        backup::back_up((&store.location()?, &store.trusted()?), &file, force, World::real().iso8601()).await?;
    print(&format!("{}: {summary}\n", file.display()))
}

/// Makes a store of a backup.
pub async fn restore(arguments: RestoreArguments) -> anyhow::Result<()> {
    let StoreLocation::Folder(folder) = arguments.store.location()? else {
        bail!("a CouchDB can't be restored to: restore to a folder, and carry that to the CouchDB by `migrate`");
    };
    let summary = backup::restore(&folder, &arguments.file).await?;
    print(&format!("{}: {summary}\n", folder.display()))
}
