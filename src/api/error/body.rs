//! What clients see of each error: its status, and what its envelope says.

use actix_web::http::StatusCode;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::auth;
use crate::budgets::Budget;
use crate::document::json;
use crate::kazoo::rings::DEPTH;
use crate::kazoo::schema::{ValidationErrors, validation_error};
use crate::relay;
use crate::store;

use super::{Error, InvalidBody};

/// The most bytes of what a client sent that an error says again.
const LONGEST_ECHO: usize = 64 * 1024;

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
    /// What the error's envelope says; some errors have no envelope, only a status.
    pub fn body(&self) -> Result<ErrorBody, StatusCode> {
        Ok(match self {
            Self::NotFound => system(StatusCode::NOT_FOUND, "not_found", "not found"),
            Self::BadPath => system(StatusCode::BAD_REQUEST, "parse_error", "the path is not percent-encoded text"),
            Self::BadIdentifier(cause) => bad_identifier(cause),
            Self::InvalidAccountId(id) if id.is_empty() => {
                system(StatusCode::NOT_FOUND, "bad identifier", "missing account_id")
            }
            Self::InvalidAccountId(id) => {
                system(StatusCode::NOT_FOUND, "bad identifier", &format!("invalid account_id '{id}'"))
            }
            Self::InvalidMethod => system(StatusCode::METHOD_NOT_ALLOWED, "invalid_method", "method not allowed"),
            Self::NoOwnAccount(_) => no_credentials(),
            Self::Auth(error) => of_auth(error),
            Self::TooManyRequests(_) => too_many_requests(),
            Self::InvalidBody(invalid) => validation(invalid.errors()),
            Self::Validation(errors) => validation(errors.clone()),
            Self::NotAcceptable => return Err(StatusCode::NOT_ACCEPTABLE),
            Self::UnsupportedMediaType => return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::PreconditionFailed => return Err(StatusCode::PRECONDITION_FAILED),
            Self::OverBudget(budget, most) => over_budget(*budget, *most),
            Self::InUse(used) => said(StatusCode::CONFLICT, "in_use", serde_json::to_value(used).unwrap_or_default()),
            Self::Relay(failure) => of_relay(failure),
            Self::NotRelayed => system(
                StatusCode::NOT_IMPLEMENTED,
                "not_implemented",
                "no protocol but HTTP is relayed to the upstream",
            ),
            Self::Store(error) => of_store(error),
        })
    }
}

fn said(status: StatusCode, message: &'static str, data: Value) -> ErrorBody {
    ErrorBody { status, message, data }
}

/// What Kazoo calls a system error: its text stands in `data.message`.
fn system(status: StatusCode, message: &'static str, text: &str) -> ErrorBody {
    said(status, message, json!({ "message": text }))
}

fn validation(errors: ValidationErrors) -> ErrorBody {
    said(StatusCode::BAD_REQUEST, "validation error", Value::Object(errors))
}

fn bad_identifier(cause: &str) -> ErrorBody {
    said(StatusCode::NOT_FOUND, "bad_identifier", json!({ "cause": cause, "message": "bad identifier" }))
}

/// Kazoo says this in other words than all the rest.
fn no_credentials() -> ErrorBody {
    said(StatusCode::UNAUTHORIZED, "invalid credentials", json!({}))
}

fn too_many_requests() -> ErrorBody {
    system(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "too many requests")
}

/// What is said of who may not.
fn of_auth(error: &auth::Error) -> ErrorBody {
    match error {
        auth::Error::Store(error) => of_store(error),
        auth::Error::UnknownAccount(id) => bad_identifier(&id.to_string()),
        auth::Error::SignInDisabled => no_credentials(),
        auth::Error::InvalidCredentials(_) | auth::Error::UnknownCredentials => {
            system(StatusCode::UNAUTHORIZED, "invalid_credentials", "invalid credentials")
        }
        auth::Error::SecondFactor => {
            let text = "client needs to preform second-factor authentication";
            system(StatusCode::UNAUTHORIZED, "invalid_credentials", text)
        }
        auth::Error::AccountExpired(when) => {
            let detail = json!({ "message": "account expired", "cause": when });
            validation(validation_error("account", "expired", detail))
        }
        auth::Error::AccountDisabled => {
            let detail = json!({ "message": "account disabled" });
            validation(validation_error("account", "disabled", detail))
        }
        auth::Error::UnknownApiKey(key) => said(StatusCode::NOT_FOUND, "bad identifier", json!([key])),
        auth::Error::Forbidden => system(StatusCode::FORBIDDEN, "forbidden", "forbidden"),
        auth::Error::Restricted => {
            let cause = "access denied by token restrictions";
            said(StatusCode::FORBIDDEN, "forbidden", json!({ "cause": cause, "message": "forbidden" }))
        }
        auth::Error::Busy(_) => too_many_requests(),
    }
}

/// What is said of a store that failed.
fn of_store(error: &store::Error) -> ErrorBody {
    use store::Error::{
        Busy, Conflict, Corrupt, Denied, Full, MissingDatabase, MissingView, Nonsense, Refused, TimedOut, UnknownHost,
        Unreachable, Untrusted,
    };
    let unavailable = |message, text| system(StatusCode::SERVICE_UNAVAILABLE, message, text);
    match error {
        Conflict => system(StatusCode::CONFLICT, "datastore_conflict", "conflicting documents"),
        Unreachable(_) | UnknownHost(_) | Untrusted(_) | TimedOut(_) | Busy(_) => {
            unavailable("datastore_unreachable", "datastore unreachable")
        }
        MissingDatabase(_) => unavailable("datastore_missing", "data collection missing: database not found"),
        MissingView { design, view, .. } => said(
            StatusCode::SERVICE_UNAVAILABLE,
            "datastore_missing_view",
            json!({ "cause": format!("{design}/{view}"), "message": "datastore missing view" }),
        ),
        Full(_) => unavailable("datastore_fault", "datastore full"),
        Denied(_) | Refused(_) | Nonsense(_) | Corrupt(_) => unavailable("datastore_fault", "datastore fatal error"),
    }
}

/// What is said of a relay that failed.
fn of_relay(failure: &relay::Failure) -> ErrorBody {
    match failure {
        relay::Failure::Unreachable(_) => {
            system(StatusCode::SERVICE_UNAVAILABLE, "upstream_unreachable", "upstream unreachable")
        }
        relay::Failure::Broken(_) => {
            system(StatusCode::BAD_GATEWAY, "upstream_fault", "upstream ended without an answer")
        }
        relay::Failure::Late(seconds) => {
            let text = format!("upstream did not answer within {seconds} s");
            system(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", &text)
        }
        relay::Failure::Busy(most) => over_budget(Budget::Relayed, *most),
        relay::Failure::ClientIsLate(seconds) => {
            over_budget(Budget::BodyTime, usize::try_from(*seconds).unwrap_or(usize::MAX))
        }
        relay::Failure::ClientIsGone => system(StatusCode::BAD_REQUEST, "parse_error", "the body did not arrive whole"),
    }
}

/// What is said of what went over a bound.
fn over_budget(budget: Budget, most: usize) -> ErrorBody {
    let told = |status, message, text: String| system(status, message, &text);
    let found = |status, property, rule, text: String| {
        let found = validation_error(property, rule, json!({ "message": text, "target": most }));
        said(status, "validation error", Value::Object(found))
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
    /// What is wrong, as Kazoo names what is wrong with data.
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
