//! Whether tokens can be signed and are believed: the system's key, the secret, and a token that is tried.

use std::sync::Arc;

use futures::{TryStreamExt, pin_mut};

use crate::auth::{Asker, Auth, Credentials, Owner, System};
use crate::databases::{self, documents};
use crate::document::DocId;
use crate::kazoo::account::{Account, AccountId};
use crate::kazoo::documents::is_of_type;
use crate::kazoo::token::{Claims, SigningKey};
use crate::store::{Attachments, Server};
use crate::world::World;

use super::report::{Outcome, failed, ok, skipped};

/// The shortest key that may sign tokens.
const KEY_BITS: usize = 2048;

/// How long the token that is tried would hold.
const TOKEN_LIFETIME_S: i64 = 60;

/// Whether the key is there that signs tokens, and the key.
pub(super) async fn system_key(auth: &Auth, system: &Result<&System, String>) -> (Outcome, Option<Arc<SigningKey>>) {
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

/// Whether the secret is there of which who owns a token has a part; and the same as a bool.
pub(super) fn secret(system: &Result<&System, String>) -> (Outcome, bool) {
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

/// Makes a token as a sign-in makes it, and has it checked as a request's is.
pub(super) async fn token(
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
