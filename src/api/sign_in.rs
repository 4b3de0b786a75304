//! Signing in: a user's credentials, or an account's API key, for a token.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde_json::json;
use serde_json::value::RawValue;

use crate::document::{DbName, DocId, Document, json};
use crate::kazoo::account::{ACCOUNTS, Account, AccountId, alphanumeric};
use crate::kazoo::schema::{API_AUTH, USER_AUTH, validation_error};
use crate::kazoo::token::{Claims, IdentityKey};
use crate::kazoo::views;
use crate::store::{self, Query, Row, Select, View};

use super::Api;
use super::answer::{Answer, Data, Paging, Shown};
use super::error::Error;
use super::incoming::Incoming;

/// What tokens say of how they were come by: Kazoo's modules.
const BY_CREDENTIALS: &str = "cb_user_auth";
const BY_API_KEY: &str = "cb_api_auth";

/// The language of whoever has not chosen one.
const DEFAULT_LANGUAGE: &str = "en-US";

/// How often a new secret is tried to be stored beside somebody else's change.
const SECRET_ATTEMPTS: usize = 5;

/// `PUT /v2/user_auth`: `credentials` is the md5 or sha1 of `user:password`, the account is named by realm or name.
pub async fn by_credentials(api: &Api, incoming: &Incoming) -> Result<Answer, Error> {
    api.limiter.sign_in(&incoming.http)?;
    let data = USER_AUTH.validate_raw(incoming.data())?;
    let credentials = data.text("credentials").unwrap_or_default();
    let view = if data.text("method").as_deref() == Some("sha") { views::USERS_BY_SHA } else { views::USERS_BY_MD5 };
    let mut error = Error::InvalidCredentials;
    for account in named_accounts(api, &data).await? {
        let Some(user) = user_with(api, account, &view, &credentials).await? else {
            error = Error::UnknownCredentials;
            continue;
        };
        let account = api.authenticator.account(account).await?.ok_or(Error::InvalidCredentials)?;
        return signed_in(api, incoming, &account, Some(user), BY_CREDENTIALS).await;
    }
    Err(error)
}

/// `PUT /v2/api_auth`
pub async fn by_api_key(api: &Api, incoming: &Incoming) -> Result<Answer, Error> {
    api.limiter.sign_in(&incoming.http)?;
    let data = API_AUTH.validate_raw(incoming.data())?;
    let key = data.text("api_key").unwrap_or_default();
    let unknown = || Error::UnknownApiKey(key.clone());
    let row =
        secret_row(api, &DbName::fixed(ACCOUNTS), &views::ACCOUNTS_BY_API_KEY, &key).await?.ok_or_else(unknown)?;
    let account = account_of(&row).ok_or_else(unknown)?;
    let account = api.authenticator.account(account).await?.ok_or_else(unknown)?;
    signed_in(api, incoming, &account, None, BY_API_KEY).await
}

/// The accounts that a sign-in names: by realm, or else by name, which several may share.
async fn named_accounts(api: &Api, data: &Document) -> Result<Vec<AccountId>, Error> {
    let realm = data.text("account_realm").or_else(|| data.text("realm"));
    let (view, key) = match (realm, data.text("account_name")) {
        (Some(realm), _) => (views::ACCOUNTS_BY_REALM, realm.to_lowercase()),
        (None, Some(name)) => (views::ACCOUNTS_BY_NAME, alphanumeric(&name)),
        (None, None) => return Ok(Vec::new()),
    };
    let query = Query { select: Select::Key(key, None), limit: 10, documents: false };
    let rows = api.store.query(&DbName::fixed(ACCOUNTS), &view, &query).await?;
    Ok(rows.iter().filter_map(account_of).collect())
}

/// The user of an account who has these credentials.
async fn user_with(api: &Api, account: AccountId, view: &View, credentials: &str) -> Result<Option<DocId>, Error> {
    let row = secret_row(api, &account.database(), view, credentials).await?;
    Ok(row.and_then(|row| Document::from_raw(&row.value)?.text("owner_id")?.parse().ok()))
}

/// The first row of a key that is a secret. The view finds it as it collates texts, which takes some for equal that
/// are not; here it is compared byte by byte, in constant time.
async fn secret_row(api: &Api, database: &DbName, view: &View, secret: &str) -> Result<Option<Row>, Error> {
    let query = Query { select: Select::Key(secret.to_owned(), None), limit: 10, documents: false };
    let rows = api.store.query(database, view, &query).await?;
    Ok(rows.into_iter().find(|row| verify_slices_are_equal(row.key.as_bytes(), secret.as_bytes()).is_ok()))
}

fn account_of(row: &Row) -> Option<AccountId> {
    Document::from_raw(&row.value)?.text("account_id")?.parse().ok()
}

/// A token for an account, or a user of it, that is neither disabled nor expired.
async fn signed_in(
    api: &Api,
    incoming: &Incoming,
    account: &Arc<Account>,
    user: Option<DocId>,
    method: &str,
) -> Result<Answer, Error> {
    api.must_not_be_expired(account)?;
    if !account.is_enabled {
        return Err(validation_error("account", "disabled", json!({ "message": "account disabled" })).into());
    }
    if incoming.only_reads() {
        return Err(Error::NotFound);
    }
    let token = new_token(api, account, user.as_ref(), method).await?;
    let created_id = user.as_ref().map_or_else(|| account.id.to_string(), ToString::to_string);
    Ok(Answer {
        created: true,
        data: Data::One(shown(api, account, user.as_ref()).await?),
        revision: Shown::Automatic,
        page: Some(Paging { size: 1, ..Paging::default() }),
        created_id: Some(created_id),
        token: Some(token),
    })
}

/// A token that a Kazoo of the same system accepts too.
async fn new_token(api: &Api, account: &Account, user: Option<&DocId>, method: &str) -> Result<String, Error> {
    let config = api.authenticator.config().await?;
    let broken = |what: &str| store::Error::Corrupt(format!("no tokens can be made: {what}"));
    let key_id = config.system_key.as_ref().ok_or_else(|| broken("system_config/auth names no system_key"))?;
    let key = api.authenticator.key(key_id).await?.ok_or_else(|| broken("the system key is missing"))?;
    let system_secret = config.identity_secret.as_ref();
    let system_secret = system_secret.ok_or_else(|| broken("system_config/auth has no secret_for_user_signature"))?;
    let owner_secret = owner_secret(api, account, user).await?;
    let expires = api.world.unix_seconds().saturating_add(config.token_lifetime);
    let claims = Claims::new(account.id, user.map(ToString::to_string), method, expires);
    let token = key.sign(claims, &IdentityKey::new(&owner_secret, system_secret));
    Ok(token.map_err(|_| broken("the system key can't sign"))?)
}

/// The secret that signs an owner's identity. Who has none yet gets one, as Kazoo gives it.
async fn owner_secret(api: &Api, account: &Account, user: Option<&DocId>) -> Result<String, Error> {
    let id = user.cloned().unwrap_or_else(|| account.id.document_id());
    let database = account.id.database();
    for _ in 0..SECRET_ATTEMPTS {
        let document = api.store.get(&database, &id).await?;
        let mut document = document.ok_or(Error::InvalidCredentials)?;
        if let Some(secret) = document.text("pvt_signature_secret") {
            return Ok(secret);
        }
        let secret = api.world.secret();
        document.set_text("pvt_signature_secret", &secret);
        match api.store.put(&database, &document).await {
            Ok(_) => {
                api.authenticator.forget(account.id, &id).await;
                return Ok(secret);
            }
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(store::Error::Conflict.into())
}

/// What a client is told of whom it signed in as.
async fn shown(api: &Api, account: &Account, user: Option<&DocId>) -> Result<Box<RawValue>, Error> {
    let owner = match user {
        Some(user) => api.authenticator.owner(account.id, user).await?,
        None => None,
    };
    let language = owner.and_then(|owner| owner.language.clone()).or_else(|| account.language.clone());
    let master = api.authenticator.config().await?.master_account.clone();
    let mut shown = Document::new();
    if let Some(user) = user {
        shown.set_text("owner_id", user.as_str());
    }
    shown.set_text("account_id", account.id.as_str());
    shown.set("apps", json::raw(&[(); 0]));
    shown.set_text("language", language.as_deref().unwrap_or(DEFAULT_LANGUAGE));
    if let Some(name) = &account.name {
        shown.set_text("account_name", name);
    }
    if let Some(reseller) = reseller(api, account).await?.or_else(|| master.as_deref()?.parse().ok()) {
        shown.set_text("reseller_id", reseller.as_str());
    }
    shown.set("is_reseller", json::raw(&(account.is_reseller || account.is_superduper_admin)));
    shown.set("is_master_account", json::raw(&(master.as_deref() == Some(account.id.as_str()))));
    Ok(shown.to_raw())
}

/// The nearest ancestor that sells to others.
async fn reseller(api: &Api, account: &Account) -> Result<Option<AccountId>, Error> {
    for ancestor in account.ancestors.iter().rev() {
        let ancestor = api.authenticator.account(*ancestor).await?;
        if let Some(reseller) = ancestor.filter(|ancestor| ancestor.is_reseller || ancestor.is_superduper_admin) {
            return Ok(Some(reseller.id));
        }
    }
    Ok(None)
}
