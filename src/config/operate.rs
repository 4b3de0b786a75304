//! What operators look at a store with, and mend it: `views`, `doctor`, `audit` and `migrate`.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::secret::Secret;
use super::{NoticeArguments, StoreArgument, StoreLocation, TrustArgument};
use crate::kazoo::account::AccountId;
use crate::kazoo::views::DESIGN_DOCUMENTS;

/// What the operators' commands look at, and how they tell it.
#[derive(Debug, Args)]
pub struct ScopeArguments {
    /// Only this account's database (default: those of all accounts, and accounts itself)
    #[arg(long, value_name = "ID")]
    pub account: Option<AccountId>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,
}

/// `views`
#[derive(Debug, Subcommand)]
pub enum ViewsCommand {
    /// Tell which design documents are there, whose they are, and whether they give the rows that are needed; exit
    /// status 1 if not. Writes nothing
    Check(ScopeArguments),
    /// Add the design documents that are missing. CouchDB makes a view's rows when it is first read, as `check` does
    Install(InstallArguments),
}

/// `views install`
#[derive(Debug, Args)]
pub struct InstallArguments {
    /// Put ours in the place of a design document of this name, whosever it is. May be given more than once
    #[arg(long, value_name = "NAME", value_parser = design_document())]
    pub replace: Vec<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArguments,
}

fn design_document() -> PossibleValuesParser {
    DESIGN_DOCUMENTS.iter().map(|design| design.name).into()
}

/// `audit`
#[derive(Debug, Args)]
pub struct AuditArguments {
    /// Mend what needs no guess: members that name nothing, types that a document tells; after asking
    #[arg(long)]
    pub fix: bool,

    /// Mend it without asking
    #[arg(long, requires = "fix")]
    pub yes: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArguments,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub notices: NoticeArguments,
}

/// `migrate`
#[derive(Debug, Args)]
pub struct MigrateArguments {
    /// The store to read: a CouchDB's URL, or a folder
    #[arg(value_name = "FROM", value_parser = Secret::<StoreLocation>::new())]
    pub from: StoreLocation,

    /// The store to write: a CouchDB's URL, or a folder
    #[arg(value_name = "TO", value_parser = Secret::<StoreLocation>::new())]
    pub to: StoreLocation,

    /// Only this account: its database, and its document in accounts
    #[arg(long, value_name = "ID")]
    pub account: Option<AccountId>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub trust: TrustArgument,
}
