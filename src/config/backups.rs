//! `backup` and `restore`: an embedded store, as one file.

use std::path::PathBuf;

use clap::Args;

use super::StoreArgument;

/// `backup`
#[derive(Debug, Args)]
pub struct BackupArguments {
    /// The file to write, for its owner alone
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Write it in the place of one that is there
    #[arg(long)]
    pub force: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,
}

/// `restore`
#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// The backup. The store's folder must be empty, or not there
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,
}
