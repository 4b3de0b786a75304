//! Groups that are deleted softly: `GET …/groups/_deleted`, which Kazoo does not have.

use std::sync::Arc;

use crate::databases;
use crate::deleted::{self, By};
use crate::document::{Document, json};
use crate::kazoo::owners::is_member;
use crate::store;

use super::answer::{Allowance, Answer, Data, List};
use super::context::Authorized;
use super::error::Error;

/// How many bytes one is told with, besides its name.
const ROW: usize = 300;

/// `GET …/groups/_deleted`: all of them, or those of a user, the last deleted first.
pub async fn list(authorized: &Authorized<'_>) -> Result<Answer, Error> {
    let (store, account) = (authorized.api.store.as_ref(), authorized.account.id);
    let mut allowance = Allowance::new(&authorized.api.budgets);
    let is_told = |group: &Document| {
        let is_shown = authorized.user.as_ref().is_none_or(|user| is_member(group, user));
        if is_shown {
            allowance.grow(ROW + group.get("name").map_or(0, |name| name.get().len()))?;
        }
        Ok::<_, Error>(is_shown)
    };
    let mut groups = deleted::groups(store, account, is_told).await?;
    // who acts for an account above is not told to those below
    let may_know = [account.as_str(), authorized.identity.account.as_str()];
    for group in &mut groups {
        if !group.by.account.as_deref().is_some_and(|by| may_know.contains(&by)) {
            group.by = By::default();
        }
    }
    let list = List::new(json::raw(&groups), groups.len());
    Ok(Answer { data: Data::List(Arc::new(list)), ..Answer::default() })
}

impl From<databases::Error> for Error {
    fn from(error: databases::Error) -> Self {
        match error {
            databases::Error::Store(error) => error.into(),
            databases::Error::NotThere(database) => store::Error::MissingDatabase(database).into(),
        }
    }
}
