//! How operations answer: with what they give, or with an error of the catalogue.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::{Example as UtoipaExample, ExampleBuilder};
use utoipa::openapi::header::Header;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder};

use crate::api::{Error, InvalidBody};
use crate::auth;
use crate::budgets::Budget;
use crate::demo;
use crate::document::json::empty_object;
use crate::kazoo::schema::validation_error;
use crate::store;

use super::operation::Example;

/// What an operation gives where nothing is wrong.
pub struct Given {
    pub status: u16,
    pub description: &'static str,
    /// Its forms: a media type, and the name of a schema.
    pub forms: &'static [(&'static str, &'static str)],
    pub headers: &'static [(&'static str, &'static str)],
}

/// The headers of an answer that shows a document or a list.
const ETAG: (&str, &str) = ("ETag", "What `If-None-Match` and `If-Match` take.");
const LOCATION: (&str, &str) = ("Location", "The path of what was created.");

impl Given {
    /// JSON in an envelope, of this schema.
    pub const fn shown(description: &'static str, forms: &'static [(&'static str, &'static str)]) -> Self {
        Self { status: 200, description, forms, headers: &[ETAG] }
    }

    /// The same of what says nothing of its revision.
    pub const fn told(description: &'static str, forms: &'static [(&'static str, &'static str)]) -> Self {
        Self { status: 200, description, forms, headers: &[] }
    }

    pub const fn created(description: &'static str, forms: &'static [(&'static str, &'static str)]) -> Self {
        Self { status: 201, description, forms, headers: &[LOCATION] }
    }

    /// An answer without a body.
    pub const fn nothing(status: u16, description: &'static str) -> Self {
        Self { status, description, forms: &[], headers: &[] }
    }
}

/// The answers of an operation, by their status.
pub fn responses(operation: &str, given: &[Given], errors: &[Error], examples: &[Example]) -> BTreeMap<u16, Response> {
    let mut responses: BTreeMap<u16, Response> =
        given.iter().map(|given| (given.status, response(operation, given, examples))).collect();
    let mut by_status: BTreeMap<u16, Vec<&Error>> = BTreeMap::new();
    for error in errors {
        let status = error.body().map_or_else(|status| status.as_u16(), |body| body.status.as_u16());
        by_status.entry(status).or_default().push(error);
    }
    for (status, errors) in by_status {
        responses.insert(status, failed(&errors));
    }
    responses
}

fn response(operation: &str, given: &Given, examples: &[Example]) -> Response {
    let response = given.forms.iter().fold(ResponseBuilder::new().description(given.description), |response, form| {
        let (media_type, schema) = form;
        let of_form = |example: &&Example| example.status == given.status && example.form() == *media_type;
        let kept = examples.iter().filter(of_form).filter_map(|example| {
            let kept = super::kept_answer(operation, example.name)?;
            Some((example.name, ExampleBuilder::new().summary(example.summary).value(Some(kept)).build()))
        });
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(*schema))).examples_from_iter(kept);
        response.content(*media_type, content.build())
    });
    let response = given.headers.iter().fold(response, |response, (name, text)| response.header(*name, header(text)));
    if given.forms.iter().any(|(_, schema)| *schema != "Health" && *schema != "Metrics") {
        return response.header("X-Request-ID", request_id()).build();
    }
    response.build()
}

/// The errors of one status.
fn failed(errors: &[&Error]) -> Response {
    let whys: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let mut response = ResponseBuilder::new().description(whys.join("; "));
    let named: Vec<(String, RefOr<UtoipaExample>)> =
        errors.iter().filter(|error| error.body().is_ok()).map(|of| referred(of)).collect();
    if !named.is_empty() {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).examples_from_iter(named);
        response = response.content("application/json", content.build());
    }
    if errors.iter().any(|error| matches!(error, Error::InvalidMethod)) {
        response = response.header("Allow", header("The methods that there are."));
    }
    if errors.iter().any(|error| error.retry_after().is_some()) {
        response = response.header("Retry-After", header("After how many seconds to ask again."));
    }
    response.header("X-Request-ID", request_id()).build()
}

/// An error among an answer's examples.
fn referred(error: &Error) -> (String, RefOr<UtoipaExample>) {
    let name = name(error);
    let place = format!("#/components/examples/{name}");
    (name, RefOr::Ref(Ref::new(place)))
}

/// An error's name among the document's examples: the first words of what it says.
fn name(error: &Error) -> String {
    let text = error.to_string().to_ascii_lowercase();
    let words = text.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.take(6).collect::<Vec<_>>().join("-")
}

/// The whole answer of an error, as the document's examples have it; None if it has no body.
pub fn example(error: &Error) -> Option<(String, UtoipaExample)> {
    let body = error.body().ok()?;
    let envelope = envelope(body.status.as_str(), body.message, &body.data);
    Some((name(error), ExampleBuilder::new().summary(error.to_string()).value(Some(envelope)).build()))
}

fn envelope(status: &str, message: &str, data: &Value) -> Value {
    json!({
        "data": data,
        "error": status,
        "message": message,
        "status": "error",
        "timestamp": "2026-11-27T12:00:00Z",
        "version": "4.3.143",
        "node": "TVgxw95v62mmsVCUZ1MGXA",
        "request_id": "61188386cc9641d4b78721008ae75d87",
        "auth_token": "undefined",
    })
}

fn header(description: &str) -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String));
    header.description = Some(description.to_owned());
    header
}

fn request_id() -> Header {
    header("The request's id, which the log tells too.")
}

/// What may be wrong with any request.
pub fn of_every_request() -> Vec<Error> {
    vec![
        Error::BadPath,
        Error::InvalidMethod,
        Error::NotAcceptable,
        Error::OverBudget(Budget::Url, 16_384),
        Error::TooManyRequests(1),
        Error::OverBudget(Budget::Requests, 512),
        Error::OverBudget(Budget::InFlight, 64_000_000),
        Error::OverBudget(Budget::Deadline, 20),
        Error::InvalidBody(InvalidBody::Jsonp("a b".to_owned())),
        Error::Store(store::Error::Unreachable("connection refused".to_owned())),
        Error::Store(store::Error::Corrupt("no JSON".to_owned())),
    ]
}

/// What may be wrong with a request for something of an account.
pub fn of_accounts() -> Vec<Error> {
    let id = demo::ACCOUNT;
    let mut errors = vec![
        Error::Auth(auth::Error::InvalidCredentials(auth::Disbelief::None)),
        Error::Auth(auth::Error::Forbidden),
        Error::Auth(auth::Error::Restricted),
        Error::Auth(auth::Error::AccountDisabled),
        Error::Auth(auth::Error::AccountExpired(63_961_228_800)),
        Error::InvalidAccountId(id.to_uppercase()),
        Error::NotFound,
    ];
    if let (Ok(account), Ok(database)) = (id.parse(), "account/no".parse()) {
        errors.push(Error::Auth(auth::Error::UnknownAccount(account)));
        errors.push(Error::Store(store::Error::MissingDatabase(database)));
    }
    errors
}

/// What may be wrong with a request for a list.
pub fn of_lists() -> Vec<Error> {
    let mut errors = vec![
        Error::OverBudget(Budget::Conditions, 100),
        Error::OverBudget(Budget::Answer, 64_000_000),
        Error::OverBudget(Budget::Listeners, 2_000),
    ];
    if let Ok(database) = "account/no".parse() {
        let (design, view) = ("groups", "crossbar_listing");
        errors.push(Error::Store(store::Error::MissingView { database, design, view }));
    }
    errors
}

/// What may be wrong with a request for one document.
pub fn of_documents() -> Vec<Error> {
    vec![Error::BadIdentifier("00000000000000000000000000000000".to_owned())]
}

/// What may be wrong with a body.
pub fn of_bodies() -> Vec<Error> {
    let invalid = |body| Error::InvalidBody(body);
    vec![
        invalid(InvalidBody::Json("expected value at line 1 column 1".to_owned())),
        invalid(InvalidBody::NoData(empty_object().to_owned())),
        invalid(InvalidBody::DataType(crate::document::json::raw("text"))),
        invalid(InvalidBody::CutOff("the connection was closed".to_owned())),
        Error::Validation(validation_error("name", "required", json!({ "message": "Field is required but missing" }))),
        Error::OverBudget(Budget::Body, 8_000_000),
        Error::OverBudget(Budget::BodyTime, 20),
        Error::UnsupportedMediaType,
    ]
}

/// What may be wrong with a write.
pub fn of_writes() -> Vec<Error> {
    vec![
        Error::PreconditionFailed,
        Error::Store(store::Error::Conflict),
        Error::Store(store::Error::Full("no space left on device".to_owned())),
        Error::OverBudget(Budget::Endpoints, 10_000),
        Error::OverBudget(Budget::Rows, 16_000_000),
    ]
}

/// What may be wrong with who signs in.
pub fn of_sign_ins() -> Vec<Error> {
    vec![
        Error::Auth(auth::Error::UnknownCredentials),
        Error::Auth(auth::Error::SignInDisabled),
        Error::Auth(auth::Error::SecondFactor),
        Error::Auth(auth::Error::AccountDisabled),
    ]
}
