//! Signing in: a user's credentials, or an account's API key, for a token (`cb_user_auth`, `cb_api_auth`,
//! `crossbar_auth`).

use std::sync::Arc;

use crate::document::{DbName, DocId, Document};
use crate::kazoo::account::{ACCOUNTS, Account, AccountId, alphanumeric};
use crate::kazoo::login_attempt::{Attempt, Client};
use crate::kazoo::sign_in::{Method, Outcome, Settings};
use crate::kazoo::token::Claims;
use crate::kazoo::views;
use crate::store::{self, View};

use super::decision::Auth;
use super::door::Door;
use super::error::{Disbelief, Error};
use super::evidence::Evidence;
use super::secrets;

/// How often a new secret is tried to be stored beside somebody else's change.
const SECRET_ATTEMPTS: usize = 5;

/// What a user signs in with.
#[derive(Clone)]
pub struct UserCredentials {
    /// A digest of `user:password`.
    pub digest: String,
    /// Whether it is a sha1; otherwise it is an md5.
    pub is_sha: bool,
    /// The account's realm.
    pub realm: Option<String>,
    /// The account's name.
    pub name: Option<String>,
    /// What was sent, as it may be written down.
    pub sent: Document,
}

impl UserCredentials {
    /// Where an account is looked up that they name: by realm, or else by name.
    fn names(&self) -> impl Iterator<Item = (View, String, fn(&str) -> Door)> {
        let by_realm =
            self.realm.as_ref().map(|realm| (views::ACCOUNTS_BY_REALM, realm.to_lowercase(), Door::of_realm as _));
        let by_name = self.name.as_ref().map(|name| (views::ACCOUNTS_BY_NAME, alphanumeric(name), Door::of_name as _));
        by_realm.into_iter().chain(by_name)
    }

    /// The accounts that they may open.
    pub fn doors(&self) -> Vec<Door> {
        self.names().map(|(_, key, door)| door(&key)).collect()
    }
}

/// What an account's own programs sign in with.
#[derive(Clone)]
pub struct ApiKey(pub String);

/// Who may have a token.
pub struct Entrant {
    door: Option<Door>,
    account: Arc<Account>,
    user: Option<DocId>,
    method: Method,
    settings: Settings,
    client: Client,
}

impl Entrant {
    /// By what their account was named, where one was.
    pub fn door(&self) -> Option<Door> {
        self.door
    }
}

/// Who has a token.
pub struct SignedIn {
    /// The account that it is of.
    pub account: Arc<Account>,
    /// The user of it, if it is one.
    pub user: Option<DocId>,
    /// The token.
    pub token: String,
}

impl Auth {
    /// Who has these credentials, and may sign in with them.
    ///
    /// Errors: [`Error::UnknownCredentials`], [`Error::InvalidCredentials`] where no account is named, why the account
    /// lets nobody in, or a fault.
    pub async fn user(&self, credentials: &UserCredentials, client: &Client) -> Result<Entrant, Error> {
        let view = if credentials.is_sha { views::USERS_BY_SHA } else { views::USERS_BY_MD5 };
        let mut refusal = Disbelief::NoAccount.into();
        for (door, account) in self.named_accounts(credentials).await? {
            let rows = secrets::rows_of(self.store.as_ref(), &account.database(), &view, &credentials.digest).await?;
            match rows.first().and_then(secrets::user_of) {
                Some(user) => {
                    let entrant = self.entrant(account, Some(user), Method::Credentials, client).await?;
                    return Ok(Entrant { door: Some(door), ..entrant });
                }
                None => refusal = Error::UnknownCredentials,
            }
            let kind = if credentials.is_sha { "SHA1" } else { "MD5" };
            let message =
                format!("failed to find a user with {kind} creds, request from IP address: {}", client.address);
            let settings = self.settings(account).await?;
            self.write_down(account, Method::Credentials, Outcome::Failed, &settings, |attempt| Attempt {
                auth_type: "credentials",
                message,
                metadata: credentials.sent.clone(),
                client: client.clone(),
                ..attempt
            });
        }
        Err(refusal)
    }

    /// Whose API key this is, and may sign in with it.
    ///
    /// Errors: [`Error::UnknownApiKey`], why the account lets nobody in, or a fault.
    pub async fn program(&self, key: &ApiKey, client: &Client) -> Result<Entrant, Error> {
        let unknown = || Error::UnknownApiKey(key.0.clone());
        let accounts = DbName::fixed(ACCOUNTS);
        let rows = secrets::rows_of(self.store.as_ref(), &accounts, &views::ACCOUNTS_BY_API_KEY, &key.0).await?;
        let account = rows.first().and_then(secrets::account_of).ok_or_else(unknown)?;
        match self.entrant(account, None, Method::ApiKey, client).await {
            Err(Error::InvalidCredentials(_)) => Err(unknown()),
            entrant => entrant,
        }
    }

    /// Who was found by what they know, if their account lets them in.
    async fn entrant(
        &self,
        account: AccountId,
        user: Option<DocId>,
        method: Method,
        client: &Client,
    ) -> Result<Entrant, Error> {
        let settings = self.settings(account).await?;
        let decided = self.decide(async |evidence| {
            let account = evidence.account(account).await?.ok_or(Disbelief::NoAccount)?;
            let settings = evidence.sign_in_settings(&account).await?;
            evidence.may_sign_in(&account, &settings, method).await?;
            Ok((account, settings))
        });
        match decided.await {
            Ok((account, settings)) => {
                Ok(Entrant { door: None, account, user, method, settings, client: client.clone() })
            }
            Err(refusal) => {
                let (auth_type, message) = match &refusal {
                    Error::AccountExpired(when) => ("credentials", format!("account expired: {when}")),
                    Error::AccountDisabled => ("credentials", format!("account {account} is disabled")),
                    Error::SignInDisabled => {
                        ("jwt_auth_token", format!("authentication module {} is disabled", method.module()))
                    }
                    Error::SecondFactor => {
                        log::warn!("{} {account} asks for a second factor: sign in at Kazoo", client.request_id);
                        ("multi_factor", "a second factor is asked for, and can only be given at Kazoo".to_owned())
                    }
                    _ => return Err(refusal),
                };
                self.write_down(account, method, Outcome::Failed, &settings, |attempt| Attempt {
                    auth_type,
                    message,
                    metadata: whom(account, user.as_ref()),
                    client: client.clone(),
                    ..attempt
                });
                Err(refusal)
            }
        }
    }

    /// A token that a Kazoo of the same system accepts too.
    pub async fn admit(&self, entrant: Entrant) -> Result<SignedIn, Error> {
        let Entrant { account, user, method, settings, client, .. } = entrant;
        let lifetime = settings.token_lifetime(method);
        let token = self.issue(account.id, user.as_ref(), method.module(), lifetime).await?;
        self.write_down(account.id, method, Outcome::Success, &settings, |attempt| Attempt {
            auth_type: match method {
                Method::Credentials => "credentials",
                Method::ApiKey => "account_api_token",
            },
            message: "authentication resulted in token creation".to_owned(),
            metadata: whom(account.id, user.as_ref()),
            client,
            ..attempt
        });
        Ok(SignedIn { account, user, token })
    }

    /// The accounts that a sign-in names: by realm, or else by name, which several may share.
    async fn named_accounts(&self, credentials: &UserCredentials) -> Result<Vec<(Door, AccountId)>, Error> {
        for (view, key, door) in credentials.names() {
            // byte by byte: names that only collate as the account's own would be doors that nobody counts
            let rows = secrets::rows_of(self.store.as_ref(), &DbName::fixed(ACCOUNTS), &view, &key).await?;
            let accounts: Vec<AccountId> = rows.iter().filter_map(secrets::account_of).collect();
            if !accounts.is_empty() {
                return Ok(accounts.into_iter().map(|account| (door(&key), account)).collect());
            }
        }
        Ok(Vec::new())
    }

    async fn settings(&self, account: AccountId) -> Result<Settings, Error> {
        self.decide(async |evidence| {
            let account = evidence.account(account).await?.ok_or(Disbelief::NoAccount)?;
            evidence.sign_in_settings(&account).await
        })
        .await
    }

    /// A token for an account, or a user of it, that lives for `lifetime` seconds; `method` is a crossbar module's name.
    ///
    /// Errors: there is no such owner, the system has no key or secret, or a fault.
    pub async fn issue(
        &self,
        account: AccountId,
        user: Option<&DocId>,
        method: &str,
        lifetime: i64,
    ) -> Result<String, Error> {
        let owner_secret = self.owner_secret(account, user).await?;
        let expires = self.world.unix_seconds().saturating_add(lifetime);
        let claims = Claims::new(account, user.map(ToString::to_string), method, expires);
        self.decide(async |evidence| evidence.sign(claims.clone(), &owner_secret).await).await
    }

    /// The secret that signs an owner's identity. Who has none yet gets one, as Kazoo gives it.
    async fn owner_secret(&self, account: AccountId, user: Option<&DocId>) -> Result<String, Error> {
        let id = user.cloned().unwrap_or_else(|| account.document_id());
        let database = account.database();
        for _ in 0..SECRET_ATTEMPTS {
            let document = self.store.get(&database, &id).await?;
            let mut document = document.map(Arc::unwrap_or_clone).ok_or(Disbelief::NoUser)?;
            if let Some(secret) = document.text("pvt_signature_secret") {
                return Ok(secret);
            }
            let secret = self.world.secret();
            document.set_text("pvt_signature_secret", &secret);
            match self.store.put(&database, &document).await {
                Ok(_) => {
                    self.memory.owners.forget(&(account, id)).await;
                    self.memory.accounts.forget(&account).await;
                    return Ok(secret);
                }
                Err(store::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(store::Error::Conflict.into())
    }

    /// Has an attempt written down, if its account's configuration says so.
    fn write_down(
        &self,
        account: AccountId,
        method: Method,
        outcome: Outcome,
        settings: &Settings,
        complete: impl FnOnce(Attempt) -> Attempt,
    ) {
        let Some(attempts) = self.attempts.as_ref().filter(|_| settings.writes_down(method, outcome)) else { return };
        attempts.record(complete(Attempt {
            account,
            method,
            outcome,
            auth_type: "",
            message: String::new(),
            metadata: Document::new(),
            client: Client::default(),
        }));
    }
}

impl Evidence<'_> {
    /// Whether an account, and its way of signing in, let anybody in.
    ///
    /// Errors: why not.
    pub(super) async fn may_sign_in(
        &self,
        account: &Account,
        settings: &Settings,
        method: Method,
    ) -> Result<(), Error> {
        self.must_not_be_expired(account)?;
        if !account.is_enabled {
            return Err(Error::AccountDisabled);
        }
        if !settings.is_enabled(method) {
            return Err(Error::SignInDisabled);
        }
        let is_master = self.system().await?.master_account == Some(account.id);
        if settings.asks_for_second_factor(method, account.id, is_master) {
            return Err(Error::SecondFactor);
        }
        Ok(())
    }
}

/// Whom an attempt was for, as it is written down.
fn whom(account: AccountId, user: Option<&DocId>) -> Document {
    let mut whom = Document::new();
    if let Some(user) = user {
        whom.set_text("owner_id", user.as_str());
    }
    whom.set_text("account_id", account.as_str());
    whom
}
