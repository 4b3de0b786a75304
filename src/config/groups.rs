//! `groups`: what is told of one account's groups.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::{ApplyArguments, ExportPlanArguments, NoticeArguments, PlanArguments, StoreArgument};
use crate::document::DocId;
use crate::kazoo::account::AccountId;
use crate::kazoo::rings::{Module, Strategy};

/// `groups`
#[derive(Debug, Subcommand)]
pub enum GroupsCommand {
    /// Tell who rings where a callflow rings a group, in which order, and who does not and why, as Kazoo 4.3 does it
    Rings(Box<RingsArguments>),
    /// Tell what a file of accounts and groups would create, change and delete, and what would ring differently; exit
    /// status 1 if it can't be done. Writes nothing
    Plan(Box<PlanArguments>),
    /// Make groups what such a file says: each account whole or not at all. Doing it again changes nothing
    Apply(Box<ApplyArguments>),
    /// Write the file of what is there to standard output
    Export(ExportPlanArguments),
    /// Tell what names a group: callflows, other groups, users and devices, and where
    UsedBy(UsedByArguments),
    /// List the groups that were deleted softly, as Kazoo deletes them: when, and by whom
    Deleted(DeletedArguments),
    /// Bring groups back that were deleted softly. All or, where one can't be, none of them
    Restore(Box<RestoreGroupsArguments>),
}

/// `groups deleted`
#[derive(Debug, Args)]
pub struct DeletedArguments {
    /// The account
    #[arg(long, value_name = "ID")]
    pub account: AccountId,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,
}

/// `groups restore`
#[derive(Debug, Args)]
pub struct RestoreGroupsArguments {
    /// The account
    #[arg(long, value_name = "ID")]
    pub account: AccountId,

    /// The groups' ids
    #[arg(required = true, value_name = "GROUP")]
    pub groups: Vec<DocId>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub notices: NoticeArguments,
}

/// `groups used-by`
#[derive(Debug, Args)]
pub struct UsedByArguments {
    /// The account
    #[arg(long, value_name = "ID")]
    pub account: AccountId,

    /// The group's id
    #[arg(value_name = "GROUP")]
    pub group: String,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,
}

/// `groups rings`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["group", "element"]))]
pub struct RingsArguments {
    /// The account
    #[arg(long, value_name = "ID")]
    pub account: AccountId,

    /// The group's id
    #[arg(value_name = "GROUP")]
    pub group: Option<String>,

    /// A file that holds a callflow's element, {"module": …, "data": …}, or its data alone
    #[arg(long, value_name = "FILE")]
    pub element: Option<PathBuf>,

    /// How the group is rung: simultaneous, single or weighted_random
    #[arg(long, default_value = "simultaneous", value_name = "STRATEGY", conflicts_with = "element")]
    pub strategy: Strategy,

    /// By which module: ring_group, page_group or group (default: ring_group; of an element, the one that it tells)
    #[arg(long, value_name = "MODULE")]
    pub module: Option<Module>,

    /// Tell it of each element of a callflow that names the group, too
    #[arg(long, conflicts_with = "element")]
    pub callflows: bool,

    /// The device that calls, which does not ring
    #[arg(long, value_name = "ID")]
    pub caller_device: Option<String>,

    /// The user who calls, whose devices do not ring
    #[arg(long, value_name = "ID")]
    pub caller_user: Option<String>,

    /// The call comes out of a queue
    #[arg(long)]
    pub queue: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub store: StoreArgument,
}
