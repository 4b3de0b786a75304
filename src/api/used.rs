//! What names a group: `GET …/groups/{id}/used_by`, which Kazoo does not have, and that nothing does.

use crate::aside::by_size;
use crate::auth::Evidence;
use crate::document::json;
use crate::kazoo::kind::Kind;
use crate::kazoo::used::UsedBy;
use crate::using;

use super::answer::{Allowance, Answer};
use super::context::Authorized;
use super::documents;
use super::error::Error;

/// `GET …/{noun}/{id}/used_by`
pub async fn told(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    documents::must_be_there(authorized, kind, id).await?;
    let mut allowance = Allowance::new(&authorized.api.budgets);
    let used = used_by(authorized, id, &mut allowance).await?;
    let told = by_size(used.bytes(), move || json::raw(&used)).await;
    allowance.grow(told.get().len())?;
    Ok(Answer::document(told, None))
}

/// Errors: something names it.
pub async fn must_be_unused(authorized: &Authorized<'_>, id: &str) -> Result<(), Error> {
    let used = used_by(authorized, id, &mut Allowance::new(&authorized.api.budgets)).await?;
    // where users see their own alone, what is others' is not told
    let restricted =
        async |evidence: &Evidence<'_>| Ok(evidence.restricted_to_own(&authorized.identity).await?.is_some());
    let is_restricted = authorized.api.auth.decide(restricted).await?;
    match used.is_empty() {
        true => Ok(()),
        false if is_restricted => Err(Error::InUse(Box::default())),
        false => Err(Error::InUse(Box::new(used))),
    }
}

async fn used_by(authorized: &Authorized<'_>, id: &str, allowance: &mut Allowance) -> Result<UsedBy, Error> {
    let store = authorized.api.store.as_ref();
    using::used_by(store, authorized.account.id, id, |more| allowance.grow(more)).await
}
