//! `groups plan`, `groups apply` and `groups export`: groups of many accounts as a file says that they are to be.

use std::path::PathBuf;

use clap::Args;

use super::{NoticeArguments, StoreArgument};
use crate::budgets::WrittenBudgets;

/// `groups plan`
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// The file, YAML or JSON, of at most 64 MiB
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub budgets: WrittenBudgets,
}

/// `groups apply`
#[derive(Debug, Args)]
pub struct ApplyArguments {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plan: PlanArguments,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub notices: NoticeArguments,
}

/// `groups export`
#[derive(Debug, Args)]
pub struct ExportPlanArguments {
    /// Write a file that plan and apply take: of what is there now, so that to apply it changes nothing
    #[arg(long, required = true)]
    pub as_plan: bool,

    /// Only this account, by its id, realm or name (default: all). May be given more than once
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Vec<String>,

    /// Print JSON instead of YAML
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,
}
