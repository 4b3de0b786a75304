//! `doctor`: whether the service can do its work before a store, a line for each thing that it needs, and what to do
//! where one is not as it should be.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{TryStreamExt, pin_mut};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::auth::{Asker, Auth, Credentials, Owner, System};
use crate::databases::{self, documents};
use crate::document::{DbName, DocId};
use crate::kazoo::account::{Account, AccountId};
use crate::kazoo::documents::is_of_type;
use crate::kazoo::schema::{SYSTEM_SCHEMAS, Schema};
use crate::kazoo::token::{Claims, SigningKey};
use crate::metrics::Metrics;
use crate::store::{Attachments, Server, ServerInfo, SharedServer, SharedStore};
use crate::world::World;

use super::{counted, views};

/// The oldest CouchDB whose answers are known to be those we need.
const OLDEST_COUCHDB: u32 = 2;

/// How far the store's clock may be from ours. It tells whole seconds.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// The shortest key that may sign tokens.
const KEY_BITS: usize = 2048;

/// How long the token that is tried would hold.
const TOKEN_LIFETIME_S: i64 = 60;

/// How long what is read is remembered: one look.
const REMEMBERED: Duration = Duration::from_secs(1);

/// What to do where a store is not reached, and nothing more is known.
const SEE_STORE: &str = "see that it runs, and that --store has its host, port, user and password (or its folder)";

/// One thing that the service needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What was found.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is as it should be.
    Ok {
        /// What it is.
        found: String,
    },
    /// It is not as it should be.
    Failed {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// It could not be looked at, or need not be.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// All that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// One after another; what needs what failed is not there.
    pub checks: Vec<Check>,
}

fn ok(found: impl Into<String>) -> Outcome {
    Outcome::Ok { found: found.into() }
}

fn failed(problem: impl fmt::Display, remedy: impl Into<String>) -> Outcome {
    Outcome::Failed { problem: problem.to_string(), remedy: remedy.into() }
}

fn skipped(reason: impl Into<String>) -> Outcome {
    Outcome::Skipped { reason: reason.into() }
}

impl Report {
    /// The report of a store that could not be opened.
    pub fn unreachable(reason: &impl fmt::Display, remedy: Option<&'static str>) -> Self {
        Self { checks: vec![Check { name: "reachable", outcome: failed(reason, remedy.unwrap_or(SEE_STORE)) }] }
    }

    /// Whether nothing failed.
    pub fn is_well(&self) -> bool {
        self.checks.iter().all(|check| !matches!(check.outcome, Outcome::Failed { .. }))
    }
}

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

fn reachable(server: &ServerInfo) -> Outcome {
    match server {
        ServerInfo::Couch { failing, .. } if !failing.is_empty() => {
            failed(format!("it answers, but not by {}", failing.join("; ")), SEE_STORE)
        }
        _ => ok("it answers"),
    }
}

fn version(server: &ServerInfo) -> Outcome {
    let ServerInfo::Couch { version, .. } = server else {
        return ok(format!("the embedded store of {} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")));
    };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= OLDEST_COUCHDB => ok(format!("CouchDB {version}")),
        _ => failed(format!("CouchDB {version}"), format!("update it to CouchDB {OLDEST_COUCHDB} or later")),
    }
}

fn cluster(server: &ServerInfo) -> Outcome {
    let ServerInfo::Couch { nodes, .. } = server else { return skipped("the store is embedded") };
    let Some(nodes) = nodes else { return skipped("the server does not tell its nodes to this user") };
    let away: Vec<&str> =
        nodes.cluster.iter().filter(|node| !nodes.connected.contains(node)).map(String::as_str).collect();
    if away.is_empty() {
        return ok(format!("{} of {} nodes: {}", nodes.cluster.len(), nodes.cluster.len(), nodes.cluster.join(", ")));
    }
    let problem = format!("{} of {} nodes are away: {}", away.len(), nodes.cluster.len(), away.join(", "));
    failed(problem, "start them, or take them out of the cluster")
}

fn clock(server: &ServerInfo, before: SystemTime, after: SystemTime) -> Outcome {
    let ServerInfo::Couch { time, .. } = server else { return skipped("the store is embedded") };
    let Some(time) = time else { return skipped("the server does not tell the time") };
    // the server answered between the two, in a second of its own that had begun
    let behind = before.duration_since(*time).unwrap_or_default();
    let ahead = time.duration_since(after).unwrap_or_default();
    let (far, which) = if behind > ahead { (behind, "behind") } else { (ahead, "ahead of") };
    if far <= CLOCK_TOLERANCE {
        return ok(format!("within {} s of ours", CLOCK_TOLERANCE.as_secs()));
    }
    let problem = format!("the server's clock is {} s {which} ours", far.as_secs());
    failed(problem, "synchronise both with NTP: tokens and pvt_modified depend on it")
}

async fn system_key(auth: &Auth, system: &Result<&System, String>) -> (Outcome, Option<Arc<SigningKey>>) {
    let system = match system {
        Ok(system) => system,
        Err(error) => return (failed(error, "see that --store's user may read system_config"), None),
    };
    let Some(id) = &system.system_key else {
        let remedy = "start Kazoo once, which makes it, or import system_config of its dump";
        return (failed("system_config/auth names no system_key", remedy), None);
    };
    match auth.decide(async |evidence| evidence.key(id).await).await {
        Err(error) => (failed(error, "see that --store's user may read system_auth"), None),
        Ok(None) => {
            let problem =
                format!("system_auth/{id} has no private_key.pem that is a private RSA key of {KEY_BITS} bits or more");
            (failed(problem, "restore it from a backup: Kazoo signs with the same key"), None)
        }
        Ok(Some(key)) if key.bits() < KEY_BITS => {
            let problem = format!("{id} is an RSA key of {} bits", key.bits());
            (failed(problem, format!("make one of at least {KEY_BITS} bits: shorter ones can be broken")), Some(key))
        }
        Ok(Some(key)) => (ok(format!("{id}, RSA, {} bits", key.bits())), Some(key)),
    }
}

/// Whether there is one, too.
fn secret(system: &Result<&System, String>) -> (Outcome, bool) {
    match system {
        Err(error) => (failed(error, "see that --store's user may read system_config"), false),
        Ok(system) if system.identity_secret.as_ref().is_some_and(|secret| !secret.is_empty()) => {
            (ok("in system_config/auth"), true)
        }
        Ok(_) => {
            let remedy = "start Kazoo once, which makes it, or import system_config of its dump";
            (failed("system_config/auth has no secret_for_user_signature", remedy), false)
        }
    }
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

/// Makes a token as a sign-in makes it, and has it checked as a request's is.
async fn token(
    store: &dyn Server,
    auth: &Auth,
    system: &System,
    (only, accounts): (Option<AccountId>, &[AccountId]),
    world: World,
) -> Outcome {
    let first = accounts.first().copied();
    let candidates = only.map_or_else(|| system.master_account.into_iter().chain(first).collect(), |only| vec![only]);
    let mut owner = None;
    for account in candidates {
        match owner_of(store, account).await {
            Ok(None) => {}
            Ok(Some((user, owner_secret))) => {
                owner = Some((account, user, owner_secret));
                break;
            }
            Err(error) => return failed(error, "see `accounts` above"),
        }
    }
    let Some((account, user, owner_secret)) = owner else {
        return skipped("no account or user has a secret yet; who signs in gets one");
    };
    let expires = world.unix_seconds().saturating_add(TOKEN_LIFETIME_S);
    let claims = Claims::new(account, user.as_ref().map(ToString::to_string), "doctor", expires);
    let believed = auth.decide(async |evidence| {
        let token = evidence.sign(claims.clone(), &owner_secret).await?;
        evidence.identify(&Credentials::Token(token), None, Asker::Account(account)).await
    });
    match believed.await {
        Ok(identity) if identity.account == account => ok(format!("made for {account}, and believed")),
        Ok(_) | Err(_) => failed(
            format!("a token made for {account} is not believed"),
            "see `system key` and `secret` above; if they were just changed, try again",
        ),
    }
}

/// Who of an account has a secret that signs tokens: the account itself, or a user.
async fn owner_of(store: &dyn Server, account: AccountId) -> Result<Option<(Option<DocId>, String)>, databases::Error> {
    let database = account.database();
    let own = store.get(&database, &account.document_id()).await?;
    let Some(own) = own.and_then(|own| Account::of_document(account, &own)) else { return Ok(None) };
    if let Some(secret) = own.signature_secret {
        return Ok(Some((None, secret)));
    }
    let documents = documents(store, &database, Attachments::Named);
    pin_mut!(documents);
    while let Some(document) = documents.try_next().await? {
        let is_user = is_of_type(&document, "user");
        let id = document.id().filter(|_| is_user).and_then(|id| id.parse().ok());
        let owner = Owner::of_document(&document).filter(|owner| owner.is_enabled);
        if let (Some(id), Some(secret)) = (id, owner.and_then(|owner| owner.secret)) {
            return Ok(Some((Some(id), secret)));
        }
    }
    Ok(None)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, outcome } in &self.checks {
            match outcome {
                Outcome::Ok { found } => writeln!(f, "ok       {name}: {found}")?,
                Outcome::Failed { problem, remedy } => writeln!(f, "FAILED   {name}: {problem} — {remedy}")?,
                Outcome::Skipped { reason } => writeln!(f, "skipped  {name}: {reason}")?,
            }
        }
        Ok(())
    }
}
