//! What is mended without a guess, each group in one revision.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::document::{DbName, DocId};
use crate::kazoo::documents::{TYPE, is_deleted};
use crate::kazoo::group;
use crate::store::{self, Store};
use crate::world::World;

use super::{Report, is_group, is_named_type};

/// What became of a group whose members were to be mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// The group's database.
    pub database: DbName,
    /// The group.
    pub document: String,
    /// What was done.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What was done with a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Endpoints were removed.
    Removed {
        /// Which.
        endpoints: Vec<String>,
        /// The group's new revision.
        revision: String,
    },
    /// Members were given the type that their documents tell, and others, if there were such, removed.
    Typed {
        /// Which were given which.
        types: BTreeMap<String, String>,
        /// Which were removed.
        endpoints: Vec<String>,
        /// The group's new revision.
        revision: String,
    },
    /// Nothing: what was wrong no longer is.
    NothingLeft,
    /// Nothing: somebody else wrote the group at the same time.
    Conflict,
    /// Nothing: the store failed.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Mends the members of a report's groups, those that are still as it says; a group's change is one new revision. A store
/// with notices ([`notices::over`](crate::notices::over)) tells Kazoo's nodes of it.
pub async fn fix(store: &dyn Store, report: &Report, world: World) -> Vec<Mended> {
    let mut groups: BTreeMap<(&DbName, &str), Vec<&str>> = BTreeMap::new();
    for fault in &report.faults {
        if let (Some(endpoint), Some(document)) = (fault.kind.mendable(), &fault.document) {
            groups.entry((&fault.database, document)).or_default().push(endpoint);
        }
    }
    let mut mended = Vec::new();
    for ((database, group), endpoints) in groups {
        let outcome = match fix_group(store, database, group, &endpoints, world).await {
            Ok(outcome) => outcome,
            Err(store::Error::Conflict) => Outcome::Conflict,
            Err(error) => Outcome::Failed { reason: error.to_string() },
        };
        mended.push(Mended { database: database.clone(), document: group.to_owned(), outcome });
    }
    mended
}

async fn fix_group(
    store: &dyn Store,
    database: &DbName,
    group: &str,
    endpoints: &[&str],
    world: World,
) -> Result<Outcome, store::Error> {
    let Ok(id) = group.parse::<DocId>() else { return Ok(Outcome::NothingLeft) };
    let group = store.get(database, &id).await?.filter(|group| is_group(group));
    let Some(group) = group else { return Ok(Outcome::NothingLeft) };
    let ids: Vec<DocId> = endpoints.iter().filter_map(|id| id.parse().ok()).collect();
    let documents = store.get_many(database, &ids).await?;
    let there: BTreeMap<String, String> = documents
        .iter()
        .filter(|document| !is_deleted(document))
        .filter_map(|document| Some((document.id()?, document.text(TYPE).unwrap_or_default())))
        .collect();
    let (mut removed, mut types) = (Vec::new(), BTreeMap::new());
    for member in group::members(&group).filter(|member| endpoints.contains(&&*member.id)) {
        let says = member.says();
        match there.get(&member.id) {
            // what says something of its own may mean something to somebody
            None if says.is_known() || says.is_nothing() => removed.push(member.id),
            Some(is) if !says.is_known() && is_named_type(is) => drop(types.insert(member.id, is.clone())),
            _ => {}
        }
    }
    if removed.is_empty() && types.is_empty() {
        return Ok(Outcome::NothingLeft);
    }
    let mended = group::mended(&group, &removed, &types, world.gregorian_seconds());
    let revision = store.put(database, &mended).await?.to_string();
    Ok(match types.is_empty() {
        true => Outcome::Removed { endpoints: removed, revision },
        false => Outcome::Typed { types, endpoints: removed, revision },
    })
}

impl Mended {
    /// Whether nothing is left to be done.
    pub fn is_well(&self) -> bool {
        matches!(self.outcome, Outcome::Removed { .. } | Outcome::Typed { .. } | Outcome::NothingLeft)
    }
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.database, self.document)?;
        match &self.outcome {
            Outcome::Removed { endpoints, revision } => {
                write!(f, "removed {}, now {revision}", endpoints.join(", "))
            }
            Outcome::Typed { types, endpoints, revision } => {
                let types: Vec<String> = types.iter().map(|(id, of)| format!("{id} is a {of}")).collect();
                write!(f, "{}", types.join(", "))?;
                if !endpoints.is_empty() {
                    write!(f, ", removed {}", endpoints.join(", "))?;
                }
                write!(f, ", now {revision}")
            }
            Outcome::NothingLeft => write!(f, "nothing to mend any more"),
            Outcome::Conflict => write!(f, "skipped: it was written by somebody else meanwhile; audit it again"),
            Outcome::Failed { reason } => write!(f, "failed: {reason}"),
        }
    }
}
