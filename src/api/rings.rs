//! Whom a group rings: `GET …/groups/{id}/rings`, which Kazoo does not have.

use std::str::FromStr;
use std::sync::Arc;

use serde_json::json as value;

use crate::aside::by_size;
use crate::document::json;
use crate::kazoo::kind::Kind;
use crate::kazoo::rings::{Call, Element, Module, Strategy, Told};
use crate::kazoo::schema::validation_error;
use crate::ringing;

use super::answer::{Allowance, Answer};
use super::context::Authorized;
use super::documents;
use super::error::Error;

/// `GET …/{noun}/{id}/rings`, by `strategy` and `module`; with `callflows` by each of the account's callflows, too.
pub async fn rung(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    let strategy = parameter(authorized, "strategy", Strategy::Simultaneous)?;
    let module = parameter(authorized, "module", Module::RingGroup)?;
    documents::must_be_there(authorized, kind, id).await?;
    let mut allowance = Allowance::new(&authorized.api.budgets);
    let (store, account) = (authorized.api.store.as_ref(), authorized.account.id);
    let named = match authorized.incoming.is_true("callflows", false) {
        true => Some(ringing::naming::<Error>(store, account, id, |more| allowance.grow(more)).await?),
        false => None,
    };
    let of_callflows = named.iter().flatten().filter_map(|named| named.element.clone());
    let elements = [Element::of_group(id, module, strategy)].into_iter().chain(of_callflows).collect();
    let reading = Arc::new(ringing::read_all(store, account, elements, |more| allowance.grow(more)).await?);
    let call = Call { now: authorized.api.world.gregorian_seconds(), ..Call::default() };
    let mut bytes = 0;
    let grow = |more| {
        bytes += more;
        allowance.grow(more)
    };
    let told = ringing::tell::<_, Error>(reading, named, call, Told::of, grow).await?;
    let told = by_size(bytes, move || json::raw(&told)).await;
    allowance.grow(told.get().len())?;
    Ok(Answer::document(told, None))
}

/// What a parameter says.
///
/// Errors: nothing that is known.
fn parameter<T: FromStr<Err: ToString>>(authorized: &Authorized<'_>, name: &str, default: T) -> Result<T, Error> {
    let Some(text) = authorized.incoming.parameter(name) else { return Ok(default) };
    text.parse().map_err(|why: T::Err| {
        validation_error(name, "enum", value!({ "message": why.to_string(), "value": text })).into()
    })
}
