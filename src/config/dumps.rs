//! `import`, `export` and `databases`: whole databases, as dump files.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::StoreArgument;
use crate::document::{DbName, NotADbName};
use crate::kazoo::account::AccountId;

/// `import`
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// Dump files: {"db": …, "docs": […]}, attachments inline
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,
}

/// `export`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["databases", "all", "account"]))]
pub struct ExportArguments {
    /// The databases: each a name, such as accounts or account/aa/bb/cc… (or with %2F for the slashes), or an account's id
    #[arg(value_name = "DB", value_parser = database)]
    pub databases: Vec<DbName>,

    /// All databases
    #[arg(long)]
    pub all: bool,

    /// An account: its database, and its document in accounts
    #[arg(long, value_name = "ID")]
    pub account: Option<AccountId>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,
}

/// A database, by its name or its account's.
fn database(text: &str) -> Result<DbName, String> {
    if let Ok(account) = text.parse::<AccountId>() {
        return Ok(account.database());
    }
    let name = text.replace("%2F", "/").replace("%2f", "/");
    name.parse().map_err(|error: NotADbName| format!("{error}; or give an account's id (`databases` lists all)"))
}

/// `databases`
#[derive(Debug, Args)]
pub struct DatabasesArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,
}
