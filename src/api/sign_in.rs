//! The resources at which one signs in: a user's credentials, or an account's API key, for a token.

use std::collections::BTreeMap;
use std::convert::identity;

use crate::auth::{self, ApiKey, Entrant, UserCredentials};
use crate::document::{Document, json};
use crate::kazoo::login_attempt::Client;
use crate::kazoo::schema::{API_AUTH, USER_AUTH};

use super::answer::{Answer, Data, Paging, Shown};
use super::context::Api;
use super::error::Error;
use super::guesses::Attempt;
use super::incoming::Incoming;
use super::response::Frame;

/// `PUT /v2/user_auth`: `credentials` is the md5 or sha1 of `user:password`, the account is named by realm or name.
pub async fn by_credentials(api: &Api, incoming: &Incoming, frame: &Frame) -> Result<Answer, Error> {
    api.limiter.sign_in(&incoming.http)?;
    let data = api.schemas.check(USER_AUTH, incoming.data(), 0, identity).await?;
    let credentials = UserCredentials {
        digest: data.text("credentials").unwrap_or_default(),
        is_sha: data.text("method").as_deref() == Some("sha"),
        realm: data.text("account_realm").or_else(|| data.text("realm")),
        name: data.text("account_name"),
        sent: data,
    };
    let attempt = api.limiter.attempt(&incoming.http, credentials.doors()).await?;
    let found = api.auth.user(&credentials, &client(api, incoming, frame)).await;
    signed_in(api, incoming, attempt, found).await
}

/// `PUT /v2/api_auth`
pub async fn by_api_key(api: &Api, incoming: &Incoming, frame: &Frame) -> Result<Answer, Error> {
    api.limiter.sign_in(&incoming.http)?;
    let data = api.schemas.check(API_AUTH, incoming.data(), 0, identity).await?;
    let key = ApiKey(data.text("api_key").unwrap_or_default());
    // a key names no account, and is too long to be guessed: only where it comes from counts
    let attempt = api.limiter.attempt(&incoming.http, Vec::new()).await?;
    let found = api.auth.program(&key, &client(api, incoming, frame)).await;
    signed_in(api, incoming, attempt, found).await
}

async fn signed_in(
    api: &Api,
    incoming: &Incoming,
    attempt: Attempt<'_>,
    found: Result<Entrant, auth::Error>,
) -> Result<Answer, Error> {
    match &found {
        Ok(entrant) => attempt.succeeded(entrant.door()),
        Err(error) => attempt.refused(error),
    }
    let entrant = found?;
    if incoming.only_reads() {
        return Err(Error::NotFound);
    }
    let signed_in = api.auth.admit(entrant).await?;
    let whom = signed_in.user.as_ref().map_or_else(|| signed_in.account.id.to_string(), ToString::to_string);
    Ok(Answer {
        created: true,
        data: Data::One(api.auth.profile(&signed_in).await?.to_raw()),
        revision: Shown::Automatic,
        page: Some(Paging { size: 1, ..Paging::default() }),
        created_id: Some(whom),
        token: Some(signed_in.token),
        ..Answer::default()
    })
}

/// Who asks, as it is written down of those who sign in.
fn client(api: &Api, incoming: &Incoming, frame: &Frame) -> Client {
    let headers = incoming.http.headers().iter();
    let headers: BTreeMap<&str, &str> =
        headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    Client {
        address: api.limiter.client(&incoming.http).map(|address| address.to_string()).unwrap_or_default(),
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), json::raw(value))).collect::<Document>(),
        request_id: frame.request_id.clone(),
    }
}
