//! The flags of `serve` that name an upstream.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::config::seconds;

use super::target::Target;

/// Who answers those who sign in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SignIn {
    /// This service.
    Here,
    /// The upstream, which knows of second factors and of the apps store too.
    #[default]
    Upstream,
}

/// `--upstream` and what belongs to it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Before a crossbar")]
pub struct RelayArguments {
    /// Relay what is not about groups to this crossbar: http://crossbar:8000, or https://
    #[arg(long, env = "CROSSBAR_UPSTREAM", value_name = "URL")]
    pub upstream: Option<Target>,

    /// Who answers those who sign in (user_auth, api_auth)
    #[arg(long, env = "CROSSBAR_SIGN_IN", default_value = "upstream", value_name = "WHERE")]
    pub sign_in: SignIn,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub times: Times,
}

/// How long an upstream may take.
#[derive(Debug, Clone, Copy, Args)]
pub struct Times {
    /// For how many seconds a connection to the upstream may take to be made; over it 503
    #[arg(long = "upstream-connect", env = "CROSSBAR_UPSTREAM_CONNECT", default_value = "3", value_parser = seconds, value_name = "SECONDS")]
    pub connect: Duration,

    /// For how many seconds the upstream may take to begin its answer, or to take the next piece of a body; over it 504
    #[arg(long = "upstream-answer", env = "CROSSBAR_UPSTREAM_ANSWER", default_value = "60", value_parser = seconds, value_name = "SECONDS")]
    pub answer: Duration,

    /// For how many seconds an answer of the upstream may stand still; then it is cut off
    #[arg(long = "upstream-idle", env = "CROSSBAR_UPSTREAM_IDLE", default_value = "60", value_parser = seconds, value_name = "SECONDS")]
    pub idle: Duration,
}
