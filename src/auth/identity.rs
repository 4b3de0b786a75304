//! Whom a request's credentials speak for, and what those may do.

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use crate::document::{DocId, hex};
use crate::kazoo::account::{Account, AccountId};
use crate::kazoo::owners::Mode;
use crate::kazoo::restrictions::{self, Access, Restrictions, Whose};
use crate::kazoo::sign_in::{BasicType, Method};
use crate::kazoo::token::{self, Claims, IdentityKey};
use crate::kazoo::verb::Verb;
use crate::kazoo::views;
use crate::store;

use super::door::Door;
use super::error::{Disbelief, Error};
use super::evidence::{Evidence, Verified};
use super::names::Asker;
use super::secrets;

/// What tokens whose claims name no method are called in token restrictions.
const NO_METHOD: &str = "undefined";

/// The privilege level of a user whose document names none.
const DEFAULT_USER_LEVEL: &str = "user";

/// What a request carries to show whom it speaks for.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    None,
    /// A token of Kazoo's, where Kazoo looks for one: `X-Auth-Token`, or `auth_token` in the query or the body.
    Token(String),
    /// What stands after `Basic` in `Authorization`.
    Basic(String),
    /// Another text in `Authorization`. Kazoo's own tokens are not taken from there.
    Foreign(String),
}

impl Credentials {
    /// Those of an `Authorization` header.
    pub fn of_authorization(header: &str) -> Self {
        match (header.strip_prefix("Basic "), header.strip_prefix("Bearer ")) {
            (Some(basic), _) => Self::Basic(basic.to_owned()),
            (None, Some(bearer)) => Self::Foreign(bearer.to_owned()),
            (None, None) => Self::Foreign(header.to_owned()),
        }
    }

    /// Their text, as envelopes echo it.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Token(text) | Self::Basic(text) | Self::Foreign(text) => Some(text),
        }
    }

    /// The account that they sign in to, if they do.
    pub fn door(&self) -> Option<Door> {
        match self {
            Self::Basic(basic) => account_and_secret(basic).map(|(account, _)| Door::of_account(account)),
            Self::None | Self::Token(_) | Self::Foreign(_) => None,
        }
    }
}

/// Whom a request speaks for, and what was read of that.
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// The user of it, if it speaks for one.
    pub user: Option<String>,
    /// How the token was come by: a crossbar module's name.
    pub method: String,
    /// The account's document.
    own: Arc<Account>,
    /// Whether nothing restricts the account's tokens.
    is_unrestricted: bool,
    /// Whether nothing restricts it to its user's own groups.
    sees_all: bool,
    /// When the token ends, in seconds since 1970, if it does.
    pub ends: Option<i64>,
    /// When the oldest of it was read.
    read_at: Instant,
}

impl Evidence<'_> {
    /// Whom the credentials of `asker` speak for. `account` is the one that `X-Auth-Account-ID` says the token is of.
    ///
    /// Errors: [`Error::AccountExpired`]; [`Error::AccountDisabled`] for Basic ones, which are a sign-in; for whatever
    /// else is wrong [`Error::InvalidCredentials`].
    pub async fn identify(
        &self,
        credentials: &Credentials,
        account: Option<&str>,
        asker: Asker,
    ) -> Result<Arc<Identity>, Error> {
        let identity = match credentials {
            Credentials::Token(token) => self.of_token(token, account, asker).await?,
            Credentials::Basic(basic) => self.of_basic(basic, asker).await?,
            Credentials::None => return Err(Disbelief::None.into()),
            Credentials::Foreign(_) => return Err(Disbelief::NotFromAuthorization.into()),
        };
        self.must_not_be_expired(&identity.own)?;
        Ok(identity)
    }

    /// An identity with what is to be known of its account: whoever's account is deleted is nobody.
    async fn identity(
        &self,
        account: AccountId,
        user: Option<String>,
        method: String,
        ends: Option<i64>,
    ) -> Result<Arc<Identity>, Error> {
        let own = self.account(account).await?.ok_or(Disbelief::NoAccount)?;
        // where that can't be read, whoever is to be restricted is told
        let is_unrestricted = own.is_superduper_admin || self.nothing_restricts(account).await.unwrap_or(false);
        let sees_all = self.own_groups_alone(&own, user.as_deref()).await.is_ok_and(|mode| mode.is_none());
        let read_at = self.read_at();
        Ok(Arc::new(Identity { account, user, method, own, is_unrestricted, sees_all, ends, read_at }))
    }

    /// How an identity is restricted to its user's own groups, and to whose; None: not at all.
    ///
    /// Errors: what says so can't be read.
    pub async fn restricted_to_own<'i>(&self, identity: &'i Identity) -> Result<Option<(Mode, &'i str)>, Error> {
        if identity.sees_all && self.trusts(identity) {
            return Ok(None);
        }
        let Some(own) = self.account(identity.account).await? else { return Ok(None) };
        let user = identity.user.as_deref();
        Ok(self.own_groups_alone(&own, user).await?.zip(user))
    }

    /// Whether an identity is to be taken for what was read of it, as remembered evidence is.
    fn trusts(&self, identity: &Identity) -> bool {
        if !self.is_anew {
            self.rest_on(identity.read_at);
        }
        !self.is_anew
    }

    async fn of_token(&self, token: &str, account: Option<&str>, asker: Asker) -> Result<Arc<Identity>, Error> {
        let fingerprint = fingerprint(token);
        let (claims, identity) = match self.recognized(&fingerprint) {
            Some(recognized) => recognized,
            None => self.recognize(token, fingerprint, asker).await?,
        };
        if !claims.is_current(self.world.unix_seconds()) {
            return Err(Disbelief::NotCurrent.into());
        }
        if account.is_some_and(|account| account != claims.account_id) {
            return Err(Disbelief::OtherAccount.into());
        }
        Ok(identity)
    }

    /// Whom a token speaks for, as long as it holds, if it is a token and its user and account are there.
    async fn recognize(
        &self,
        token: &str,
        fingerprint: [u8; 32],
        asker: Asker,
    ) -> Result<(Arc<Claims>, Arc<Identity>), Error> {
        let changes = self.memory.tokens.changes();
        let claims = self.claims(token, fingerprint, asker).await?;
        let account = claims.account_id.parse().map_err(|_| Disbelief::NoAccount)?;
        if let Some(user) = &claims.owner_id {
            self.must_be_a_user(account, user).await?;
        }
        let method = claims.method.clone().unwrap_or_else(|| NO_METHOD.to_owned());
        let identity = self.identity(account, claims.owner_id.clone(), method, claims.exp).await?;
        self.memory.tokens.keep(fingerprint, &claims, &identity, identity.read_at, changes);
        Ok((claims, identity))
    }

    /// The same, as it is remembered.
    fn recognized(&self, fingerprint: &[u8; 32]) -> Option<(Arc<Claims>, Arc<Identity>)> {
        let recognized = self.memory.tokens.get(fingerprint)?;
        self.trusts(&recognized.1).then_some(recognized)
    }

    /// A token ends with the user that it speaks for: where the user is deleted, or switched off.
    async fn must_be_a_user(&self, account: AccountId, user: &str) -> Result<(), Error> {
        let user = user.parse::<DocId>().map_err(|_| Disbelief::NoUser)?;
        let owner = self.owner(account, &user).await?;
        owner.filter(|owner| owner.is_enabled).map(drop).ok_or(Disbelief::NoUser.into())
    }

    /// What a token says, if its signatures hold.
    async fn claims(&self, token: &str, fingerprint: [u8; 32], asker: Asker) -> Result<Arc<Claims>, Error> {
        let key_id = token::key_id(token).map_err(|_| Disbelief::NoToken)?;
        let key_id = key_id.parse::<DocId>().map_err(|_| Disbelief::UnknownKey)?;
        let key = self.named_key(&key_id, asker).await?.ok_or(Disbelief::UnknownKey)?;
        if let Some(verified) = self.memory.verified.get(&fingerprint).await
            && Arc::ptr_eq(&verified.key, &key)
            && verified.secrets == self.secrets(&verified.claims).await?
        {
            return Ok(verified.claims);
        }
        let claims = Arc::new(key.verify(token).map_err(|_| Disbelief::Signature)?);
        let secrets = self.secrets(&claims).await?;
        if claims.identity_sig.is_some() {
            let (owner, system) = secrets.as_ref().ok_or(Disbelief::IdentitySignature)?;
            if !IdentityKey::new(owner, system).signed(&claims) {
                return Err(Disbelief::IdentitySignature.into());
            }
        }
        let verified = Verified { claims: Arc::clone(&claims), key, secrets };
        self.memory.verified.insert(fingerprint, verified).await;
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
        Ok(owner.zip(self.system().await?.identity_secret.clone()))
    }

    /// HTTP Basic (`cb_basic_auth`): an account's id, a colon, and a user's credentials in the form that the account
    /// asks for. It is a sign-in with each request, and what lets nobody sign in lets nobody in here.
    async fn of_basic(&self, basic: &str, asker: Asker) -> Result<Arc<Identity>, Error> {
        let (account, secret) = account_and_secret(basic).ok_or(Disbelief::NoBasic)?;
        let account = self.named_account(account, asker).await?.ok_or(Disbelief::NoAccount)?;
        let settings = self.sign_in_settings(&account).await?;
        let (view, credentials) = match settings.basic_type() {
            BasicType::Md5 => (views::USERS_BY_MD5, secret),
            BasicType::Sha => (views::USERS_BY_SHA, secret),
            BasicType::Plain if secret.contains(':') => (views::USERS_BY_MD5, hex(&Md5::digest(secret))),
            BasicType::Plain => return Err(Disbelief::NoBasic.into()),
        };
        let read = async || {
            let store = self.memory.store.as_ref();
            let database = account.id.database();
            let rows = secrets::rows_of(store, &database, &view, &credentials).await?;
            // of two users with the same name and password it is neither
            let users = rows.iter().map(secrets::user_of).collect::<Vec<_>>();
            Ok(if let [Some(user)] = users.as_slice() { Some((account.id, user.clone())) } else { None })
        };
        let found = self.look(&self.memory.basic, fingerprint(&format!("{} {basic}", view.name)), read).await?;
        let found = found.ok_or(Disbelief::NobodyHas)?;
        self.may_sign_in(&account, &settings, Method::Credentials).await.map_err(|error| match error {
            Error::SignInDisabled | Error::SecondFactor => Disbelief::SwitchedOff.into(),
            error => error,
        })?;
        let (account, user) = found.as_ref();
        self.identity(*account, Some(user.to_string()), Method::Credentials.module().to_owned(), None).await
    }

    /// A token that a Kazoo of the same system accepts too, its identity signed with its owner's secret.
    ///
    /// Errors: the system has no key or secret, or they can't be read.
    pub async fn sign(&self, claims: Claims, owner_secret: &str) -> Result<String, Error> {
        let broken = |what: &str| Error::Store(store::Error::Corrupt(format!("no tokens can be made: {what}")));
        let system = self.system().await?;
        let key_id = system.system_key.as_ref();
        let key_id = key_id.ok_or_else(|| broken("system_config/auth names no system_key"))?;
        let key = self.key(key_id).await?.ok_or_else(|| broken("the system key is missing"))?;
        let system_secret = system.identity_secret.as_ref();
        let system_secret =
            system_secret.ok_or_else(|| broken("system_config/auth has no secret_for_user_signature"))?;
        let token = key.sign(claims, &IdentityKey::new(owner_secret, system_secret));
        token.map_err(|_| broken("the system key can't sign"))
    }

    /// The account of this id, which `asker` has named, or whom it speaks for.
    ///
    /// Errors: [`Error::UnknownAccount`]; [`Error::Busy`] where it is not known whether there is one, and `asker` has
    /// named too many that are nobody's.
    pub async fn must_find(
        &self,
        id: AccountId,
        asker: Asker,
        identity: Option<&Identity>,
    ) -> Result<Arc<Account>, Error> {
        if let Some(identity) = identity.filter(|identity| identity.account == id)
            && self.trusts(identity)
        {
            return Ok(Arc::clone(&identity.own));
        }
        self.named_account(id, asker).await?.ok_or(Error::UnknownAccount(id))
    }

    /// Whoever's account was a trial that has ended is refused.
    pub(super) fn must_not_be_expired(&self, account: &Account) -> Result<(), Error> {
        match account.trial_expires.filter(|_| account.is_expired(self.world.gregorian_seconds())) {
            Some(expired) => Err(Error::AccountExpired(expired)),
            None => Ok(()),
        }
    }

    /// Whether the restrictions of the identity's account let it do a verb to what a path ends with.
    ///
    /// Errors: [`Error::Restricted`], or they can't be read.
    pub async fn must_not_be_restricted(
        &self,
        identity: &Identity,
        target: Option<AccountId>,
        noun: &str,
        parameters: &[String],
        verb: Verb,
    ) -> Result<(), Error> {
        if identity.is_unrestricted && self.trusts(identity) {
            return Ok(());
        }
        if self.account(identity.account).await?.is_some_and(|own| own.is_superduper_admin) {
            return Ok(());
        }
        if self.nothing_restricts(identity.account).await? {
            return Ok(());
        }
        let own = self.restrictions(identity.account).await?.unwrap_or_default();
        let system = self.system().await?;
        let owner = match identity.user.as_deref().map(str::parse::<DocId>) {
            Some(Ok(user)) => self.owner(identity.account, &user).await?,
            Some(Err(_)) | None => None,
        };
        let priv_level = match &owner {
            Some(owner) => owner.priv_level.as_deref().unwrap_or(DEFAULT_USER_LEVEL),
            None => system.restrictions.default_priv_level(),
        };
        let account = match target {
            None => Whose::Nobody,
            Some(id) if id == identity.account => Whose::Own(id),
            Some(id) => match self.account(id).await? {
                Some(target) if target.ancestors.contains(&identity.account) => Whose::Descendant(id),
                _ => Whose::Other(id),
            },
        };
        let access = Access { noun, parameters, account, verb };
        let corrupt = |malformed: restrictions::Malformed| store::Error::Corrupt(malformed.to_string());
        match restrictions::allow(&own, &system.restrictions, &identity.method, priv_level, &access).map_err(corrupt)? {
            true => Ok(()),
            false => Err(Error::Restricted),
        }
    }

    async fn nothing_restricts(&self, account: AccountId) -> Result<bool, Error> {
        let own = self.restrictions(account).await?.unwrap_or_default();
        Ok(*own == Restrictions::default() && self.system().await?.restrictions == Restrictions::default())
    }

    /// Whether an identity may act on an account: on its own, on those below it, and on all if its own is the system's.
    ///
    /// Errors: [`Error::Forbidden`].
    pub async fn must_be_let_act_on(&self, identity: &Identity, target: AccountId) -> Result<(), Error> {
        let own = match self.trusts(identity) {
            true => Some(Arc::clone(&identity.own)),
            false => self.account(identity.account).await?,
        };
        let target = if target == identity.account { own.clone() } else { self.account(target).await? };
        match own.zip(target) {
            Some((own, target)) if own.may_act_on(&target) => Ok(()),
            _ => Err(Error::Forbidden),
        }
    }
}

/// The account that HTTP Basic credentials name, and what is to show that they may.
fn account_and_secret(basic: &str) -> Option<(AccountId, String)> {
    let text = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    let (account, secret) = text.split_once(':')?;
    Some((account.parse().ok()?, secret.to_owned()))
}

/// What a secret is remembered by: never the secret itself.
pub(super) fn fingerprint(secret: &str) -> [u8; 32] {
    let digest = digest(&SHA256, secret.as_bytes());
    digest.as_ref().try_into().unwrap_or_else(|_| unreachable!("SHA-256 gives 32 bytes"))
}
