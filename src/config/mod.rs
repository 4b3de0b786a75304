//! The command line: every flag, its environment variable and its default, in one place.

mod file;
mod groups;
mod layers;
mod plan;
mod secret;
mod shadow;
mod store;
mod tls;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;
use url::Url;

use crate::api::RateLimit;
use crate::budgets::Budgets;
use crate::caching::Caching;
use crate::document::{DbName, NotADbName};
use crate::files::{self, BadFile};
use crate::kazoo::account::AccountId;
use crate::kazoo::views::DESIGN_DOCUMENTS;
use crate::logging::LogFormat;
use crate::notices::{Broker, Settings};
use crate::relay::RelayArguments;
use crate::shadow::ShadowArguments;
use crate::tls::Authorities;

pub use groups::{DeletedArguments, GroupsCommand, RestoreGroupsArguments, RingsArguments, UsedByArguments};
pub use plan::{ApplyArguments, ExportPlanArguments, PlanArguments};
pub use shadow::{ReportArguments, ShadowCommand};
pub use store::{NoStore, StoreArgument, StoreLocation};
pub use tls::{TlsArguments, TrustArgument};

use secret::Secret;

/// The name of the credential that names a broker.
const AMQP_CREDENTIAL: &str = "amqp";

/// Kazoo 4.3's crossbar for groups: the same REST API, on a CouchDB or on an embedded store.
#[derive(Debug, Parser)]
#[command(name = "crossbar-groups", version = crate::VERSION, about, max_term_width = 100)]
pub struct CommandLine {
    /// A TOML file of settings, whose keys are the flags of `serve`; a flag or its variable goes before it. Of the other
    /// commands it sets what they have in common with `serve`
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
    /// Make an embedded store of a backup
    Restore(RestoreArguments),
    /// Compare the views that the service reads with those that it needs, and add missing ones
    #[command(subcommand)]
    Views(ViewsCommand),
    /// Look at all that the service needs of a store, and say what to do about what is wrong; exit status 1 if anything
    Doctor(ScopeArguments),
    /// Find what Kazoo leaves behind, and what rings otherwise than it seems: dangling endpoints, circles, weights, skipped
    /// groups, conflicts; exit status 1 if any
    Audit(Box<AuditArguments>),
    /// Tell what hangs on accounts' groups, make groups what a file says, and bring back what was deleted
    #[command(subcommand)]
    Groups(GroupsCommand),
    /// Print what the API is, as an OpenAPI 3.1 document
    Openapi(OpenapiArguments),
    /// Tell how our answers compare with those of a crossbar
    #[command(subcommand)]
    Shadow(ShadowCommand),
    /// Carry documents, revisions and attachments from one store to another; may be stopped and started again
    Migrate(MigrateArguments),
    /// Ask a service whether it is ready; exit status 1 if it is not
    Health(HealthArguments),
    /// Print what completes this command line in a shell
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
    /// Where it answers (default: where `serve` would, by the same environment and configuration file)
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

/// `views`
#[derive(Debug, Subcommand)]
pub enum ViewsCommand {
    /// Tell which design documents are there, whose they are, and whether they give the rows that are needed; exit
    /// status 1 if not. Writes nothing
    Check(ScopeArguments),
    /// Add the design documents that are missing. CouchDB makes a view's rows when it is first read, as `check` does
    Install(InstallArguments),
}

/// What the operators' commands look at, and how they tell it.
#[derive(Debug, Args)]
pub struct ScopeArguments {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    /// Only this account's database (default: those of all accounts, and accounts itself)
    #[arg(long, value_name = "ID")]
    pub account: Option<AccountId>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `views install`
#[derive(Debug, Args)]
pub struct InstallArguments {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArguments,

    /// Put ours in the place of a design document of this name, whosever it is. May be given more than once
    #[arg(long, value_name = "NAME", value_parser = design_document())]
    pub replace: Vec<String>,
}

/// `audit`
#[derive(Debug, Args)]
pub struct AuditArguments {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArguments,

    /// Mend what needs no guess: members that name nothing, types that a document tells; after asking
    #[arg(long)]
    pub fix: bool,

    /// Mend it without asking
    #[arg(long, requires = "fix")]
    pub yes: bool,

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

/// `serve`
#[derive(Debug, Clone, Args)]
pub struct ServeArguments {
    /// The address to listen on, or a name that has one
    #[arg(long, env = "CROSSBAR_LISTEN", default_value = "127.0.0.1:8000", value_parser = address, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub tls: TlsArguments,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    /// Serve made-up accounts from a temporary store, and print what to try
    #[arg(long, env = "CROSSBAR_DEMO", conflicts_with_all = ["store", "store_file"])]
    pub demo: bool,

    /// Leave out the page at /docs, and /openapi.json
    #[arg(long, env = "CROSSBAR_NO_DOCS")]
    pub no_docs: bool,

    /// What is limited: nothing, sign-ins, or every request as Kazoo does. A client address has 100 tokens for each
    /// account and gets 10 a second; a request costs 1, and so does a sign-in. Who fails to sign in waits, unless
    /// nothing is limited
    #[arg(long, env = "CROSSBAR_RATE_LIMIT", default_value = "sign-in", value_name = "WHAT")]
    pub rate_limit: RateLimit,

    /// A proxy's address; from it, and from no other, a client's address is taken from X-Forwarded-For. May be given
    /// more than once, or as a list with commas
    #[arg(long, env = "CROSSBAR_TRUSTED_PROXY", value_delimiter = ',', value_name = "ADDRESS")]
    pub trusted_proxy: Vec<IpAddr>,

    /// For how many seconds keys, secrets and account documents are remembered; a change of them takes effect after
    #[arg(long, env = "CROSSBAR_AUTH_CACHE", default_value = "3", value_parser = seconds, value_name = "SECONDS")]
    pub auth_cache: Duration,

    /// For how many seconds a connection on which nothing is asked is kept open
    #[arg(long, env = "CROSSBAR_KEEP_ALIVE", default_value = "75", value_parser = seconds, value_name = "SECONDS")]
    pub keep_alive: Duration,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub notices: NoticeArguments,

    /// The address at which /healthz, /readyz and /metrics are (default: that of --listen)
    #[arg(long, env = "CROSSBAR_ADMIN_LISTEN", value_parser = address, value_name = "ADDRESS:PORT")]
    pub admin_listen: Option<SocketAddr>,

    /// The form of the log
    #[arg(long, env = "CROSSBAR_LOG_FORMAT", default_value = "text", value_name = "FORM")]
    pub log_format: LogFormat,

    /// How many threads serve requests (default: one for each processor)
    #[arg(long, env = "CROSSBAR_WORKERS", value_parser = clap::value_parser!(u16).range(1..), value_name = "NUMBER")]
    pub workers: Option<u16>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub caching: Caching,

    /// Print what holds, as a configuration file, and where each of it comes from; passwords are left out
    #[arg(long)]
    pub print_config: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub relay: RelayArguments,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub shadow: ShadowArguments,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub budgets: Budgets,
}

/// `--amqp` or `--amqp-file`
#[derive(Debug, Clone, Args)]
pub struct NoticeArguments {
    /// Tell Kazoo's nodes of each document written, over this broker: amqp://user:password@host:port/vhost, or amqps://
    /// (default: the one that systemd's credential `amqp` names, if there is one)
    #[arg(long, env = "CROSSBAR_AMQP", value_name = "URL", value_parser = Secret::<Broker>::new(), hide_env_values = true)]
    pub amqp: Option<Broker>,

    /// The file that holds the broker's URL, so that its password stands in no process list and no environment
    #[arg(long, env = "CROSSBAR_AMQP_FILE", value_name = "FILE", conflicts_with = "amqp")]
    pub amqp_file: Option<PathBuf>,

    /// How many change notices may wait for a broker that is away; further ones are dropped
    #[arg(long, env = "CROSSBAR_AMQP_QUEUE", default_value = "10000", value_parser = at_least_one(), value_name = "NUMBER")]
    pub amqp_queue: usize,

    /// For how many milliseconds a write waits at the most until the broker has its notice; not while it is away
    #[arg(long, env = "CROSSBAR_AMQP_WAIT", default_value = "20", value_parser = milliseconds, value_name = "MILLISECONDS")]
    pub amqp_wait: Duration,
}

impl NoticeArguments {
    /// Where notices go; None if they are not wanted. The broker is believed by the authorities that are trusted.
    ///
    /// Errors: a file does not hold a broker's URL.
    pub fn settings(&self, trusted: Authorities) -> Result<Option<Settings>, BadFile> {
        let broker = match (&self.amqp, self.amqp_file.clone().or_else(|| files::credential(AMQP_CREDENTIAL))) {
            (Some(broker), _) => broker.clone(),
            (None, Some(file)) => secret::read(&file, str::parse)?,
            (None, None) => return Ok(None),
        };
        let broker = broker.trusting(trusted);
        Ok(Some(Settings { broker, capacity: self.amqp_queue, wait: self.amqp_wait }))
    }
}

/// `import`
#[derive(Debug, Args)]
pub struct ImportArguments {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    /// Dump files: {"db": …, "docs": […]}, attachments inline
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `export`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["databases", "all", "account"]))]
pub struct ExportArguments {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    /// The databases: each a name, such as accounts or account/aa/bb/cc… (or with %2F for the slashes), or an account's id
    #[arg(value_name = "DB", value_parser = database)]
    pub databases: Vec<DbName>,

    /// All databases
    #[arg(long)]
    pub all: bool,

    /// An account: its database, and its document in accounts
    #[arg(long, value_name = "ID")]
    pub account: Option<AccountId>,
}

/// `databases`
#[derive(Debug, Args)]
pub struct DatabasesArguments {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `backup`
#[derive(Debug, Args)]
pub struct BackupArguments {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    /// The file to write, for its owner alone
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Write it in the place of one that is there
    #[arg(long)]
    pub force: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `restore`
#[derive(Debug, Args)]
pub struct RestoreArguments {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    /// The backup. The store's folder must be empty, or not there
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A database, by its name or its account's.
fn database(text: &str) -> Result<DbName, String> {
    if let Ok(account) = text.parse::<AccountId>() {
        return Ok(account.database());
    }
    let name = text.replace("%2F", "/").replace("%2f", "/");
    name.parse().map_err(|error: NotADbName| format!("{error}; or give an account's id (`databases` lists all)"))
}

/// An address to listen on, whose host may be a name: the first address that it has.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let is_pair = !host.is_empty() && port.parse::<u16>().is_ok();
    if !is_pair {
        return Err("give ADDRESS:PORT, as 127.0.0.1:8000, [::1]:8000, 0.0.0.0:8000 or localhost:8000".to_owned());
    }
    let found = text.to_socket_addrs().map_err(|_| format!("this machine knows no {host}: give its address"))?;
    found.into_iter().next().ok_or_else(|| format!("{host} has no address"))
}

fn design_document() -> PossibleValuesParser {
    DESIGN_DOCUMENTS.iter().map(|design| design.name).into()
}

/// The longest that anything may be set to last.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    duration(text, "seconds", 1.0)
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    duration(text, "milliseconds", 1_000.0)
}

fn duration(text: &str, unit: &str, in_a_second: f64) -> Result<Duration, String> {
    let most = A_DAY.as_secs_f64() * in_a_second;
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=most).contains(number));
    let number = number.ok_or_else(|| format!("give a number of {unit}, at most {most}: a day"))?;
    Ok(Duration::from_secs_f64(number / in_a_second))
}

pub(crate) fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}
