//! Who sees their own groups alone ([`owners`]).

use std::sync::Arc;

use crate::document::{DocId, Document};
use crate::kazoo::account::{Account, AccountId};
use crate::kazoo::documents::is_deleted;
use crate::kazoo::owners::{self, Config, Mode, is_admin, is_member};

use super::error::Error;
use super::evidence::Evidence;

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'w> {
    /// All groups of an account.
    All,
    /// Those of a user.
    OfUser(&'w str),
    /// One, if it is there.
    Group(Option<&'w Document>),
}

impl Wanted<'_> {
    /// Sees that a user who is restricted to what is his own wants nothing else; gives the user whose groups are shown instead of
    /// all.
    ///
    /// Errors: [`Error::Forbidden`].
    pub fn must_be_own<'u>(&self, (mode, user): (Mode, &'u str)) -> Result<Option<&'u str>, Error> {
        match self {
            Self::All if mode == Mode::Filter => Ok(Some(user)),
            Self::OfUser(of) if *of == user => Ok(None),
            // that there is none is told to whoever asks
            Self::Group(None) => Ok(None),
            Self::Group(Some(group)) if is_member(group, user) => Ok(None),
            Self::All | Self::OfUser(_) | Self::Group(Some(_)) => Err(Error::Forbidden),
        }
    }
}

impl Evidence<'_> {
    /// How a user of an account is restricted to what is the user's own; None: not at all.
    ///
    /// Errors: what says so can't be read.
    pub(super) async fn own_groups_alone(&self, own: &Account, user: Option<&str>) -> Result<Option<Mode>, Error> {
        let Some(user) = user.filter(|_| !own.is_superduper_admin) else { return Ok(None) };
        let config = match self.owners_config(own.id).await? {
            None if !own.is_reseller => self.reseller_config(&own.ancestors).await?,
            config => config,
        };
        let Some(mode) = owners::mode(config.as_deref(), &self.system().await?.owners) else { return Ok(None) };
        let owner = match user.parse::<DocId>() {
            Ok(user) => self.owner(own.id, &user).await?,
            Err(_) => None,
        };
        let is_admin = owner.is_some_and(|owner| is_admin(owner.priv_level.as_deref()));
        Ok((!is_admin).then_some(mode))
    }

    async fn reseller_config(&self, ancestors: &[AccountId]) -> Result<Option<Arc<Config>>, Error> {
        for ancestor in ancestors.iter().rev() {
            if self.account(*ancestor).await?.is_some_and(|ancestor| ancestor.sells()) {
                return self.owners_config(*ancestor).await;
            }
        }
        Ok(None)
    }

    async fn owners_config(&self, account: AccountId) -> Result<Option<Arc<Config>>, Error> {
        let read = async || {
            let id = DocId::fixed(owners::ACCOUNT_CONFIG);
            let document = self.memory.store.get(&account.database(), &id).await?;
            Ok(document.filter(|document| !is_deleted(document)).map(|of| Config::of_document(&of)))
        };
        self.look(&self.memory.owners_configs, account, read).await
    }
}
