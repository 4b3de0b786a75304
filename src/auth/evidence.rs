//! The documents that decisions rest on: each as it is remembered, or as it was read for the decision.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use moka::future::Cache;

use crate::document::{DbName, DocId, Document};
use crate::kazoo::account::{Account, AccountId};
use crate::kazoo::documents::is_deleted;
use crate::kazoo::erlang::integer_of;
use crate::kazoo::javascript::is_truthy;
use crate::kazoo::owners;
use crate::kazoo::page::PageSize;
use crate::kazoo::profile::Ui;
use crate::kazoo::restrictions::{self, Restrictions};
use crate::kazoo::sign_in::{self, Settings};
use crate::kazoo::token::{Claims, SigningKey};
use crate::metrics::Metrics;
use crate::store::{self, SharedStore, Store};
use crate::world::World;

use super::cache::{Budget, Changes, Kept, REMEMBERED, ReadThrough};
use super::error::Error;
use super::names::{Allowances, Asker, Names};
use super::token_cache::TokenCache;

/// The database of signing keys, and the attachment that holds a key.
const SYSTEM_AUTH: &str = "system_auth";
const PRIVATE_KEY: &str = "private_key.pem";

/// The database of the system's configuration.
const SYSTEM_CONFIG: &str = "system_config";

/// What `system_config` says that any request may need: the sections `default` of some of its documents.
#[derive(Debug, Clone, Default)]
pub struct System {
    /// The id of the key that signs new tokens.
    pub system_key: Option<DocId>,
    /// What is put behind an owner's secret to sign an identity.
    pub identity_secret: Option<String>,
    /// The system's own account.
    pub master_account: Option<AccountId>,
    /// How many rows a page has where the client does not say.
    pub page_size: Option<PageSize>,
    /// How one may sign in.
    pub(super) sign_in: sign_in::Config,
    /// Whether users see their own groups alone.
    pub(super) owners: owners::Config,
    /// What restricts the tokens of accounts that have no restrictions of their own.
    pub(super) restrictions: Restrictions,
}

/// A user's document as far as a token needs it.
#[derive(Debug, Clone, Default)]
pub struct Owner {
    /// `pvt_signature_secret`.
    pub secret: Option<String>,
    /// `language`, if the user has chosen one.
    pub language: Option<String>,
    /// `priv_level`: what token restrictions know the user by.
    pub priv_level: Option<String>,
    /// Whether `enabled` does not say that the user is switched off.
    pub is_enabled: bool,
}

impl Owner {
    /// Reads a user's document; None if it is deleted.
    pub fn of_document(document: &Document) -> Option<Self> {
        (!is_deleted(document)).then(|| Self {
            secret: document.text("pvt_signature_secret"),
            language: document.text("language"),
            priv_level: document.text("priv_level"),
            is_enabled: document.get("enabled").is_none_or(is_truthy),
        })
    }
}

/// A token that was verified, and with what, so that it is verified again when one of them changes.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) claims: Arc<Claims>,
    pub(super) key: Arc<SigningKey>,
    pub(super) secrets: Option<(String, String)>,
}

/// What is remembered: a cache for each kind of document.
pub(super) struct Memory {
    pub(super) store: SharedStore,
    key_names: Names<DocId>,
    pub(super) keys: ReadThrough<DocId, SigningKey>,
    account_names: Names<AccountId>,
    pub(super) accounts: ReadThrough<AccountId, Account>,
    pub(super) owners: ReadThrough<(AccountId, DocId), Owner>,
    pub(super) restrictions: ReadThrough<AccountId, Restrictions>,
    pub(super) sign_in: ReadThrough<AccountId, sign_in::Config>,
    pub(super) owners_configs: ReadThrough<AccountId, owners::Config>,
    pub(super) basic: ReadThrough<[u8; 32], (AccountId, DocId)>,
    pub(super) system: ReadThrough<(), System>,
    pub(super) ui: ReadThrough<(), Ui>,
    /// Verified tokens by their digests, never the tokens themselves.
    pub(super) verified: Cache<[u8; 32], Verified>,
    /// Whom they speak for.
    pub(super) tokens: TokenCache,
}

impl Memory {
    pub(super) fn new(store: SharedStore, metrics: Metrics, remembered: Duration) -> Self {
        let budget = Arc::new(Budget::new());
        let of_names = Arc::new(Budget::of_names());
        let allowances = Arc::new(Allowances::new());
        let changes = Changes::default();
        Self {
            store,
            key_names: Names::new(&allowances),
            keys: ReadThrough::new("key", remembered, &metrics, &of_names, &changes),
            account_names: Names::new(&allowances),
            accounts: ReadThrough::new("account", remembered, &metrics, &of_names, &changes),
            owners: ReadThrough::new("owner", remembered, &metrics, &budget, &changes),
            restrictions: ReadThrough::new("restrictions", remembered, &metrics, &budget, &changes),
            owners_configs: ReadThrough::new("owners", remembered, &metrics, &budget, &changes),
            sign_in: ReadThrough::new("sign_in", remembered, &metrics, &budget, &changes),
            basic: ReadThrough::new("basic", remembered, &metrics, &Arc::new(Budget::new()), &changes),
            system: ReadThrough::new("config", remembered, &metrics, &budget, &changes),
            ui: ReadThrough::new("ui", remembered, &metrics, &budget, &changes),
            verified: Cache::new(REMEMBERED),
            tokens: TokenCache::new(remembered, &metrics, changes),
        }
    }

    /// The id of the key that signs new tokens, as it is remembered.
    async fn system_key(&self) -> Result<Option<DocId>, Error> {
        let system = self.system.get((), || self.read_system()).await?;
        Ok(system.value.and_then(|system| system.system_key.clone()))
    }

    pub(super) async fn read_owner(&self, account: AccountId, user: &DocId) -> Result<Option<Owner>, Error> {
        let document = self.store.get(&account.database(), user).await?;
        Ok(document.and_then(|document| Owner::of_document(&document)))
    }

    async fn read_system(&self) -> Result<Option<System>, Error> {
        let store = self.store.as_ref();
        let ids = ["auth", "accounts", "crossbar", sign_in::SYSTEM_CONFIG, restrictions::CONFIG, owners::SYSTEM_CONFIG];
        let found = try_join_all(ids.map(|id| defaults(store, id))).await?;
        let [auth, accounts, crossbar, sign_in, restrictions, owners] = found.as_slice() else {
            return Ok(None);
        };
        Ok(Some(System {
            system_key: auth.text("system_key").and_then(|id| id.parse().ok()),
            identity_secret: auth.text("secret_for_user_signature"),
            master_account: accounts.text("master_account_id").and_then(|id| id.parse().ok()),
            page_size: crossbar.get("pagination_page_size").and_then(integer_of).and_then(PageSize::new),
            sign_in: sign_in::Config::of_document(sign_in),
            owners: owners::Config::of_document(owners),
            restrictions: Restrictions::of_system(restrictions),
        }))
    }
}

/// What a decision rests on.
pub struct Evidence<'m> {
    pub(super) memory: &'m Memory,
    pub(super) world: World,
    began: Instant,
    pub(super) is_anew: bool,
    /// How long before the decision began the oldest of it was read, in nanoseconds.
    age: AtomicU64,
}

impl<'m> Evidence<'m> {
    /// What is remembered, for a decision that began at `began`.
    pub(super) fn remembered(memory: &'m Memory, world: World, began: Instant) -> Self {
        Self { memory, world, began, is_anew: false, age: AtomicU64::new(0) }
    }

    /// Only what was read since the decision began.
    pub(super) fn anew(memory: &'m Memory, world: World, began: Instant) -> Self {
        Self { is_anew: true, ..Self::remembered(memory, world, began) }
    }

    /// Whether anything of it was read before the decision began.
    pub(super) fn is_older_than_its_decision(&self) -> bool {
        self.age.load(Ordering::Relaxed) > 0
    }

    /// When the oldest of it was read.
    pub(super) fn read_at(&self) -> Instant {
        let age = Duration::from_nanos(self.age.load(Ordering::Relaxed));
        self.began.checked_sub(age).unwrap_or(self.began)
    }

    /// Takes something for evidence that was read then.
    pub(super) fn rest_on(&self, read_at: Instant) {
        let age = self.began.saturating_duration_since(read_at).as_nanos();
        self.age.fetch_max(u64::try_from(age).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) async fn look<K, T, R>(
        &self,
        cache: &ReadThrough<K, T>,
        key: K,
        read: impl FnOnce() -> R,
    ) -> Result<Option<Arc<T>>, Error>
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        T: Send + Sync + 'static,
        R: Future<Output = Result<Option<T>, Error>>,
    {
        let Kept { value, read_at } = match self.is_anew {
            true => cache.get_since(key, self.began, read).await?,
            false => cache.get(key, read).await?,
        };
        self.rest_on(read_at);
        Ok(value)
    }

    /// The signing key of this id; None if there is none.
    pub async fn key(&self, id: &DocId) -> Result<Option<Arc<SigningKey>>, Error> {
        self.look(&self.memory.keys, id.clone(), async || Ok(self.read_key(id).await?)).await
    }

    /// The signing key that a token names, and `asker` may have made up. The system's own key is known to exist.
    pub(super) async fn named_key(&self, id: &DocId, asker: Asker) -> Result<Option<Arc<SigningKey>>, Error> {
        let names = &self.memory.key_names;
        let read = async || {
            if !names.is_known(id) && self.memory.system_key().await?.as_ref() == Some(id) {
                names.know(id);
            }
            names.read(id, asker, self.read_key(id)).await
        };
        self.look(&self.memory.keys, id.clone(), read).await
    }

    async fn read_key(&self, id: &DocId) -> store::Result<Option<SigningKey>> {
        let pem = self.memory.store.attachment(&DbName::fixed(SYSTEM_AUTH), id, PRIVATE_KEY).await?;
        let unreadable = |_| store::Error::Corrupt(format!("the signing key {id} is no PEM"));
        pem.map(|pem| SigningKey::of_pem(id.as_str(), &pem).map_err(unreadable)).transpose()
    }

    /// An account by its id; None if there is none, or it is deleted.
    pub async fn account(&self, id: AccountId) -> Result<Option<Arc<Account>>, Error> {
        self.look(&self.memory.accounts, id, async || Ok(self.read_account(id).await?)).await
    }

    /// The account that a client names, and `asker` may have made up.
    pub(super) async fn named_account(&self, id: AccountId, asker: Asker) -> Result<Option<Arc<Account>>, Error> {
        let read = async || self.memory.account_names.read(&id, asker, self.read_account(id)).await;
        self.look(&self.memory.accounts, id, read).await
    }

    async fn read_account(&self, id: AccountId) -> store::Result<Option<Account>> {
        let document = self.memory.store.get(&id.database(), &id.document_id()).await?;
        Ok(document.and_then(|document| Account::of_document(id, &document)))
    }

    /// A user of an account; None if there is none, or it is deleted.
    pub async fn owner(&self, account: AccountId, user: &DocId) -> Result<Option<Arc<Owner>>, Error> {
        let read = || self.memory.read_owner(account, user);
        self.look(&self.memory.owners, (account, user.clone()), read).await
    }

    /// The system's configuration.
    pub async fn system(&self) -> Result<Arc<System>, Error> {
        let read = async || self.memory.read_system().await;
        Ok(self.look(&self.memory.system, (), read).await?.unwrap_or_default())
    }

    /// What restricts an account's tokens; nothing where it has no such document.
    pub(super) async fn restrictions(&self, account: AccountId) -> Result<Option<Arc<Restrictions>>, Error> {
        let read = async || {
            let id = DocId::fixed(restrictions::DOCUMENT);
            let document = self.memory.store.get(&account.database(), &id).await?;
            let corrupt = |malformed: restrictions::Malformed| store::Error::Corrupt(format!("{account}: {malformed}"));
            Ok(document.map(|document| Restrictions::of_account(&document).map_err(corrupt)).transpose()?)
        };
        self.look(&self.memory.restrictions, account, read).await
    }

    /// How one may sign in to an account: its own configuration, that of its ancestors up to the nearest reseller,
    /// and the system's.
    pub(super) async fn sign_in_settings(&self, account: &Account) -> Result<Settings, Error> {
        let own = self.sign_in_config(account.id).await?;
        let mut ancestors = Vec::new();
        let mut is_reseller = account.is_reseller;
        for ancestor in account.ancestors.iter().rev() {
            if is_reseller {
                break;
            }
            ancestors.extend(self.sign_in_config(*ancestor).await?);
            is_reseller = self.account(*ancestor).await?.is_some_and(|ancestor| ancestor.is_reseller);
        }
        let system = self.system().await?;
        Ok(Settings::new(&system.sign_in, ancestors.iter().map(Arc::as_ref), own.as_deref()))
    }

    async fn sign_in_config(&self, account: AccountId) -> Result<Option<Arc<sign_in::Config>>, Error> {
        let read = async || {
            let document = self.memory.store.get(&account.database(), &DocId::fixed(sign_in::ACCOUNT_CONFIG)).await?;
            Ok(document.filter(|document| !is_deleted(document)).map(|of| sign_in::Config::of_document(&of)))
        };
        self.look(&self.memory.sign_in, account, read).await
    }
}

/// The section `default` of a document of `system_config`; empty if there is none.
pub(super) async fn defaults(store: &dyn Store, id: &'static str) -> store::Result<Document> {
    let document = store.get(&DbName::fixed(SYSTEM_CONFIG), &DocId::fixed(id)).await?;
    Ok(document.and_then(|document| document.get("default").and_then(Document::from_raw)).unwrap_or_default())
}
