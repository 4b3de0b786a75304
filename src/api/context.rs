//! What requests share, and what a request is once it may be done.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::auth::{Auth, Identity};
use crate::budgets::Budgets;
use crate::kazoo::account::Account;
use crate::metrics::Metrics;
use crate::store::SharedStore;
use crate::world::World;

use super::admission::Admission;
use super::conditions::Conditions;
use super::events::Listeners;
use super::incoming::Incoming;
use super::limit::Limiter;
use super::pages::Pages;
use super::path::Path;
use super::relayed::Relay;
use super::response::Frame;
use super::schemas::Schemas;
use super::writers::Writers;

/// What every request shares.
pub struct Api {
    /// Where the documents are.
    pub store: SharedStore,
    /// Who may do what.
    pub auth: Auth,
    /// What data are checked by.
    pub schemas: Schemas,
    /// Who asks too often.
    pub limiter: Limiter,
    /// Lists that were put together.
    pub pages: Pages,
    /// Who changes which document.
    pub writers: Writers,
    /// What requests may cost.
    pub budgets: Budgets,
    /// Who is let in.
    pub admission: Admission,
    /// Who listens to what happens.
    pub listeners: Listeners,
    /// Whether there is a page for people.
    pub has_page: bool,
    /// Who answers what is not ours, if anybody.
    pub relay: Option<Relay>,
    /// Time and new ids.
    pub world: World,
    /// What envelopes call this process.
    pub node: String,
    /// What is counted.
    pub metrics: Metrics,
}

/// A request that may be done: its account is there, its token was believed, and may act on the account.
pub(super) struct Authorized<'r> {
    /// What every request shares.
    pub(super) api: &'r Api,
    /// The request.
    pub(super) incoming: &'r Incoming,
    /// Its path.
    pub(super) path: &'r Path,
    /// What its answer is framed by.
    pub(super) frame: &'r Frame,
    /// Whose token it came with.
    pub(super) identity: Arc<Identity>,
    /// The account that it is about.
    pub(super) account: Arc<Account>,
    /// Whose documents lists show, if not all.
    pub(super) user: Option<String>,
}

impl Authorized<'_> {
    /// The data that were sent; an empty object if there were none.
    pub(super) fn data(&self) -> Arc<RawValue> {
        self.incoming.data()
    }

    /// The conditions under which the client wants it done.
    pub(super) fn conditions(&self) -> &Conditions {
        &self.frame.conditions
    }
}
