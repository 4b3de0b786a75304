//! The command line: every flag, its environment variable and its default, in one place.

use std::ffi::OsStr;
use std::fmt::Display;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Args, Parser, Subcommand};

use crate::api::RateLimit;
use crate::budgets::Budgets;
use crate::document::DbName;
use crate::kazoo::account::AccountId;
use crate::kazoo::views::DESIGN_DOCUMENTS;
use crate::logging::LogFormat;
use crate::notices::{Broker, Settings};

/// Kazoo 4.3's crossbar for groups: the same REST API, on a CouchDB or on an embedded store.
#[derive(Debug, Parser)]
#[command(name = "crossbar-groups", version, about, max_term_width = 100)]
pub struct CommandLine {
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
    /// Write a database of a store to standard output, as a dump file
    Export(ExportArguments),
    /// Compare the views that the service reads with those that it needs, and add missing ones
    #[command(subcommand)]
    Views(ViewsCommand),
    /// Look at all that the service needs of a store, and say what to do about what is wrong; exit status 1 if anything
    Doctor(ScopeArguments),
    /// Find what Kazoo leaves behind: dangling endpoints, skipped groups, wrong accounts, conflicts; exit status 1 if any
    Audit(AuditArguments),
    /// Carry documents, revisions and attachments from one store to another; may be stopped and started again
    Migrate(MigrateArguments),
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

    /// Remove dangling endpoints, after asking
    #[arg(long)]
    pub fix: bool,

    /// Remove them without asking
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
}

/// `serve`
#[derive(Debug, Clone, Args)]
pub struct ServeArguments {
    /// The address to listen on
    #[arg(long, env = "CROSSBAR_LISTEN", default_value = "127.0.0.1:8000", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    /// Serve made-up accounts from a temporary store, and print what to try
    #[arg(long, env = "CROSSBAR_DEMO", conflicts_with = "store")]
    pub demo: bool,

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
    #[arg(long, env = "CROSSBAR_ADMIN_LISTEN", value_name = "ADDRESS:PORT")]
    pub admin_listen: Option<SocketAddr>,

    /// The form of the log
    #[arg(long, env = "CROSSBAR_LOG_FORMAT", default_value = "text", value_name = "FORM")]
    pub log_format: LogFormat,

    /// How many threads serve requests (default: one for each processor)
    #[arg(long, env = "CROSSBAR_WORKERS", value_parser = clap::value_parser!(u16).range(1..), value_name = "NUMBER")]
    pub workers: Option<u16>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub budgets: Budgets,
}

/// `--amqp`
#[derive(Debug, Clone, Args)]
pub struct NoticeArguments {
    /// Tell Kazoo's nodes of each document written, over this broker: amqp://user:password@host:port/vhost
    #[arg(long, env = "CROSSBAR_AMQP", value_name = "URL", value_parser = Secret::<Broker>::new(), hide_env_values = true)]
    pub amqp: Option<Broker>,

    /// How many change notices may wait for a broker that is away; further ones are dropped
    #[arg(long, env = "CROSSBAR_AMQP_QUEUE", default_value = "10000", value_parser = at_least_one(), value_name = "NUMBER")]
    pub amqp_queue: usize,

    /// For how many milliseconds a write waits at the most until the broker has its notice; not while it is away
    #[arg(long, env = "CROSSBAR_AMQP_WAIT", default_value = "20", value_parser = milliseconds, value_name = "MILLISECONDS")]
    pub amqp_wait: Duration,
}

impl NoticeArguments {
    /// Where notices go; None if they are not wanted.
    pub fn settings(&self) -> Option<Settings> {
        Some(Settings { broker: self.amqp.clone()?, capacity: self.amqp_queue, wait: self.amqp_wait })
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
}

/// `export`
#[derive(Debug, Args)]
pub struct ExportArguments {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    /// The database's name, such as accounts or account/aa/bb/cc…
    #[arg(value_name = "DB")]
    pub database: DbName,
}

/// `--store`
#[derive(Debug, Clone, Args)]
pub struct StoreArgument {
    /// A CouchDB's URL (http://user:password@host:5984), or a folder for the embedded store. Of a cluster, several
    /// URLs, as a list with commas or one by one; the first that answers is asked
    #[arg(long, env = "CROSSBAR_STORE", default_value = "data", value_name = "URL|FOLDER",
        value_parser = Secret::<StoreLocation>::new(), hide_env_values = true)]
    store: Vec<StoreLocation>,
}

impl StoreArgument {
    /// The store that was named.
    ///
    /// Errors: [`NoStore::FolderAndMore`].
    pub fn location(&self) -> Result<StoreLocation, NoStore> {
        let mut nodes = Vec::new();
        for location in &self.store {
            match location {
                StoreLocation::Couch(urls) => nodes.extend(urls.iter().cloned()),
                StoreLocation::Folder(_) if self.store.len() > 1 => {
                    return Err(NoStore::FolderAndMore);
                }
                StoreLocation::Folder(folder) => return Ok(StoreLocation::Folder(folder.clone())),
            }
        }
        Ok(StoreLocation::Couch(nodes))
    }
}

/// Where documents are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// A CouchDB, by the URLs of its nodes.
    Couch(Vec<String>),
    /// The embedded store in a folder.
    Folder(PathBuf),
}

impl std::fmt::Debug for StoreLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // the URLs may hold a password
            Self::Couch(_) => f.write_str("Couch(…)"),
            Self::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
        }
    }
}

/// What is given does not name a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStore {
    /// Several were named, and not all of them are nodes of a CouchDB.
    #[error("--store: give one folder, or URLs of one CouchDB")]
    FolderAndMore,
    /// A URL of another scheme.
    #[error("{0}:// is no store: give http://, https:// or a folder")]
    OtherScheme(String),
    /// Nothing.
    #[error("give a URL or a folder")]
    Empty,
}

impl FromStr for StoreLocation {
    type Err = NoStore;

    fn from_str(text: &str) -> Result<Self, NoStore> {
        let is_url = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        if is_url(text) {
            // a comma may stand in a password
            let nodes = text.split(',').fold(Vec::<String>::new(), |mut nodes, part| {
                match nodes.last_mut() {
                    Some(last) if !is_url(part) => last.extend([",", part]),
                    _ => nodes.push(part.to_owned()),
                }
                nodes
            });
            return Ok(Self::Couch(nodes));
        }
        match text.split_once("://") {
            Some((scheme, _)) => Err(NoStore::OtherScheme(scheme.to_owned())),
            None if text.is_empty() => Err(NoStore::Empty),
            None => Ok(Self::Folder(PathBuf::from(text))),
        }
    }
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

/// Parses a value that may hold a password, which clap would repeat where it does not parse.
#[derive(Clone)]
struct Secret<T>(PhantomData<T>);

impl<T> Secret<T> {
    fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> TypedValueParser for Secret<T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, _: &clap::Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let argument = argument.map(Arg::to_string).unwrap_or_default();
        value.to_string_lossy().parse().map_err(|error: T::Err| {
            clap::Error::raw(ErrorKind::ValueValidation, format!("invalid value for '{argument}': {error}\n"))
        })
    }
}
