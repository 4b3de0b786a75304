//! `shadow`: what is told of comparisons with an upstream.

use clap::{Args, Subcommand};

use super::TrustArgument;
use crate::relay::Target;

/// `shadow`
#[derive(Debug, Subcommand)]
pub enum ShadowCommand {
    /// Tell how many reads a service that runs with --shadow answered as its upstream did, and by which rule or in which part
    /// the others differed; exit status 1 if any differed that is not written down, or none was compared
    Report(ReportArguments),
}

/// `shadow report`
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// The service: where its /metrics is (--admin-listen, or else --listen)
    #[arg(long, env = "CROSSBAR_ADMIN_URL", default_value = "http://127.0.0.1:8000", value_name = "URL")]
    pub url: Target,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub trust: TrustArgument,
}
