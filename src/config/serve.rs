//! `serve`: where the service listens, and how it answers there.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::Args;

use super::values::{address, seconds};
use super::{NoticeArguments, StoreArgument, TlsArguments};
use crate::api::RateLimit;
use crate::budgets::Budgets;
use crate::caching::Caching;
use crate::logging::LogFormat;
use crate::relay::RelayArguments;
use crate::shadow::ShadowArguments;

/// `serve`
#[derive(Debug, Clone, Args)]
pub struct ServeArguments {
    /// The address to listen on, or a name that has one
    #[arg(long, env = "CROSSBAR_LISTEN", default_value = "127.0.0.1:8000", value_parser = address, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

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

    /// For how many seconds keys, secrets and account documents are remembered: so long a change made elsewhere may take
    /// until it holds
    #[arg(long, env = "CROSSBAR_AUTH_CACHE", default_value = "3", value_parser = seconds, value_name = "SECONDS")]
    pub auth_cache: Duration,

    /// After how many seconds a connection is closed on which nothing is asked
    #[arg(long, env = "CROSSBAR_KEEP_ALIVE", default_value = "75", value_parser = seconds, value_name = "SECONDS")]
    pub keep_alive: Duration,

    /// The address at which /healthz, /readyz and /metrics are (default: that of --listen)
    #[arg(long, env = "CROSSBAR_ADMIN_LISTEN", value_parser = address, value_name = "ADDRESS:PORT")]
    pub admin_listen: Option<SocketAddr>,

    /// How the log is written: lines for people, or one JSON object a line
    #[arg(long, env = "CROSSBAR_LOG_FORMAT", default_value = "text", value_name = "FORM")]
    pub log_format: LogFormat,

    /// How many threads serve requests (default: one for each processor)
    #[arg(long, env = "CROSSBAR_WORKERS", value_parser = clap::value_parser!(u16).range(1..), value_name = "NUMBER")]
    pub workers: Option<u16>,

    /// Print the settings that hold, as a configuration file, with where each comes from, and end; passwords are left out
    #[arg(long)]
    pub print_config: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub caching: Caching,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub notices: NoticeArguments,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub tls: TlsArguments,

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
