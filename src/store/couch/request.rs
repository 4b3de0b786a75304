//! A request to a CouchDB and its answer. Every path is made here, each segment percent-encoded.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;

use crate::document::segment;

use super::super::{Error, Result};
use super::client::Client;

/// How long loading or reading a batch of whole documents may take.
const LONG_TIME_OUT: Duration = Duration::from_secs(120);

/// A request that can be sent to any node.
pub(super) struct Request {
    method: Method,
    path: String,
    parameters: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    accept: HeaderValue,
    time_out: Option<Duration>,
}

impl Request {
    /// A request to a path of these segments, which wants JSON.
    pub(super) fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|part| format!("/{}", segment(part))).collect();
        let accept = HeaderValue::from_static("application/json");
        Self { method, path, parameters: Vec::new(), body: None, accept, time_out: None }
    }

    pub(super) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn parameters(mut self, parameters: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    pub(super) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Whatever comes is wanted.
    pub(super) fn any(mut self) -> Self {
        self.accept = HeaderValue::from_static("*/*");
        self
    }

    /// It may take long.
    pub(super) fn long(mut self) -> Self {
        self.time_out = Some(LONG_TIME_OUT);
        self
    }

    /// The request as one client sends it.
    pub(super) fn to(&self, client: &Client) -> RequestBuilder {
        let mut request = client.request(self.method.clone(), &self.path).header(ACCEPT, self.accept.clone());
        if !self.parameters.is_empty() {
            request = request.query(&self.parameters);
        }
        if let Some(body) = &self.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        match self.time_out {
            Some(time_out) => request.timeout(time_out),
            None => request,
        }
    }
}

/// A whole answer of a node.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) date: Option<HeaderValue>,
    pub(super) body: Bytes,
    /// Whether another node was asked before, and may have done it without saying so.
    pub(super) may_have_happened: bool,
}

/// No answer.
pub(super) struct Failure {
    pub(super) error: Error,
    /// Whether the request was sent, so that it may have been done.
    pub(super) may_have_happened: bool,
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let may_have_happened = !error.is_connect();
        // without its URL, which holds the database's name and may hold credentials
        let error = error.without_url();
        let error = match std::error::Error::source(&error) {
            _ if error.is_timeout() => Error::TimedOut(error.to_string()),
            Some(cause) => Error::Unreachable(format!("{error}: {cause}")),
            None => Error::Unreachable(error.to_string()),
        };
        Self { error, may_have_happened }
    }
}

/// Sends a request and reads the whole answer, whatever its status.
pub(super) async fn answered(request: RequestBuilder) -> std::result::Result<Answer, Failure> {
    let response = request.send().await?;
    let status = response.status();
    let date = response.headers().get(DATE).cloned();
    Ok(Answer { status, date, body: response.bytes().await?, may_have_happened: false })
}

impl Answer {
    /// None if the server said "not found".
    pub(super) fn found(self) -> Option<Self> {
        (self.status != StatusCode::NOT_FOUND).then_some(self)
    }

    /// Errors: the server did not do it.
    pub(super) fn accepted(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let start = &self.body[..self.body.len().min(200)];
        Err(Error::Refused(format!("{}: {}", self.status, String::from_utf8_lossy(start).trim())))
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Corrupt(error.to_string()))
    }
}
