//! A request's body: read up to its limits, and made an envelope by its content type as crossbar makes it.

use std::sync::Arc;

use actix_multipart::{Multipart, MultipartError};
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::mime::Mime;
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::value::RawValue;

use crate::aside;
use crate::budgets::{Budget, Budgets};
use crate::document::{Document, json};
use crate::in_flight::{Charge, SMALL};

use super::admission::Admission;
use super::error::{Error, InvalidBody};

/// What a body held.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// The envelope around the data: `verb`, `auth_token`, `paginate`, …
    pub envelope: Document,
    /// `data`: an object or an array; None if the body was empty or of a kind that holds no data.
    pub data: Option<Arc<RawValue>>,
}

/// The forms in which a body may hold an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// JSON, which is also assumed where nothing is said.
    Json,
    /// A form. curl says so of whatever it sends, so JSON is looked for in it first.
    Form,
    /// Several parts, of which one may be JSON.
    Multipart,
    /// Anything else: a file, of which there is no use here.
    Other,
}

impl ContentType {
    /// By the media type alone, without its parameters.
    pub fn of(header: Option<&str>) -> Self {
        let media_type = header.unwrap_or("application/json").split(';').next().unwrap_or_default().trim();
        match media_type.to_ascii_lowercase().as_str() {
            "application/json" | "application/x-json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            other if other.starts_with("multipart/") => Self::Multipart,
            _ => Self::Other,
        }
    }
}

/// Reads a request's whole body, and gives what it is charged to. Of one that is not small it matters whether whoever
/// sends it `is_believed`.
///
/// Errors: it is too long, does not arrive, or there is no room for it.
pub async fn collect(
    mut payload: web::Payload,
    budgets: &Budgets,
    admission: &Admission,
    is_believed: impl AsyncFnOnce() -> bool,
) -> Result<(Bytes, Arc<Charge>), Error> {
    let Budgets { max_body, max_open_body, max_in_flight, .. } = *budgets;
    let mut most = max_open_body.min(max_body);
    let mut charge = admission.open.charge();
    let mut is_believed = Some(is_believed);
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| InvalidBody::CutOff(error.to_string()))?;
        let length = bytes.len() + chunk.len();
        if length > most.min(SMALL)
            && length <= max_body
            && let Some(is_believed) = is_believed.take()
            && is_believed().await
        {
            most = max_body;
            charge = admission.in_flight.charge();
        }
        if length > most {
            return Err(Error::OverBudget(Budget::Body, most));
        }
        if !charge.take(length) {
            return Err(Error::OverBudget(Budget::InFlight, max_in_flight));
        }
        bytes.extend_from_slice(&chunk);
    }
    // what little was read of others is charged to nobody
    let charge = if charge.is_something() { charge } else { admission.in_flight.charge() };
    Ok((bytes.freeze(), charge))
}

/// Makes the envelope of a request's body.
///
/// Errors: it is none.
pub async fn read(request: &HttpRequest, bytes: Bytes, deepest: usize) -> Result<Body, InvalidBody> {
    if bytes.is_empty() {
        return Ok(Body::default());
    }
    let header = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match ContentType::of(header) {
        ContentType::Json => aside::by_size(bytes.len(), move || of_json(&bytes, deepest)).await,
        ContentType::Form => aside::by_size(bytes.len(), move || of_form(&bytes, deepest)).await,
        ContentType::Multipart => of_multipart(request, bytes, deepest).await,
        ContentType::Other => Ok(Body::default()),
    }
}

fn of_json(bytes: &[u8], deepest: usize) -> Result<Body, InvalidBody> {
    let refused = |refused: json::Refused| InvalidBody::Json(refused.to_string());
    let compact = json::compact(json::check(bytes, deepest).map_err(refused)?.get()).map_err(refused)?;
    let not_an_object = || InvalidBody::Json("All JSON must be valid".to_owned());
    let envelope = RawValue::from_string(compact).map_err(|_| not_an_object())?;
    if !envelope.get().starts_with('{') {
        return Err(not_an_object());
    }
    let keys_in_any_case =
        json::fields(&envelope).into_iter().map(|(key, value)| (envelope_key(&key), value.to_owned()));
    of_envelope(keys_in_any_case)
}

/// A key of an envelope as Kazoo reads it (`kz_json:normalize_key`): in any case, and with dashes for underscores.
fn envelope_key(key: &str) -> String {
    key.replace('-', "_").to_ascii_lowercase()
}

/// A form's fields are an envelope of texts.
fn of_form(bytes: &[u8], deepest: usize) -> Result<Body, InvalidBody> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        return of_json(bytes, deepest);
    }
    of_envelope(form(bytes).map(|(key, value)| (key, json::raw(&value))))
}

/// The fields of a form, percent-decoded, in order.
fn form(bytes: &[u8]) -> impl Iterator<Item = (String, String)> + '_ {
    url::form_urlencoded::parse(bytes).into_owned()
}

/// The parameters of a query string, percent-decoded, in order; one without `=` has no value.
pub fn parameters(query: &str) -> Vec<(String, Option<String>)> {
    let parameter = |text: &str| {
        let (name, value) = form(text.as_bytes()).next()?;
        Some((name, text.contains('=').then_some(value)))
    };
    query.split('&').filter_map(parameter).collect()
}

/// The first part that is JSON is the envelope; other parts are files.
async fn of_multipart(request: &HttpRequest, bytes: Bytes, deepest: usize) -> Result<Body, InvalidBody> {
    let invalid = |error: MultipartError| InvalidBody::Json(error.to_string());
    let whole = stream::iter([Ok::<_, PayloadError>(bytes)]);
    let mut parts = Multipart::new(request.headers(), whole);
    while let Some(mut part) = parts.try_next().await.map_err(invalid)? {
        let is_json = ContentType::of(part.content_type().map(Mime::essence_str)) == ContentType::Json;
        let mut content = BytesMut::new();
        while let Some(chunk) = part.try_next().await.map_err(invalid)? {
            if is_json {
                content.extend_from_slice(&chunk);
            }
        }
        if is_json {
            let content = content.freeze();
            return aside::by_size(content.len(), move || of_json(&content, deepest)).await;
        }
    }
    Ok(Body::default())
}

/// Checks what every envelope must have. Of a key that stands twice the last value counts; its nulls are as if they
/// were not there.
fn of_envelope(fields: impl Iterator<Item = (String, Box<RawValue>)>) -> Result<Body, InvalidBody> {
    let all: Document = fields.collect();
    let mut envelope: Document = all.into_iter().filter(|(_, value)| value.get() != "null").collect();
    match envelope.remove("data") {
        None => Err(InvalidBody::NoData(envelope.to_raw())),
        Some(data) if data.get().starts_with(['{', '[']) => Ok(Body { envelope, data: Some(Arc::from(data)) }),
        Some(data) => Err(InvalidBody::DataType(data)),
    }
}
