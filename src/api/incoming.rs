//! A request as it came in: who asks for what, in which form, before anyone checked whether they may.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, HeaderName,
    HeaderValue, ORIGIN,
};

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::auth::Credentials;
use crate::document::{Document, json};
use crate::kazoo::erlang::as_text;
use crate::kazoo::verb::Verb;

use super::body::{self, Body, ContentType};
use super::error::{Error, InvalidBody};

/// The header of a client's own id for its request.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of a client's that is taken.
const LONGEST_REQUEST_ID: usize = 256;

/// The longest value in an envelope, in bytes, that is read as a parameter.
const LONGEST_PARAMETER: usize = 64 * 1024;

/// A request whose body was read.
pub struct Incoming {
    /// What actix knows of it.
    pub http: HttpRequest,
    /// What it sent.
    pub body: Body,
    /// The query's parameters, decoded, in order; one without `=` has no value.
    pub query: Vec<(String, Option<String>)>,
}

impl Incoming {
    /// Puts together a request and its body.
    pub fn new(http: HttpRequest, body: Body) -> Self {
        let query = body::parameters(http.query_string());
        Self { http, body, query }
    }

    /// The data that were sent; an empty object if there were none.
    pub fn data(&self) -> Arc<RawValue> {
        self.body.data.clone().unwrap_or_else(|| Arc::from(json::empty_object().to_owned()))
    }

    /// A parameter: of the query, where one without a value is `true`, or else of the envelope around the data.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let of_query = self.query.iter().find(|(key, _)| key == name);
        let of_query = of_query.map(|(_, value)| value.clone().unwrap_or_else(|| "true".to_owned()));
        of_query.or_else(|| text_of(&self.body.envelope, name))
    }

    /// Whether the query has a parameter without a value.
    pub fn has_bare(&self, name: &str) -> bool {
        self.query.iter().find(|(key, _)| key == name).is_some_and(|(_, value)| value.is_none())
    }

    /// Whether a parameter, or else a default, is `true`.
    pub fn is_true(&self, name: &str, default: bool) -> bool {
        self.parameter(name).map_or(default, |value| value == "true")
    }

    /// A header's text.
    pub fn header(&self, name: impl actix_web::http::header::AsHeaderName) -> Option<&str> {
        self.http.headers().get(name).and_then(text)
    }

    /// What it carries to show whom it speaks for.
    pub fn credentials(&self) -> Credentials {
        if let Some(token) = self.header("x-auth-token") {
            return Credentials::Token(token.to_owned());
        }
        if let Some(token) = self.parameter("auth_token") {
            return Credentials::Token(token);
        }
        self.header(AUTHORIZATION).map_or(Credentials::None, Credentials::of_authorization)
    }

    /// What is to be done: the method, or the verb that is sent in its place; None if it is nothing that can be.
    pub fn verb(&self) -> Option<Verb> {
        match self.parameter("verb") {
            Some(verb) => Verb::named(&verb.to_uppercase()),
            None => Verb::named(self.http.method().as_str()),
        }
    }

    /// Whether the method is one that only reads: then nothing is written, whatever the verb.
    pub fn only_reads(&self) -> bool {
        only_reads(self.http.method())
    }

    /// Whether a browser asks on behalf of a page of another origin.
    pub fn is_cors(&self) -> bool {
        is_cors(&self.http)
    }

    /// The form of the body.
    pub fn content_type(&self) -> ContentType {
        ContentType::of(self.header(CONTENT_TYPE))
    }

    /// The function that the answer is to be wrapped in.
    ///
    /// Errors: it is no name of a function.
    pub fn jsonp(&self) -> Result<Option<String>, Error> {
        match self.parameter("jsonp") {
            Some(name) if is_function_name(&name) => Ok(Some(name)),
            Some(name) => Err(InvalidBody::Jsonp(name).into()),
            None => Ok(None),
        }
    }
}

/// A header's value as a text. It holds no control characters but tabs, so it is one where it is ASCII: what `to_str`
/// says too, which looks at one character after the other.
pub fn text(value: &HeaderValue) -> Option<&str> {
    let bytes = value.as_bytes();
    if bytes.is_ascii() { std::str::from_utf8(bytes).ok() } else { None }
}

/// A value of an envelope as a text, as `auth_token` and `verb` are read. One longer than any parameter is none.
fn text_of(envelope: &Document, key: &str) -> Option<String> {
    let value = envelope.get(key).filter(|value| value.get().len() <= LONGEST_PARAMETER)?;
    as_text(value.get())
}

/// Whether a browser asks on behalf of a page of another origin.
pub fn is_cors(request: &HttpRequest) -> bool {
    [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS]
        .iter()
        .any(|name| request.headers().contains_key(name))
}

/// Whether a method only reads.
pub fn only_reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The id that the client gave its request, or one that was made up.
pub fn request_id(http: &HttpRequest, made_up: impl FnOnce() -> String) -> String {
    let given = http.headers().get(X_REQUEST_ID).and_then(text);
    let given = given.filter(|id| !id.is_empty() && id.len() <= LONGEST_REQUEST_ID);
    given.map_or_else(made_up, str::to_owned)
}

/// JavaScript identifiers, with dots between them.
fn is_function_name(name: &str) -> bool {
    let is_identifier = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || "_$".contains(c))
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_$".contains(c))
    };
    name.len() <= 128 && name.split('.').all(is_identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonp_takes_names_only() {
        for name in ["cb", "_a.b$1", "jQuery123_456"] {
            assert!(is_function_name(name), "{name}");
        }
        for name in ["", "1a", "a.", "a;alert(1)", "a(", "<script>", "a b", "é"] {
            assert!(!is_function_name(name), "{name}");
        }
    }
}
