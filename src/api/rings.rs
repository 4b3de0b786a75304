//! Whom a group rings: `GET …/groups/{id}/rings`, which Kazoo does not have.

use std::str::FromStr;

use serde_json::json as value;

use crate::aside::by_size;
use crate::document::json;
use crate::kazoo::kind::Kind;
use crate::kazoo::rings::{Call, Element, Module, Strategy, Told, rings};
use crate::kazoo::schema::validation_error;
use crate::ringing;

use super::answer::{Allowance, Answer};
use super::context::Authorized;
use super::documents;
use super::error::Error;

/// `GET …/{noun}/{id}/rings`, by `strategy` and `module`.
pub async fn rung(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    let strategy = parameter(authorized, "strategy", Strategy::Simultaneous)?;
    let module = parameter(authorized, "module", Module::RingGroup)?;
    documents::must_be_there(authorized, kind, id).await?;
    let (mut allowance, mut bytes) = (Allowance::new(&authorized.api.budgets), 0);
    let grow = |more| {
        bytes += more;
        allowance.grow(more)
    };
    let element = Element::of_group(id, module, strategy);
    let reading = ringing::read(authorized.api.store.as_ref(), authorized.account.id, element, grow).await?;
    let call = Call { now: authorized.api.world.gregorian_seconds(), ..Call::default() };
    let told = by_size(bytes, move || rings(&reading, &call).map(|rings| json::raw(&Told::of(&reading, rings))));
    let told = told.await?;
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
