//! What was found of views, for people and for scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::kazoo::views::DESIGN_DOCUMENTS;

use super::super::{counted, write_lines, write_table};
use super::LACKS_ACCOUNT;
use super::rows::{Rows, ViewRows};

/// Whose design document one is that the service needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The one that this program installs.
    Ours,
    /// Another one that has the views: Kazoo's.
    Kazoo,
    /// Another one that lacks a view.
    Other,
    /// There is none.
    Missing,
    /// There was none, and ours was put there.
    Installed,
    /// There was another, and ours was put in its place.
    Replaced,
    /// None is needed: the store's views are native.
    Native,
}

impl Owner {
    const COLUMNS: [(Self, &str); 7] = [
        (Self::Ours, "ours"),
        (Self::Kazoo, "Kazoo's"),
        (Self::Other, "other"),
        (Self::Missing, "missing"),
        (Self::Installed, "installed"),
        (Self::Replaced, "replaced"),
        (Self::Native, "native"),
    ];

    /// Whether the service can do with it.
    fn is_well(self) -> bool {
        !matches!(self, Self::Other | Self::Missing)
    }
}

/// A design document that the service needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Design {
    /// Its name, without `_design/`.
    pub name: &'static str,
    /// Whose it is.
    pub owner: Owner,
}

/// What was found in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The database.
    pub database: String,
    /// The design documents that the service needs there.
    pub designs: Vec<Design>,
    /// The names of the other design documents there, which are nothing to us.
    pub other_designs: Vec<String>,
    /// The views, if their rows were asked for.
    pub views: Vec<ViewRows>,
    /// Whether it is an account's database without the account's own document: to clients there is no such account.
    pub lacks_account: bool,
    /// Why it could not be looked at.
    pub error: Option<String>,
}

impl Found {
    /// Whether the service can do with what is there.
    pub fn is_well(&self) -> bool {
        self.error.is_none()
            && !self.lacks_account
            && self.designs.iter().all(|design| design.owner.is_well())
            && self.views.iter().all(|view| view.rows == Rows::Same)
    }
}

/// What was found in all databases, by their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each database.
    pub databases: Vec<Found>,
}

impl Report {
    /// Whether the service can do with what is in every database.
    pub fn is_well(&self) -> bool {
        self.databases.iter().all(Found::is_well)
    }

    /// How many databases lack a design document, or a view of one.
    pub fn lacking(&self) -> usize {
        self.databases.iter().filter(|found| found.designs.iter().any(|design| !design.owner.is_well())).count()
    }

    fn designs(&self) -> Vec<Vec<String>> {
        let all = || self.databases.iter().flat_map(|found| &found.designs);
        let columns: Vec<_> = Owner::COLUMNS
            .into_iter()
            .filter(|(owner, _)| *owner <= Owner::Missing || all().any(|design| design.owner == *owner))
            .collect();
        let header = columns.iter().map(|(_, title)| (*title).to_owned());
        let mut rows = vec![["design document".to_owned()].into_iter().chain(header).collect()];
        for needed in DESIGN_DOCUMENTS.iter().filter(|needed| all().any(|design| design.name == needed.name)) {
            let count = |owner| all().filter(|design| design.name == needed.name && design.owner == owner).count();
            let counts = columns.iter().map(|(owner, _)| count(*owner).to_string());
            rows.push([needed.name.to_owned()].into_iter().chain(counts).collect());
        }
        rows
    }

    fn views(&self) -> Vec<Vec<String>> {
        let mut counts: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
        for view in self.databases.iter().flat_map(|found| &found.views) {
            let column = match &view.rows {
                Rows::Same => 0,
                Rows::Different(_) => 1,
                Rows::Missing => 2,
                Rows::Failed(_) => 3,
            };
            counts.entry(&view.view).or_default()[column] += 1;
        }
        let header = ["view", "same rows", "different", "missing", "failed"].map(str::to_owned).to_vec();
        let rows = counts.into_iter().map(|(view, counts)| {
            [view.to_owned()].into_iter().chain(counts.iter().map(ToString::to_string)).collect()
        });
        [header].into_iter().chain(rows).collect()
    }

    /// The names of design documents that are not ours and have a view of other rows.
    fn giving_other_rows(&self) -> BTreeSet<&'static str> {
        let of = |found: &Found| {
            let is_other = |design: &Design| {
                let views = found.views.iter().filter(|view| matches!(view.rows, Rows::Different(_)));
                let mut designs = views.filter_map(|view| view.view.split('/').next());
                design.owner != Owner::Ours && designs.any(|name| name == design.name)
            };
            found.designs.iter().filter(|design| is_other(design)).map(|design| design.name).collect::<Vec<_>>()
        };
        self.databases.iter().flat_map(of).collect()
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for found in &self.databases {
            let database = &found.database;
            problems.extend(found.error.iter().map(|error| format!("{database}: {error}")));
            if found.lacks_account {
                problems.push(format!("{database}: the account's own document is missing: {LACKS_ACCOUNT}"));
            }
            for design in &found.designs {
                let name = design.name;
                match design.owner {
                    Owner::Missing => problems.push(format!("{database}: no design document {name}")),
                    Owner::Other => problems.push(format!("{database}: the design document {name} lacks views")),
                    _ => {}
                }
            }
            for ViewRows { view, rows } in &found.views {
                match rows {
                    Rows::Different(of) => {
                        problems.push(format!("{database}: other rows in {view}, as of documents {}", of.join(", ")));
                    }
                    Rows::Failed(reason) => problems.push(format!("{database}: {view}: {reason}")),
                    Rows::Same | Rows::Missing => {}
                }
            }
        }
        problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", counted(self.databases.len(), "database"))?;
        write_table(f, &self.designs())?;
        let views = self.views();
        if views.len() > 1 {
            writeln!(f)?;
            write_table(f, &views)?;
        }
        let is_there =
            |owner| self.databases.iter().flat_map(|found| &found.designs).any(|design| design.owner == owner);
        if is_there(Owner::Native) {
            writeln!(f, "\nThe store is embedded: its views are native, and need no design documents.")?;
        }
        let problems = self.problems();
        if !problems.is_empty() {
            writeln!(f)?;
            write_lines(f, &problems)?;
        }
        if is_there(Owner::Missing) {
            writeln!(f, "\n`crossbar-groups views install` adds what is missing.")?;
        }
        if is_there(Owner::Other) {
            writeln!(f, "\n`views install --replace NAME` puts ours in the place of a design document.")?;
        }
        for name in self.giving_other_rows() {
            writeln!(
                f,
                "\n{name} is not as Kazoo 4.3 has it: `crossbar-groups views install --replace {name}` puts ours in its \
                 place, which gives Kazoo's own nodes the rows that they expect too."
            )?;
        }
        Ok(())
    }
}
