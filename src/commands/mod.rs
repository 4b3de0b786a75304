//! The commands: each is given its arguments, prints what it found or did, and says how the process ends. The exit status
//! is 1 where a report says that something is not well.

mod backups;
mod dumps;
mod failure;
mod groups;
mod noticed;
mod operate;
mod output;
mod plan;
mod serve;

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crossbar_groups::config::Command;

pub use failure::{Failure, in_one_line};

/// Does what the command line asks for.
///
/// Errors: why it can't be done, in a line.
pub async fn run(command: Command) -> Result<ExitCode, Failure> {
    Ok(done(command).await?)
}

async fn done(command: Command) -> anyhow::Result<ExitCode> {
    // that a file may not grow is a fault like others, and not this process's end; once caught, the signal stays so
    drop(signal(SignalKind::from_raw(libc::SIGXFSZ)).context("can't catch SIGXFSZ")?);
    match command {
        Command::Serve(arguments) => serve::serve(*arguments).await,
        Command::Import(arguments) => dumps::import(arguments).await,
        Command::Export(arguments) => dumps::export(arguments).await,
        Command::Databases(arguments) => dumps::databases(arguments).await,
        Command::Backup(arguments) => backups::backup(arguments).await,
        Command::Restore(arguments) => backups::restore(arguments).await,
        Command::Groups(command) => return groups::groups(command).await,
        Command::Views(command) => return operate::views(command).await,
        Command::Doctor(arguments) => return operate::doctor(arguments).await,
        Command::Audit(arguments) => return operate::audit(*arguments).await,
        Command::Migrate(arguments) => return operate::migrate(arguments).await,
    }
    .map(|()| ExitCode::SUCCESS)
}
