//! What can be wrong, and what people are told of it: what it means, who is affected, and what to do.

use std::fmt;

use serde::Serialize;

use crate::document::DbName;
use crate::kazoo::documents::Called;
use crate::kazoo::erlang::is_empty;
use crate::operate::views::LACKS_ACCOUNT;

/// How many revisions of a conflict, and callflows of a group, are named to people.
const NAMED: usize = 3;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The database.
    pub database: DbName,
    /// The document; None if it is the database itself.
    pub document: Option<String>,
    /// What is wrong with it.
    #[serde(flatten)]
    pub kind: Kind,
    /// The callflows that ring the group, by whatever groups; for what is wrong under `single`, those that ring it so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub affected: Vec<Affected>,
}

/// A callflow that is affected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Affected {
    /// The callflow.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// Its numbers.
    pub numbers: Vec<String>,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Kind {
    /// A group's endpoint names a user, device or group that is not there any more.
    DanglingEndpoint {
        /// The endpoint's id.
        endpoint: String,
        /// What it says it names: user, device or group.
        names: String,
        /// What became of it.
        target: Target,
        /// The account whose it is, where it is another's.
        #[serde(skip_serializing_if = "Option::is_none")]
        account: Option<String>,
    },
    /// A member does not say what it is, and is taken for a group.
    NoType {
        /// The member.
        endpoint: String,
        /// What the document of its id is; None where there is none.
        is: Option<String>,
    },
    /// A member says that it is what Kazoo does not know: the call crashes.
    OddType {
        /// The member.
        endpoint: String,
        /// What it says, as JSON.
        says: String,
        /// What the document of its id is; None where there is none.
        is: Option<String>,
    },
    /// A member is no object: the call crashes.
    NotAnObject {
        /// The member.
        endpoint: String,
        /// What the document of its id is; None where there is none.
        is: Option<String>,
    },
    /// A group is a member of itself: the call never ends.
    Circle {
        /// The way back to the group.
        groups: Vec<String>,
    },
    /// A callflow rings the group by `single`, which leaves members without a weight out.
    NoWeight {
        /// The members.
        endpoints: Vec<String>,
    },
    /// A callflow rings the group by `single`, of whose members of a weight the last alone rings.
    EqualWeight {
        /// The weight, as Kazoo takes it.
        weight: i64,
        /// The members.
        endpoints: Vec<String>,
    },
    /// A callflow rings the group, which rings nobody.
    RingsNobody {
        /// How many members it has.
        members: usize,
    },
    /// A callflow names a group that is not there.
    NamesNoGroup {
        /// The group.
        group: String,
        /// The element's module.
        module: String,
        /// By which children the flow comes to the element.
        children: Vec<String>,
        /// What became of the group.
        target: Target,
    },
    /// A callflow rings by `weighted_random`, which rings nobody.
    WeightedRandom {
        /// By which children the flow comes to the element.
        children: Vec<String>,
    },
    /// A group that is there is in no list, since a view's map function stumbles over its document.
    SkippedByView {
        /// The view's design document and its name.
        view: String,
    },
    /// The database of an account lacks the account's own document, or it is deleted: to clients there is no such account.
    NoAccountDocument,
    /// `pvt_account_id` names another account.
    WrongAccountId {
        /// What it says.
        found: String,
    },
    /// `pvt_account_db` names another account's database.
    WrongAccountDb {
        /// What it says.
        found: String,
    },
    /// There are other revisions, which lost.
    Conflict {
        /// Those that lost.
        revisions: Vec<String>,
    },
    /// The database could not be looked at, or is not there.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// What became of the document that an endpoint names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// There is none.
    Missing,
    /// It is deleted softly.
    Deleted,
    /// There is none, but one of another account: Kazoo does not look there.
    OtherAccount,
}

impl Kind {
    /// The member that is mended without a guess: what names nothing is removed, what does not say what it is is told by
    /// its document.
    pub fn mendable(&self) -> Option<&str> {
        let is_known = |is: &Option<String>| is.as_deref().is_some_and(super::is_named_type);
        match self {
            Self::DanglingEndpoint { endpoint, .. } => Some(endpoint),
            Self::NoType { endpoint, is } | Self::NotAnObject { endpoint, is } => {
                (is.is_none() || is_known(is)).then_some(endpoint)
            }
            Self::OddType { endpoint, is, says } => {
                (is_known(is) || (is.is_none() && is_empty(says))).then_some(endpoint)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.database)?;
        if let Some(document) = &self.document {
            write!(f, " {document}")?;
        }
        write!(f, ": {}", self.kind)?;
        for (at, Affected { id, name, numbers }) in self.affected.iter().take(NAMED).enumerate() {
            let before = if at == 0 { "; affects callflow" } else { "," };
            write!(f, "{before} {}", Called(id, name.as_deref()))?;
            if !numbers.is_empty() {
                write!(f, " at {}", numbers.join(" "))?;
            }
        }
        and_more(f, self.affected.len())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |children: &[String]| match children {
            [] => "its beginning".to_owned(),
            children => children.join("/"),
        };
        match self {
            Self::DanglingEndpoint { endpoint, names, target: Target::Missing, .. } => {
                write!(f, "endpoint {endpoint}: there is no such {names}")
            }
            Self::DanglingEndpoint { endpoint, names, target: Target::Deleted, .. } => {
                write!(f, "endpoint {endpoint}: the {names} is deleted")
            }
            Self::DanglingEndpoint { endpoint, names, target: Target::OtherAccount, account } => {
                let account = account.as_deref().unwrap_or_default();
                write!(f, "endpoint {endpoint}: the {names} is of the account {account}, where Kazoo does not look")
            }
            Self::NoType { endpoint, is } => {
                write!(f, "endpoint {endpoint} has no type and is taken for a group; {}", Is(is.as_deref()))
            }
            Self::OddType { endpoint, says, is } => {
                write!(f, "endpoint {endpoint} is of type {says}, at which a call crashes; {}", Is(is.as_deref()))
            }
            Self::NotAnObject { endpoint, is } => {
                let is = Is(is.as_deref());
                write!(
                    f,
                    "endpoint {endpoint} is no object, at which a call crashes, or takes a list for a group; {is}"
                )
            }
            Self::Circle { groups } => {
                write!(f, "it is a member of itself, and a call never ends: take it out of {}", groups.join(" or "))
            }
            Self::NoWeight { endpoints } => {
                write!(f, "by single nobody rings who has no weight: give one to {}", endpoints.join(", "))
            }
            Self::EqualWeight { weight, endpoints } => {
                let endpoints = endpoints.join(", ");
                write!(f, "by single only the last of weight {weight} rings: give each its own: {endpoints}")
            }
            Self::RingsNobody { members: 0 } => write!(f, "it rings nobody: it has no members"),
            Self::RingsNobody { members } => {
                write!(f, "it rings nobody: `groups rings` tells why none of its {members} members does")
            }
            Self::NamesNoGroup { group, module, children, target } => {
                let became = if *target == Target::Deleted { "is deleted" } else { "is not there" };
                let place = place(children);
                write!(f, "{module} at {place} names the group {group}, which {became}: name another, or take it out")
            }
            Self::WeightedRandom { children } => {
                let place = place(children);
                write!(f, "the element at {place} rings by weighted_random, which rings nobody: take another strategy")
            }
            Self::SkippedByView { view } => write!(
                f,
                "the view {view} skips this group, for a null under its endpoints or smartpbx — \
                 PATCH it with {{\"data\":{{}}}}, which takes such nulls out"
            ),
            Self::NoAccountDocument => write!(f, "the account's own document is missing — {LACKS_ACCOUNT}"),
            Self::WrongAccountId { found } => write!(f, "pvt_account_id is {found}"),
            Self::WrongAccountDb { found } => write!(f, "pvt_account_db is {found}"),
            Self::Conflict { revisions } => {
                let shown = revisions.len().min(NAMED);
                write!(f, "revisions that lost a conflict: {}", revisions[..shown].join(", "))?;
                and_more(f, revisions.len())
            }
            Self::Unreadable { reason } => write!(f, "{reason}"),
        }
    }
}

/// What is known of a member by its document.
struct Is<'i>(Option<&'i str>);

impl fmt::Display for Is<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(is) => write!(f, "its document is of type {is}"),
            None => f.write_str("there is no document of its id"),
        }
    }
}

/// Says how many there are beyond those that are named.
fn and_more(f: &mut fmt::Formatter<'_>, all: usize) -> fmt::Result {
    match all.saturating_sub(NAMED) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}
