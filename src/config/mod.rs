//! The command line: every flag, its environment variable and its default. Each command's flags are in a file of its own, or
//! in that of the commands which it is like; those of [`Budgets`](crate::budgets::Budgets), [`Caching`](crate::caching::Caching),
//! [`RelayArguments`](crate::relay::RelayArguments) and [`ShadowArguments`](crate::shadow::ShadowArguments) stand beside what they set.

mod backups;
mod dumps;
mod file;
mod groups;
mod layers;
mod notices;
mod operate;
mod plan;
mod secret;
mod serve;
mod shadow;
mod store;
mod tls;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use url::Url;

pub use backups::{BackupArguments, RestoreArguments};
pub use dumps::{DatabasesArguments, ExportArguments, ImportArguments};
pub use groups::{DeletedArguments, GroupsCommand, RestoreGroupsArguments, RingsArguments, UsedByArguments};
pub use notices::NoticeArguments;
pub use operate::{AuditArguments, InstallArguments, MigrateArguments, ScopeArguments, ViewsCommand};
pub use plan::{ApplyArguments, ExportPlanArguments, PlanArguments};
pub use serve::ServeArguments;
pub use shadow::{ReportArguments, ShadowCommand};
pub use store::{NoStore, StoreArgument, StoreLocation};
pub use tls::{TlsArguments, TrustArgument};

pub(crate) use values::{at_least_one, seconds};

/// Kazoo 4.3's crossbar for groups: the same REST API, on a CouchDB or on an embedded store.
#[derive(Debug, Parser)]
#[command(name = "crossbar-groups", version = crate::VERSION, about, max_term_width = 100)]
pub struct CommandLine {
    /// A TOML file of settings, whose keys are the flags of `serve`. A flag, or its variable, goes before it. For the other
    /// commands it sets the flags that they share with `serve`
    #[arg(long, env = "CROSSBAR_CONFIG", global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer HTTP requests
    Serve(Box<ServeArguments>),
    /// Load dump files into a store: databases, documents with their revisions, attachments, missing views
    Import(ImportArguments),
    /// Write databases of a store to standard output, as a dump file
    Export(ExportArguments),
    /// List the databases of a store, and whose they are
    Databases(DatabasesArguments),
    /// Write all that an embedded store holds at one moment to a file, also while the service runs
    Backup(BackupArguments),
    /// Make an embedded store from a backup
    Restore(RestoreArguments),
    /// Compare the views that the service reads with those that it needs, and add missing ones
    #[command(subcommand)]
    Views(ViewsCommand),
    /// Look at all that the service needs of a store, and say what to do about what is wrong; exit status 1 if anything
    Doctor(ScopeArguments),
    /// Find what Kazoo leaves behind, and what rings otherwise than it seems: dangling endpoints, circles, weights, skipped
    /// groups, conflicts; exit status 1 if any
    Audit(Box<AuditArguments>),
    /// Tell whom a group rings and what uses it, make groups what a file says, and bring deleted ones back
    #[command(subcommand)]
    Groups(GroupsCommand),
    /// Print the API as an OpenAPI 3.1 document
    Openapi(OpenapiArguments),
    /// Tell how our answers compare with those of the crossbar behind (--upstream)
    #[command(subcommand)]
    Shadow(ShadowCommand),
    /// Carry documents, revisions and attachments from one store to another; may be stopped and started again
    Migrate(MigrateArguments),
    /// Ask a service whether it is ready; exit status 1 if it is not
    Health(HealthArguments),
    /// Print a script that has a shell complete this command line
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write man pages
    #[command(hide = true)]
    Man {
        /// The folder that they are written into
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Print this: what `serve --print-config` was asked for
    #[command(skip)]
    Print(String),
}

/// `health`
#[derive(Debug, Args)]
pub struct HealthArguments {
    /// Where the service answers (default: where `serve` would, by the same environment and configuration file)
    #[arg(value_name = "URL")]
    pub url: Option<Url>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub trust: TrustArgument,
}

/// `openapi`
#[derive(Debug, Args)]
pub struct OpenapiArguments {
    /// Print it as a Postman collection
    #[arg(long)]
    pub postman: bool,

    /// Where the service of the collection answers
    #[arg(long, default_value = "http://127.0.0.1:8000", value_name = "URL", requires = "postman")]
    pub address: String,
}
