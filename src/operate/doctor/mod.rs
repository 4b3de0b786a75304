//! `doctor`: whether the service can do its work before a store, a line for each thing that it needs, and what to do
//! where one is not as it should be.

mod report;
mod server;
mod signing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::auth::Auth;
use crate::document::{DbName, DocId};
use crate::kazoo::account::AccountId;
use crate::kazoo::schema::{SYSTEM_SCHEMAS, Schema};
use crate::metrics::Metrics;
use crate::store::{Server, SharedServer, SharedStore};
use crate::world::World;

use super::{counted, views};

use report::{failed, ok, skipped};
use server::{clock, cluster, reachable, version};
use signing::{secret, system_key, token};

pub use report::{Check, Outcome, Report};

/// How long what is read is remembered: one look.
const REMEMBERED: Duration = Duration::from_secs(1);

/// Looks at all that the service needs: of all accounts, or of one. Nothing is written.
pub async fn examine(store: &SharedServer, only: Option<AccountId>, world: World, progress: &ProgressBar) -> Report {
    let before = (world.now)();
    let server = match store.info().await {
        Ok(server) => server,
        Err(error) => return Report::unreachable(&error, error.remedy()),
    };
    let after = (world.now)();
    let accounts = super::accounts(store.as_ref()).await;
    let auth = Auth::new(Arc::clone(store) as SharedStore, Metrics::new(before), REMEMBERED, world);
    let system = auth.system().await;
    let mut checks = vec![
        Check { name: "reachable", outcome: reachable(&server) },
        Check { name: "version", outcome: version(&server) },
        Check { name: "cluster", outcome: cluster(&server) },
        Check { name: "clock", outcome: clock(&server, before, after) },
        Check {
            name: "accounts",
            outcome: match &accounts {
                Ok(accounts) if accounts.is_empty() => failed(
                    "the database accounts holds no account",
                    "give --store the CouchDB that Kazoo uses, or import its dump",
                ),
                Ok(accounts) => ok(counted(accounts.len(), "account")),
                Err(error) => failed(error, "give --store the CouchDB that Kazoo uses, or import its dump"),
            },
        },
    ];
    let system = system.as_ref().map(Arc::as_ref).map_err(ToString::to_string);
    let (key_outcome, key) = system_key(&auth, &system).await;
    let (secret_outcome, has_secret) = secret(&system);
    checks.push(Check { name: "system key", outcome: key_outcome });
    checks.push(Check { name: "secret", outcome: secret_outcome });
    let (views, account_documents) = databases(store.as_ref(), only, progress).await;
    checks.push(Check { name: "views", outcome: views });
    checks.push(Check { name: "account documents", outcome: account_documents });
    checks.push(Check { name: "schemas", outcome: schemas(store.as_ref()).await });
    let token = match system {
        Ok(system) if key.is_some() && has_secret => {
            token(store.as_ref(), &auth, system, (only, &accounts.unwrap_or_default()), world).await
        }
        _ => skipped("there is no system key and secret to make one with"),
    };
    checks.push(Check { name: "token", outcome: token });
    Report { checks }
}

/// Whether the databases have their design documents, and whether they have their accounts' own.
async fn databases(store: &dyn Server, only: Option<AccountId>, progress: &ProgressBar) -> (Outcome, Outcome) {
    let report = match views::look(store, only, progress).await {
        Ok(report) => report,
        Err(error) => return (failed(error, "see `accounts` above"), skipped("the databases can't be looked at")),
    };
    let all = counted(report.databases.len(), "database");
    let unread = report.databases.iter().find_map(|found| Some((&found.database, found.error.as_ref()?)));
    let views = match (report.lacking(), unread) {
        (0, None) => ok(format!("all are there in {all}")),
        (0, Some((database, error))) => failed(format!("{database}: {error}"), "see `crossbar-groups audit`"),
        (lacking, _) => failed(
            format!("missing in {lacking} of {all}"),
            "run `crossbar-groups views install`; `views check` tells which",
        ),
    };
    let lacking: Vec<&str> =
        report.databases.iter().filter(|found| found.lacks_account).map(|found| found.database.as_str()).collect();
    let accounts = match lacking.first() {
        None => ok("all are there"),
        Some(first) => failed(format!("missing in {} of {all}, as in {first}", lacking.len()), views::LACKS_ACCOUNT),
    };
    (views, accounts)
}

/// Whether what an operator has in the place of our schemas can be used.
async fn schemas(store: &dyn Server) -> Outcome {
    let mut theirs = Vec::new();
    for name in Schema::names() {
        match store.get(&DbName::fixed(SYSTEM_SCHEMAS), &DocId::fixed(name)).await {
            Err(error) => return failed(error, "see that --store's user may read system_schemas"),
            Ok(None) => {}
            Ok(Some(document)) => {
                if let Some(problem) = Schema::new(name, &document, &BTreeMap::new()).problem() {
                    let remedy = "mend it, or delete it: then ours is used; until then clients get 400";
                    return failed(format!("{SYSTEM_SCHEMAS}/{name} is no schema: {problem}"), remedy);
                }
                theirs.push(name);
            }
        }
    }
    match theirs.is_empty() {
        true => ok("ours"),
        false => ok(format!("{} of system_schemas", theirs.join(", "))),
    }
}
