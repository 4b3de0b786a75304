//! The kinds of documents that are served as resources: all that tells one from another, as data.

use std::fmt;

use crate::document::Document;
use crate::store::View;

use super::group::{Excess, Limits};
use super::{group, schema, views};

/// A kind of document, and how it is served.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The noun of its paths: `…/groups`, `…/groups/{id}`.
    pub noun: &'static str,
    /// What metrics call one of them.
    pub route_of_one: &'static str,
    /// What they call whom one of them rings.
    pub route_of_rings: &'static str,
    /// What they call what uses one of them.
    pub route_of_uses: &'static str,
    /// What they call those that are deleted.
    pub route_of_deleted: &'static str,
    /// What they call that one of those is brought back.
    pub route_of_restoring: &'static str,
    /// `pvt_type` of its documents.
    pub pvt_type: &'static str,
    /// The schema that clients' data must fit.
    pub schema: &'static str,
    /// Sees that one is no larger than it may be.
    pub must_fit: fn(&Document, Limits) -> Result<(), Excess>,
    /// The rows of an account's documents, by their ids.
    pub listing: View,
    /// The rows of those that belong to a user, by the user's id.
    pub listing_by_user: View,
    /// How they are shown as CSV.
    pub table: Table,
}

/// How documents are shown as CSV.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// What a browser calls the file.
    pub file: &'static str,
    /// The first columns of one document's own table. Kazoo's columns stand as the document's fields came to be; ours
    /// always stand the same: these, then the others from the last to the first by name, then the id.
    pub first_columns: &'static [&'static str],
}

/// Groups.
pub const GROUPS: Kind = Kind {
    noun: "groups",
    route_of_one: "groups/{id}",
    route_of_rings: "groups/{id}/rings",
    route_of_uses: "groups/{id}/used_by",
    route_of_deleted: "groups/_deleted",
    route_of_restoring: "groups/{id}/restore",
    pvt_type: group::TYPE,
    schema: schema::GROUPS,
    must_fit: group::must_fit,
    listing: views::GROUPS,
    listing_by_user: views::GROUPS_BY_USER,
    table: Table { file: "groups.csv", first_columns: &["name", "endpoints", "music_on_hold", "flags"] },
};

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.noun == other.noun
    }
}

impl Eq for Kind {}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun)
    }
}

/// The kind of a noun.
pub fn of_noun(noun: &str) -> Option<&'static Kind> {
    [&GROUPS].into_iter().find(|kind| kind.noun == noun)
}
