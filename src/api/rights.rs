//! Who asks, about which account, and whether they may: what the pipeline needs of [`Auth`](crate::auth::Auth), in terms of
//! requests.

use std::sync::Arc;

use actix_web::HttpRequest;

use crate::auth::{self, Asker, Credentials, Identity, Wanted};
use crate::document::{DocId, Document};
use crate::kazoo::account::{Account, AccountId};
use crate::kazoo::documents::is_deleted;
use crate::kazoo::verb::Verb;

use super::body::Body;
use super::context::Api;
use super::error::Error;
use super::incoming::Incoming;
use super::path::{NamedAccount, Path};
use super::resource::Resource;

impl Api {
    /// Whether what a request carries outside of its body is believed.
    pub(super) async fn is_believed(&self, request: &HttpRequest) -> bool {
        let incoming = Incoming::new(request.clone(), Body::default());
        let credentials = incoming.credentials();
        let identity = match &credentials {
            Credentials::Token(_) => self.identify(&incoming, &credentials).await,
            Credentials::Basic(_) => self.sign_in(&incoming, &credentials).await,
            Credentials::Foreign(_) | Credentials::None => return false,
        };
        matches!(identity, Ok(Ok(_)))
    }

    /// Whom credentials speak for, or why nobody believes them.
    ///
    /// Errors: a fault below.
    pub(super) async fn identify(
        &self,
        incoming: &Incoming,
        credentials: &Credentials,
    ) -> Result<Result<Arc<Identity>, auth::Error>, Error> {
        let (account, asker) = (incoming.header("x-auth-account-id"), self.limiter.stranger(&incoming.http));
        match self.auth.decide(async |evidence| evidence.identify(credentials, account, asker).await).await {
            Err(error @ (auth::Error::Store(_) | auth::Error::Busy(_))) => Err(error.into()),
            identity => Ok(identity),
        }
    }

    /// Whom HTTP Basic credentials speak for: a sign-in, which costs what one costs.
    pub(super) async fn sign_in(
        &self,
        incoming: &Incoming,
        credentials: &Credentials,
    ) -> Result<Result<Arc<Identity>, auth::Error>, Error> {
        self.limiter.sign_in(&incoming.http)?;
        let door = credentials.door();
        let attempt = self.limiter.attempt(&incoming.http, door.into_iter().collect()).await?;
        let identity = self.identify(incoming, credentials).await?;
        match &identity {
            Ok(_) => attempt.succeeded(door),
            Err(error) => attempt.refused(error),
        }
        Ok(identity)
    }

    /// The account that a path names, which must be there; None if it names none.
    pub(super) async fn account(
        &self,
        request: &HttpRequest,
        path: &Path,
        identity: Option<&Identity>,
    ) -> Result<Option<Arc<Account>>, Error> {
        let id = match &path.account {
            NamedAccount::None => return Ok(None),
            NamedAccount::Own => identity.ok_or(Error::NoOwnAccount(auth::Disbelief::None.into()))?.account,
            NamedAccount::Id(text) => text.parse().map_err(|_| match text.len() {
                // as long as an id is, it is one that nobody has
                AccountId::LENGTH => Error::BadIdentifier(text.clone()),
                _ => Error::InvalidAccountId(text.clone()),
            })?,
        };
        let asker =
            identity.map_or_else(|| self.limiter.stranger(request), |identity| Asker::Account(identity.account));
        Ok(Some(self.auth.decide(async |evidence| evidence.must_find(id, asker, identity).await).await?))
    }

    /// What a token does must be among what its restrictions name.
    pub(super) async fn must_be_permitted(
        &self,
        identity: &Identity,
        account: Option<&Account>,
        path: &Path,
        verb: Verb,
    ) -> Result<(), Error> {
        let Some((noun, parameters)) = &path.end else { return Ok(()) };
        let target = account.map(|account| account.id);
        let decided = self
            .auth
            .decide(async |evidence| evidence.must_not_be_restricted(identity, target, noun, parameters, verb).await);
        Ok(decided.await?)
    }

    /// The user and the device that a path leads through must be there, the user not deleted.
    pub(super) async fn must_exist(&self, account: &Account, path: &Path) -> Result<(), Error> {
        let missing = |id: &str| Error::BadIdentifier(id.to_owned());
        if let Some(id) = &path.user {
            let user = id.parse::<DocId>().map_err(|_| missing(id))?;
            if !self.auth.has_user(account.id, &user).await? {
                return Err(missing(id));
            }
        }
        if let Some(id) = &path.device {
            let device = id.parse::<DocId>().map_err(|_| missing(id))?;
            self.store.get(&account.id.database(), &device).await?.ok_or_else(|| missing(id))?;
        }
        Ok(())
    }

    /// Sees that what is asked for is not another's, where users see their own alone; gives the user whose documents a list
    /// shows, if not all.
    pub(super) async fn shown_user(
        &self,
        identity: &Identity,
        account: AccountId,
        path: &Path,
    ) -> Result<Option<String>, Error> {
        let of_user = path.user.clone();
        let restricted = self.auth.decide(async |evidence| evidence.restricted_to_own(identity).await);
        if restricted.await?.is_none() {
            return Ok(of_user);
        }
        let group = match &path.resource {
            Resource::Documents(_) | Resource::Deleted(_) => None,
            // they tell of groups, devices and callflows of others
            Resource::Rings(..) | Resource::UsedBy(..) => return Err(auth::Error::Forbidden.into()),
            Resource::Document(_, id) | Resource::Restoring(_, id) => match id.parse() {
                Ok(id) => self.store.get(&account.database(), &id).await?,
                Err(_) => None,
            },
            _ => return Ok(of_user),
        };
        // that there is none is told to whoever asks; to bring one back it need not be there
        let is_there = |group: &Arc<Document>| matches!(path.resource, Resource::Restoring(..)) || !is_deleted(group);
        let group = group.filter(is_there);
        let wanted = match (&path.resource, &of_user) {
            (Resource::Documents(_) | Resource::Deleted(_), Some(user)) => Wanted::OfUser(user),
            (Resource::Documents(_) | Resource::Deleted(_), None) => Wanted::All,
            _ => Wanted::Group(group.as_deref()),
        };
        // nobody is refused by what is remembered
        let shown = self.auth.decide(async |evidence| match evidence.restricted_to_own(identity).await? {
            Some(restricted) => Ok(wanted.must_be_own(restricted)?.map(str::to_owned)),
            None => Ok(None),
        });
        Ok(shown.await?.or(of_user))
    }

    /// Whether what was let in would be let in now. Of a fault below nothing is concluded.
    pub(super) async fn still_may(
        &self,
        incoming: &Incoming,
        credentials: &Credentials,
        path: &Path,
        account: AccountId,
        shown: Option<&str>,
    ) -> bool {
        let may = async {
            let identity = self.identify(incoming, credentials).await??;
            let found = self.account(&incoming.http, path, Some(&identity)).await?;
            self.must_be_permitted(&identity, found.as_deref(), path, Verb::Get).await?;
            self.auth.decide(async |evidence| evidence.must_be_let_act_on(&identity, account).await).await?;
            if self.shown_user(&identity, account, path).await?.as_deref() != shown {
                return Err(auth::Error::Forbidden.into());
            }
            match found {
                Some(found) => self.must_exist(&found, path).await,
                None => Ok(()),
            }
        };
        match may.await {
            Ok(()) | Err(Error::Store(_) | Error::Auth(auth::Error::Store(_) | auth::Error::Busy(_))) => true,
            Err(_) => false,
        }
    }
}
