//! What happens to a list, as it happens: `GET …/groups` with `Accept: text/event-stream`, which Kazoo answers 406.
//!
//! First come the rows that the list would show, then each change, with the place in the database's history to go on from.

mod listeners;
mod subscription;
mod told;

use std::convert::Infallible;

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use tokio::sync::mpsc;

use crate::auth::Identity;
use crate::kazoo::account::AccountId;
use crate::kazoo::verb::Verb;
use crate::store::Sequence;

use super::body::Body;
use super::context::Api;
use super::error::Error;
use super::incoming::Incoming;
use super::list;
use super::negotiation;
use super::path::Path;
use super::resource::Resource;
use super::response::Frame;

use subscription::{Ended, Subscription};
use told::Scope;

pub use listeners::Listeners;

/// How many pieces may wait for a client.
const WAITING: usize = 2;

/// Whether a request is one to listen.
pub fn are_wanted(incoming: &Incoming, path: &Path, verb: Verb) -> bool {
    let is_list = matches!(path.resource, Resource::Documents(_)) && verb == Verb::Get;
    is_list && incoming.http.method() == Method::GET && negotiation::wants_events(&incoming.http)
}

/// Answers one who may listen to an account's list, or to a user's.
///
/// Errors: too many do, or the filter has too many conditions.
pub fn listen(
    api: &Api,
    incoming: &Incoming,
    path: &Path,
    frame: &Frame,
    identity: &Identity,
    (account, user): (AccountId, Option<String>),
) -> Result<HttpResponse, Error> {
    let Resource::Documents(kind) = path.resource else { return Err(Error::NotFound) };
    let Some(shared) = incoming.http.app_data::<web::Data<Api>>().cloned() else { return Err(Error::NotFound) };
    let filter = list::filter(api, incoming)?;
    let place = api.listeners.enter()?;
    let (out, pieces) = mpsc::channel(WAITING);
    let last = incoming.header("last-event-id").map(str::to_owned).or_else(|| incoming.parameter("last_event_id"));
    let sees_own_alone = path.user.is_none() && user.is_some();
    let subscription = Subscription {
        api: shared,
        // a body may be large, and says nothing more
        incoming: Incoming::new(incoming.http.clone(), Body::default()),
        credentials: incoming.credentials(),
        ends: identity.ends,
        path: path.clone(),
        account,
        scope: Scope { kind, user, filter },
        // who sees their own alone is not told of all that changed while nobody looked
        last: last.filter(|_| !sees_own_alone).map(Sequence::new),
        out,
    };
    let request_id = frame.request_id.clone();
    actix_web::rt::spawn(async move {
        let _place = place;
        if let Err(Ended::Fault(error)) = subscription.tell().await {
            log::warn!("{request_id} nobody listens any longer: {error}");
        }
    });
    let pieces = stream::unfold(pieces, async |mut pieces: mpsc::Receiver<Bytes>| Some((pieces.recv().await?, pieces)));
    Ok(frame.stream().streaming(pieces.map(Ok::<_, Infallible>)))
}
