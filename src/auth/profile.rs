//! The profile of whom a client signed in as, and the documents that say it.

use std::sync::Arc;

use futures::future::try_join_all;

use crate::document::Document;
use crate::kazoo::profile::{self, Ui};

use super::decision::Auth;
use super::error::Error;
use super::evidence::{Evidence, defaults};
use super::sign_in::SignedIn;

impl Auth {
    /// The profile of who signed in.
    ///
    /// Errors: a fault.
    pub async fn profile(&self, signed_in: &SignedIn) -> Result<Document, Error> {
        self.decide(async |evidence| evidence.profile(signed_in).await).await
    }
}

impl Evidence<'_> {
    async fn profile(&self, SignedIn { account, user, .. }: &SignedIn) -> Result<Document, Error> {
        let owner = match user {
            Some(user) => self.owner(account.id, user).await?,
            None => None,
        };
        let mut reseller = None;
        for ancestor in account.ancestors.iter().rev() {
            let ancestor = self.account(*ancestor).await?;
            reseller = ancestor.filter(|ancestor| ancestor.sells()).map(|reseller| reseller.id);
            if reseller.is_some() {
                break;
            }
        }
        let owner = user.as_ref().map(|user| (user, owner.as_ref().and_then(|owner| owner.language.as_deref())));
        let ui = self.ui().await?.unwrap_or_default();
        let master = self.system().await?.master_account;
        Ok(profile::of(account, owner, reseller, master, &ui))
    }

    async fn ui(&self) -> Result<Option<Arc<Ui>>, Error> {
        let read = async || {
            let store = self.memory.store.as_ref();
            let documents = profile::CONFIGS.map(async |id| Ok::<_, Error>((id, defaults(store, id).await?)));
            Ok(Some(Ui::of_configs(&try_join_all(documents).await?.into_iter().collect())))
        };
        self.look(&self.memory.ui, (), read).await
    }
}
