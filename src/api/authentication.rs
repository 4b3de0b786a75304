//! Who a token speaks for, and the documents that say so: signing keys, owners' secrets, accounts. They are read from
//! the store and remembered for a few seconds, what is not there too, so that neither a busy client nor a flood of
//! made-up keys costs a read for each request. Nothing is ever written for a token that comes in.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use moka::Entry;
use moka::future::Cache;

use crate::document::{DbName, DocId, Document, json};
use crate::kazoo::account::{Account, AccountId};
use crate::kazoo::filter;
use crate::kazoo::token::{self, Claims, IdentityKey, SigningKey};
use crate::metrics::Metrics;
use crate::store::{self, SharedStore, Store};

use super::error::Error;

/// The database of signing keys, and the attachment that holds a key.
const SYSTEM_AUTH: &str = "system_auth";
const PRIVATE_KEY: &str = "private_key.pem";

/// The database of the system's configuration.
const SYSTEM_CONFIG: &str = "system_config";

/// How long a token made here lives, unless `system_config` says otherwise.
const TOKEN_LIFETIME_S: i64 = 3600;

/// How many documents of each kind, and tokens, are remembered.
const REMEMBERED: u64 = 10_000;

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The token's account.
    pub account: AccountId,
    /// The token's user, if it speaks for one.
    pub user: Option<String>,
}

/// What `system_config` says of tokens.
#[derive(Debug, Clone, Default)]
pub struct SystemConfig {
    /// The id of the key that signs new tokens.
    pub system_key: Option<DocId>,
    /// What is put behind an owner's secret to sign an identity.
    pub identity_secret: Option<String>,
    /// The system's own account.
    pub master_account: Option<String>,
    /// How long a new token lives, in seconds.
    pub token_lifetime: i64,
}

/// A user's document as far as a token needs it.
#[derive(Debug, Clone, Default)]
pub struct Owner {
    /// `pvt_signature_secret`.
    pub secret: Option<String>,
    /// `language`, if the user has chosen one.
    pub language: Option<String>,
}

/// A token that was verified, and with what, so that it is verified again when one of them changes.
#[derive(Clone)]
struct Verified {
    claims: Arc<Claims>,
    key: Arc<SigningKey>,
    secrets: Option<(String, String)>,
}

/// Verifies tokens, and reads what that takes.
pub struct Authenticator {
    store: SharedStore,
    metrics: Metrics,
    keys: Cache<DocId, Option<Arc<SigningKey>>>,
    accounts: Cache<AccountId, Option<Arc<Account>>>,
    owners: Cache<(AccountId, DocId), Option<Arc<Owner>>>,
    config: Cache<(), Arc<SystemConfig>>,
    verified: Cache<[u8; 32], Verified>,
}

impl Authenticator {
    /// Remembers what it reads for `remembered`; a change takes that long to be seen.
    pub fn new(store: SharedStore, metrics: Metrics, remembered: Duration) -> Self {
        Self {
            store,
            metrics,
            keys: cache(remembered),
            accounts: cache(remembered),
            owners: cache(remembered),
            config: cache(remembered),
            verified: Cache::new(REMEMBERED),
        }
    }

    /// Who a token speaks for, at `now` (seconds since 1970).
    ///
    /// Errors: [`Error::InvalidCredentials`] for whatever is wrong with the token, or a fault of the store.
    pub async fn known(&self, token: &str, now: i64) -> Result<Known, Error> {
        let claims = self.claims(token).await?;
        if !claims.is_current(now) {
            return Err(Error::InvalidCredentials);
        }
        let account = claims.account_id.parse().map_err(|_| Error::InvalidCredentials)?;
        Ok(Known { account, user: claims.owner_id.clone() })
    }

    /// What a token says, if its signatures hold.
    async fn claims(&self, token: &str) -> Result<Arc<Claims>, Error> {
        let invalid = |_| Error::InvalidCredentials;
        let key_id = token::key_id(token).map_err(invalid)?;
        let key_id = key_id.parse::<DocId>().map_err(|_| Error::InvalidCredentials)?;
        let key = self.key(&key_id).await?.ok_or(Error::InvalidCredentials)?;
        let fingerprint = fingerprint(token);
        if let Some(verified) = self.verified.get(&fingerprint).await
            && Arc::ptr_eq(&verified.key, &key)
            && verified.secrets == self.secrets(&verified.claims).await?
        {
            return Ok(verified.claims);
        }
        let claims = Arc::new(key.verify(token).map_err(invalid)?);
        let secrets = self.secrets(&claims).await?;
        if claims.identity_sig.is_some() {
            let (owner, system) = secrets.as_ref().ok_or(Error::InvalidCredentials)?;
            if !IdentityKey::new(owner, system).signed(&claims) {
                return Err(Error::InvalidCredentials);
            }
        }
        self.verified.insert(fingerprint, Verified { claims: Arc::clone(&claims), key, secrets }).await;
        Ok(claims)
    }

    /// The secrets that sign the identity of a token's owner: the owner's and the system's.
    async fn secrets(&self, claims: &Claims) -> Result<Option<(String, String)>, Error> {
        let Ok(account) = claims.account_id.parse::<AccountId>() else { return Ok(None) };
        let owner = match claims.owner_id.as_deref().map(str::parse::<DocId>) {
            Some(Ok(user)) => self.owner(account, &user).await?.and_then(|owner| owner.secret.clone()),
            Some(Err(_)) => None,
            None => self.account(account).await?.and_then(|account| account.signature_secret.clone()),
        };
        Ok(owner.zip(self.config().await?.identity_secret.clone()))
    }

    /// The signing key of this id; None if there is none.
    pub async fn key(&self, id: &DocId) -> Result<Option<Arc<SigningKey>>, store::Error> {
        let read = async {
            let pem = self.store.attachment(&DbName::fixed(SYSTEM_AUTH), id, PRIVATE_KEY).await?;
            Ok(pem.and_then(|pem| SigningKey::of_pem(id.as_str(), &pem).ok()).map(Arc::new))
        };
        self.remembered("key", self.keys.entry(id.clone()).or_try_insert_with(read).await)
    }

    /// An account by its id; None if there is none, or it is deleted.
    pub async fn account(&self, id: AccountId) -> Result<Option<Arc<Account>>, store::Error> {
        let read = async {
            let document = self.store.get(&id.database(), &id.document_id()).await?;
            Ok(document.and_then(|document| Account::of_document(id, &document)).map(Arc::new))
        };
        self.remembered("account", self.accounts.entry(id).or_try_insert_with(read).await)
    }

    /// A user of an account; None if there is none, or it is deleted.
    pub async fn owner(&self, account: AccountId, user: &DocId) -> Result<Option<Arc<Owner>>, store::Error> {
        let read = async {
            let document = self.store.get(&account.database(), user).await?;
            let document = document.filter(|document| !document.is_true("pvt_deleted"));
            Ok(document.map(|document| {
                let secret = document.text("pvt_signature_secret");
                Arc::new(Owner { secret, language: document.text("language") })
            }))
        };
        self.remembered("owner", self.owners.entry((account, user.clone())).or_try_insert_with(read).await)
    }

    /// Forgets a user or an account's own document, which was just written.
    pub async fn forget(&self, account: AccountId, id: &DocId) {
        self.owners.invalidate(&(account, id.clone())).await;
        if *id == account.document_id() {
            self.accounts.invalidate(&account).await;
        }
    }

    /// The system's configuration.
    pub async fn config(&self) -> Result<Arc<SystemConfig>, store::Error> {
        let read = async {
            let auth = defaults(self.store.as_ref(), "auth").await?;
            let accounts = defaults(self.store.as_ref(), "accounts").await?;
            let crossbar = defaults(self.store.as_ref(), "crossbar.auth").await?;
            let lifetime = crossbar.get("token_auth_expiry_s").and_then(filter::integer_of);
            Ok(Arc::new(SystemConfig {
                system_key: auth.text("system_key").and_then(|id| id.parse().ok()),
                identity_secret: auth.text("secret_for_user_signature"),
                master_account: accounts.text("master_account_id"),
                token_lifetime: lifetime.filter(|seconds| *seconds > 0).unwrap_or(TOKEN_LIFETIME_S),
            }))
        };
        self.remembered("config", self.config.entry(()).or_try_insert_with(read).await)
    }
}

impl Authenticator {
    /// What was remembered or read; a fault is not remembered, but shared by those who waited for it.
    fn remembered<K, T: Clone + Send + Sync + 'static>(
        &self,
        of: &str,
        found: Result<Entry<K, T>, Arc<store::Error>>,
    ) -> Result<T, store::Error> {
        self.metrics.cache_lookup(of, found.as_ref().is_ok_and(|entry| !entry.is_fresh()));
        found.map(Entry::into_value).map_err(|error| store::Error::clone(&error))
    }
}

/// The `default` section of a document of `system_config`; empty if there is none.
async fn defaults(store: &dyn Store, id: &'static str) -> Result<Document, store::Error> {
    let document = store.get(&DbName::fixed(SYSTEM_CONFIG), &DocId::fixed(id)).await?;
    Ok(document.and_then(|document| document.get("default").and_then(Document::from_raw)).unwrap_or_default())
}

fn cache<K, V>(remembered: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(REMEMBERED).time_to_live(remembered).build()
}

/// What a token is remembered by: never the token itself.
fn fingerprint(token: &str) -> [u8; 32] {
    let digest = digest(&SHA256, token.as_bytes());
    digest.as_ref().try_into().unwrap_or_else(|_| unreachable!("SHA-256 gives 32 bytes"))
}

/// Where a request carries its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Nowhere.
    None,
    /// Where Kazoo looks for one of its own: `X-Auth-Token`, or `auth_token` in the query or the body.
    Own(String),
    /// In `Authorization`, of which Kazoo's own tokens are not taken.
    Foreign(String),
}

impl Token {
    /// The token's text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Own(token) | Self::Foreign(token) => Some(token),
        }
    }

    /// A token by the header's text, without the scheme before it.
    pub fn of_authorization(header: &str) -> Self {
        let token = header.strip_prefix("Basic ").or_else(|| header.strip_prefix("Bearer ")).unwrap_or(header);
        Self::Foreign(token.to_owned())
    }
}

/// A value of an envelope as a text, as `auth_token` and `verb` are read.
pub fn text_of(envelope: &Document, key: &str) -> Option<String> {
    let value = json::tree(envelope.get(key)?).ok()?;
    filter::as_text(&value)
}
