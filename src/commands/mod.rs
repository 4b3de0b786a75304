//! The commands: each is given its arguments, prints what it found or did, and says how the process ends. The exit status
//! is 1 where a report says that something is not well.

mod backups;
mod dumps;
mod failure;
mod groups;
mod health;
mod noticed;
mod openapi;
mod opened;
mod operate;
mod output;
mod plan;
mod serve;
mod shadow;
mod shell;

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crossbar_groups::config::{Command, CommandLine};

pub use failure::{Failure, in_one_line};

/// Does what the command line asks for.
///
/// Errors: why it can't be done, in a line.
pub async fn run(arguments: CommandLine) -> Result<ExitCode, Failure> {
    Ok(done(arguments).await?)
}

async fn done(arguments: CommandLine) -> anyhow::Result<ExitCode> {
    // that a file may not grow is a fault like others, and not this process's end; once caught, the signal stays so
    drop(signal(SignalKind::from_raw(libc::SIGXFSZ)).context("can't catch SIGXFSZ")?);
    match arguments.command {
        Command::Serve(arguments) => serve::serve(*arguments).await,
        Command::Import(arguments) => dumps::import(arguments).await,
        Command::Export(arguments) => dumps::export(arguments).await,
        Command::Databases(arguments) => dumps::databases(arguments).await,
        Command::Backup(arguments) => backups::backup(arguments).await,
        Command::Restore(arguments) => backups::restore(arguments).await,
        Command::Groups(command) => return groups::groups(command).await,
        Command::Openapi(arguments) => openapi::openapi(&arguments),
        Command::Shadow(command) => return shadow::shadow(command).await,
        Command::Views(command) => return operate::views(command).await,
        Command::Doctor(arguments) => return operate::doctor(arguments).await,
        Command::Audit(arguments) => return operate::audit(*arguments).await,
        Command::Health(asked) => health::health(asked, arguments.config).await,
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { folder } => shell::man(&folder),
        Command::Print(text) => output::print(&text),
        Command::Migrate(arguments) => return operate::migrate(arguments).await,
    }
    .map(|()| ExitCode::SUCCESS)
}
