//! What a request can be about, and what may be done with it.

use crate::kazoo::kind::Kind;
use crate::kazoo::verb::Verb;

/// What a path is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// `…/groups`: the documents of a kind.
    Documents(&'static Kind),
    /// `…/groups/{id}`: one of them.
    Document(&'static Kind, String),
    /// `…/groups/{id}/rings`: whom one of them rings, which Kazoo does not tell.
    Rings(&'static Kind, String),
    /// `…/groups/{id}/used_by`: what names one of them, which Kazoo does not tell.
    UsedBy(&'static Kind, String),
    /// `…/groups/_deleted`: those that are deleted softly, which Kazoo does not tell. No document has such an id: CouchDB keeps
    /// what begins with an underscore for itself.
    Deleted(&'static Kind),
    /// `…/groups/{id}/restore`: one of them, to be brought back.
    Restoring(&'static Kind, String),
    /// `/v2/user_auth`
    UserAuth,
    /// `/v2/api_auth`
    ApiAuth,
    /// `/v2/schemas`
    Schemas,
    /// `/v2/schemas/{name}`
    Schema(String),
    /// `/v2/schemas/{name}/validation`
    SchemaValidation(String),
    /// `/v2/about`
    About,
    /// `/v2/accounts/{id}`, which Kazoo serves and we don't
    Account,
    /// Nothing that we know.
    Unknown,
}

impl Resource {
    /// The verbs that the resource has, in the order in which Kazoo tells them.
    pub fn methods(&self) -> &'static [Verb] {
        match self {
            Self::Documents(_) => &[Verb::Put, Verb::Get],
            Self::Document(..) => &[Verb::Patch, Verb::Post, Verb::Get, Verb::Delete],
            Self::UserAuth | Self::ApiAuth | Self::SchemaValidation(_) => &[Verb::Put],
            Self::Restoring(..) => &[Verb::Post],
            Self::Rings(..) | Self::UsedBy(..) | Self::Deleted(_) | Self::Schemas | Self::Schema(_) | Self::About => {
                &[Verb::Get]
            }
            Self::Account => &[Verb::Patch, Verb::Post, Verb::Put, Verb::Get, Verb::Delete],
            Self::Unknown => &[],
        }
    }

    /// What counts and alerts call the resource.
    pub fn route(&self) -> &'static str {
        match self {
            Self::Documents(kind) => kind.noun,
            Self::Document(kind, _) => kind.route_of_one,
            Self::Rings(kind, _) => kind.route_of_rings,
            Self::UsedBy(kind, _) => kind.route_of_uses,
            Self::Deleted(kind) => kind.route_of_deleted,
            Self::Restoring(kind, _) => kind.route_of_restoring,
            Self::UserAuth => "user_auth",
            Self::ApiAuth => "api_auth",
            Self::Schemas => "schemas",
            Self::Schema(_) => "schemas/{name}",
            Self::SchemaValidation(_) => "schemas/{name}/validation",
            Self::About => "about",
            Self::Account | Self::Unknown => "other",
        }
    }

    /// Whether it can be asked for without a token, by a path that names nothing else.
    pub fn can_be_open(&self) -> bool {
        matches!(self, Self::UserAuth | Self::ApiAuth | Self::Schemas | Self::Schema(_) | Self::SchemaValidation(_))
    }
}
