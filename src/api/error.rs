//! The catalogue of errors as clients see them, in Kazoo's words (`cb_context`'s system errors
//! and validation errors). Every failed request ends in one of these.

use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::auth;
use crate::budgets::Budget;
use crate::document::json;
use crate::kazoo::rings::{DEPTH, MEMBERS, TooLarge};
use crate::kazoo::schema::{ValidationErrors, validation_error};
use crate::kazoo::used::UsedBy;
use crate::relay;
use crate::store;
use crate::using::{self, TooMany};

/// The most bytes of what a client sent that an error says again.
const LONGEST_ECHO: usize = 64 * 1024;

/// After how many seconds a client may ask again that found the store out of reach, or full.
const STORE_PAUSE_S: u64 = 2;

/// Why a request was not answered as it asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The path names nothing here.
    #[error("not found")]
    NotFound,
    /// The path can't be read: a bad percent sign, or bytes that are no text.
    #[error("the path is not percent-encoded text")]
    BadPath,
    /// There is no such document, or none that is shown.
    #[error("bad identifier {0}")]
    BadIdentifier(String),
    /// What stands where an account's id should is none.
    #[error("invalid account id {0}")]
    InvalidAccountId(String),
    /// The method, or the verb that stands for it, is not for this path.
    #[error("method not allowed")]
    InvalidMethod,
    /// The path is about the token's own account, and there is no token that is believed.
    #[error("no token says whose account is meant: {0}")]
    NoOwnAccount(auth::Error),
    /// Whoever asks may not, or it can't be found out whether they may.
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// The client asks too often; after so many seconds it may ask again.
    #[error("too many requests")]
    TooManyRequests(u64),
    /// The body is not what it must be.
    #[error("invalid body: {0}")]
    InvalidBody(#[from] InvalidBody),
    /// The data are not what the schema asks for.
    #[error("validation error")]
    Validation(ValidationErrors),
    /// The client accepts no form that the answer has.
    #[error("not acceptable")]
    NotAcceptable,
    /// The body's form can't be taken.
    #[error("unsupported media type")]
    UnsupportedMediaType,
    /// A condition of the request (`If-Match`) does not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// It would cost more than it may: the bound, and how much that is.
    #[error("over the budget of {0}: {1}")]
    OverBudget(Budget, usize),
    /// What was to be deleted only unless something names it is named.
    #[error("it is used in {} places", .0.places())]
    InUse(Box<UsedBy>),
    /// The upstream did not answer what was relayed to it.
    #[error(transparent)]
    Relay(#[from] relay::Failure),
    /// A websocket was asked for, or a tunnel, of the upstream.
    #[error("no protocol but HTTP is relayed")]
    NotRelayed,
    /// The store failed, or found a conflict.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What is wrong with a request's body, before anyone looks at its data.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidBody {
    /// It is not a JSON object, or not one that is taken.
    #[error("{0}")]
    Json(String),
    /// It has no `data`.
    #[error("no data")]
    NoData(Box<RawValue>),
    /// Its `data` is neither an object nor an array.
    #[error("data of another type")]
    DataType(Box<RawValue>),
    /// It did not arrive whole.
    #[error("cut off: {0}")]
    CutOff(String),
    /// `jsonp` is no name of a function.
    #[error("jsonp is no name")]
    Jsonp(String),
}

/// What an error's envelope says.
pub struct ErrorBody {
    /// The HTTP status, and `error`.
    pub status: StatusCode,
    /// `message`.
    pub message: &'static str,
    /// `data`.
    pub data: Value,
}

impl Error {
    /// The client may ask again after so long.
    pub fn too_many(wait: Duration) -> Self {
        let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::TooManyRequests(whole.max(1))
    }

    /// What the error's envelope says; some errors have no envelope, only a status.
    pub fn body(&self) -> Result<ErrorBody, StatusCode> {
        let body = |status, message, data| Ok(ErrorBody { status, message, data });
        let system = |status, message, text: &str| body(status, message, json!({ "message": text }));
        match self {
            Self::NotFound => system(StatusCode::NOT_FOUND, "not_found", "not found"),
            Self::BadPath => system(StatusCode::BAD_REQUEST, "parse_error", "the path is not percent-encoded text"),
            Self::BadIdentifier(cause) => {
                body(StatusCode::NOT_FOUND, "bad_identifier", json!({ "cause": cause, "message": "bad identifier" }))
            }
            Self::InvalidAccountId(id) if id.is_empty() => {
                system(StatusCode::NOT_FOUND, "bad identifier", "missing account_id")
            }
            Self::InvalidAccountId(id) => {
                system(StatusCode::NOT_FOUND, "bad identifier", &format!("invalid account_id '{id}'"))
            }
            Self::InvalidMethod => system(StatusCode::METHOD_NOT_ALLOWED, "invalid_method", "method not allowed"),
            // Kazoo says this in other words than all the rest
            Self::NoOwnAccount(_) | Self::Auth(auth::Error::SignInDisabled) => {
                body(StatusCode::UNAUTHORIZED, "invalid credentials", json!({}))
            }
            Self::Auth(auth::Error::Store(error)) => Self::Store(error.clone()).body(),
            Self::Auth(auth::Error::UnknownAccount(id)) => Self::BadIdentifier(id.to_string()).body(),
            Self::Auth(auth::Error::InvalidCredentials(_) | auth::Error::UnknownCredentials) => {
                system(StatusCode::UNAUTHORIZED, "invalid_credentials", "invalid credentials")
            }
            Self::Auth(auth::Error::SecondFactor) => {
                let message = "client needs to preform second-factor authentication";
                system(StatusCode::UNAUTHORIZED, "invalid_credentials", message)
            }
            Self::Auth(auth::Error::AccountExpired(when)) => {
                let detail = json!({ "message": "account expired", "cause": when });
                Self::Validation(validation_error("account", "expired", detail)).body()
            }
            Self::Auth(auth::Error::AccountDisabled) => {
                let detail = json!({ "message": "account disabled" });
                Self::Validation(validation_error("account", "disabled", detail)).body()
            }
            Self::Auth(auth::Error::UnknownApiKey(key)) => body(StatusCode::NOT_FOUND, "bad identifier", json!([key])),
            Self::Auth(auth::Error::Forbidden) => system(StatusCode::FORBIDDEN, "forbidden", "forbidden"),
            Self::Auth(auth::Error::Restricted) => {
                let cause = "access denied by token restrictions";
                body(StatusCode::FORBIDDEN, "forbidden", json!({ "cause": cause, "message": "forbidden" }))
            }
            Self::Auth(auth::Error::Busy(wait)) => Self::too_many(*wait).body(),
            Self::TooManyRequests(_) => system(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "too many requests"),
            Self::InvalidBody(invalid) => {
                body(StatusCode::BAD_REQUEST, "validation error", Value::Object(invalid.errors()))
            }
            Self::Validation(errors) => {
                body(StatusCode::BAD_REQUEST, "validation error", Value::Object(errors.clone()))
            }
            Self::NotAcceptable => Err(StatusCode::NOT_ACCEPTABLE),
            Self::UnsupportedMediaType => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::PreconditionFailed => Err(StatusCode::PRECONDITION_FAILED),
            Self::OverBudget(budget, most) => Ok(over_budget(*budget, *most)),
            Self::InUse(used) => body(StatusCode::CONFLICT, "in_use", serde_json::to_value(used).unwrap_or_default()),
            Self::Relay(failure) => Ok(of_relay(failure)),
            Self::NotRelayed => system(
                StatusCode::NOT_IMPLEMENTED,
                "not_implemented",
                "no protocol but HTTP is relayed to the upstream",
            ),
            Self::Store(store::Error::Conflict) => {
                system(StatusCode::CONFLICT, "datastore_conflict", "conflicting documents")
            }
            Self::Store(
                store::Error::Unreachable(_)
                | store::Error::UnknownHost(_)
                | store::Error::Untrusted(_)
                | store::Error::TimedOut(_)
                | store::Error::Busy(_),
            ) => system(StatusCode::SERVICE_UNAVAILABLE, "datastore_unreachable", "datastore unreachable"),
            Self::Store(store::Error::MissingDatabase(_)) => system(
                StatusCode::SERVICE_UNAVAILABLE,
                "datastore_missing",
                "data collection missing: database not found",
            ),
            Self::Store(store::Error::MissingView { design, view, .. }) => body(
                StatusCode::SERVICE_UNAVAILABLE,
                "datastore_missing_view",
                json!({ "cause": format!("{design}/{view}"), "message": "datastore missing view" }),
            ),
            Self::Store(store::Error::Full(_)) => {
                system(StatusCode::SERVICE_UNAVAILABLE, "datastore_fault", "datastore full")
            }
            Self::Store(
                store::Error::Denied(_)
                | store::Error::Refused(_)
                | store::Error::Nonsense(_)
                | store::Error::Corrupt(_),
            ) => system(StatusCode::SERVICE_UNAVAILABLE, "datastore_fault", "datastore fatal error"),
        }
    }

    /// Whether the fault is below, so that an operator should know of it.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Store(error) | Self::Auth(auth::Error::Store(error)) => !matches!(error, store::Error::Conflict),
            Self::OverBudget(budget, _) => *budget == Budget::Deadline,
            Self::Relay(failure) => {
                use relay::Failure::{Broken, Late, Unreachable};
                matches!(failure, Unreachable(_) | Broken(_) | Late(_))
            }
            _ => false,
        }
    }

    /// Whether somebody is kept out, so that an operator may ask why. Who asks for an account that is not there is not.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NoOwnAccount(_) => true,
            Self::Auth(error) => error.is_refusal() && !matches!(error, auth::Error::UnknownAccount(_)),
            _ => false,
        }
    }

    /// The bound that the request went over.
    pub fn budget(&self) -> Option<Budget> {
        match self {
            Self::OverBudget(budget, _) => Some(*budget),
            Self::Relay(relay::Failure::Busy(_)) => Some(Budget::Relayed),
            _ => None,
        }
    }

    /// After how many seconds the client may ask again, where that is known.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::OverBudget(Budget::Requests | Budget::Listeners | Budget::InFlight, _)
            | Self::Relay(relay::Failure::Busy(_)) => Some(1),
            Self::Auth(auth::Error::Busy(wait)) => Self::too_many(*wait).retry_after(),
            Self::OverBudget(Budget::Deadline, _) | Self::Relay(relay::Failure::Unreachable(_)) => Some(STORE_PAUSE_S),
            Self::TooManyRequests(seconds) => Some(*seconds),
            Self::Store(error) | Self::Auth(auth::Error::Store(error)) if self.is_fault() => match error {
                store::Error::Unreachable(_)
                | store::Error::UnknownHost(_)
                | store::Error::Untrusted(_)
                | store::Error::TimedOut(_)
                | store::Error::Busy(_)
                | store::Error::Full(_)
                | store::Error::Nonsense(_) => Some(STORE_PAUSE_S),
                _ => None,
            },
            _ => None,
        }
    }

    /// How many rows a sign-in's view had: Kazoo tells that of one that was refused after it was asked.
    pub fn rows_found(&self) -> Option<usize> {
        match self {
            Self::Auth(auth::Error::UnknownCredentials | auth::Error::UnknownApiKey(_)) => Some(0),
            Self::Auth(auth::Error::SignInDisabled | auth::Error::SecondFactor) => Some(1),
            _ => None,
        }
    }

    /// Whether the body was not read to its end, so that nothing else can be asked on its connection.
    pub fn leaves_body_unread(&self) -> bool {
        use Budget::{Body, BodyTime, InFlight, Requests, Url};
        match self {
            Self::OverBudget(budget, _) => matches!(budget, Body | BodyTime | InFlight | Requests | Url),
            Self::InvalidBody(invalid) => matches!(invalid, InvalidBody::CutOff(_)),
            Self::Relay(_) | Self::NotRelayed => true,
            _ => false,
        }
    }

    /// Whether the body was what was wrong: Kazoo finds that before it reads the token.
    pub fn is_of_body(&self) -> bool {
        matches!(self, Self::InvalidBody(_) | Self::OverBudget(Budget::Body, _))
    }
}

/// What is said of a relay that failed.
fn of_relay(failure: &relay::Failure) -> ErrorBody {
    let said = |status, message, text: &str| ErrorBody { status, message, data: json!({ "message": text }) };
    match failure {
        relay::Failure::Unreachable(_) => {
            said(StatusCode::SERVICE_UNAVAILABLE, "upstream_unreachable", "upstream unreachable")
        }
        relay::Failure::Broken(_) => {
            said(StatusCode::BAD_GATEWAY, "upstream_fault", "upstream ended without an answer")
        }
        relay::Failure::Late(seconds) => {
            let text = format!("upstream did not answer within {seconds} s");
            said(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", &text)
        }
        relay::Failure::Busy(most) => over_budget(Budget::Relayed, *most),
        relay::Failure::ClientIsLate(seconds) => {
            said(StatusCode::REQUEST_TIMEOUT, "request_timeout", &format!("The body stood still for {seconds} s"))
        }
        relay::Failure::ClientIsGone => said(StatusCode::BAD_REQUEST, "parse_error", "the body did not arrive whole"),
    }
}

/// What is said of what went over a bound.
fn over_budget(budget: Budget, most: usize) -> ErrorBody {
    let told = |status, message, text: String| ErrorBody { status, message, data: json!({ "message": text }) };
    let found = |status, property, rule, text: String| {
        let found = validation_error(property, rule, json!({ "message": text, "target": most }));
        ErrorBody { status, message: "validation error", data: Value::Object(found) }
    };
    match budget {
        Budget::Url => {
            let text = format!("The path and the query must not be more than {most} bytes");
            told(StatusCode::URI_TOO_LONG, "uri_too_long", text)
        }
        Budget::Body => {
            let text = format!("Payload or Files must not be more than {most} bytes");
            found(StatusCode::PAYLOAD_TOO_LARGE, "file", "maxSize", text)
        }
        Budget::BodyTime => {
            let text = format!("The body did not arrive within {most} s");
            told(StatusCode::REQUEST_TIMEOUT, "request_timeout", text)
        }
        Budget::Endpoints => {
            let text = format!("A group must not have more than {most} endpoints");
            found(StatusCode::BAD_REQUEST, "endpoints", "maxProperties", text)
        }
        Budget::Rows => {
            let text = format!("What lists hold of a group, once for each user, must not be more than {most} bytes");
            found(StatusCode::BAD_REQUEST, "endpoints", "maxRows", text)
        }
        Budget::Conditions => {
            let text = format!("A filter must not have more than {most} conditions");
            told(StatusCode::BAD_REQUEST, "too_large", text)
        }
        Budget::Rings => {
            let text =
                format!("Who rings is told of groups up to {DEPTH} levels deep, and of up to {most} members in all");
            told(StatusCode::BAD_REQUEST, "too_large", text)
        }
        Budget::Uses => {
            let text =
                format!("What uses a group is told of accounts of up to {most} callflows, groups, users and devices");
            told(StatusCode::BAD_REQUEST, "too_large", text)
        }
        Budget::Answer => {
            let text = format!("The answer would be more than {most} bytes: ask for pages");
            told(StatusCode::BAD_REQUEST, "too_large", text)
        }
        Budget::Columns => {
            let text = format!("The table would have more than {most} columns: ask for JSON");
            told(StatusCode::BAD_REQUEST, "too_large", text)
        }
        Budget::Requests => {
            let text = format!("{most} requests are under way: try again");
            told(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text)
        }
        Budget::Relayed => {
            let text = format!("{most} requests are being relayed: try again");
            told(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text)
        }
        Budget::Listeners => {
            let text = format!("{most} listen already: try again");
            told(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text)
        }
        Budget::InFlight => {
            let text = format!("The requests under way hold {most} bytes: try again");
            told(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text)
        }
        Budget::Deadline => {
            let text = format!("There was no answer within {most} s: try again");
            told(StatusCode::SERVICE_UNAVAILABLE, "timeout", text)
        }
    }
}

/// What a client sent, as an error says it again: nothing of what has more than so many bytes.
pub fn echo(sent: &RawValue, most: usize) -> Value {
    if sent.get().len() > most { Value::Null } else { json::tree(sent).unwrap_or_default() }
}

impl InvalidBody {
    fn errors(&self) -> ValidationErrors {
        let value = |raw: &RawValue| echo(raw, LONGEST_ECHO);
        match self {
            Self::Json(message) | Self::CutOff(message) => {
                validation_error("json", "invalid", json!({ "message": message, "target": "body" }))
            }
            Self::NoData(envelope) => validation_error(
                "data",
                "required",
                json!({ "message": "Field is required but missing", "value": value(envelope) }),
            ),
            Self::DataType(data) => {
                let target = "object, array";
                let message = format!("Value did not match type(s): {target}");
                validation_error("data", "type", json!({ "message": message, "target": target, "value": value(data) }))
            }
            Self::Jsonp(name) => validation_error(
                "jsonp",
                "pattern",
                json!({ "message": "The callback must be a JavaScript identifier", "value": name }),
            ),
        }
    }
}

impl From<TooLarge> for Error {
    fn from(_: TooLarge) -> Self {
        Self::OverBudget(Budget::Rings, MEMBERS)
    }
}

impl From<TooMany> for Error {
    fn from(_: TooMany) -> Self {
        Self::OverBudget(Budget::Uses, using::DOCUMENTS)
    }
}

impl From<ValidationErrors> for Error {
    fn from(errors: ValidationErrors) -> Self {
        Self::Validation(errors)
    }
}
