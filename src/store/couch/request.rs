//! A request to a CouchDB. Every URL is made here, each segment percent-encoded.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Url};

use crate::document::segment;

/// JSON, as it is asked for and sent.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request that can be sent to any node.
pub(super) struct Request {
    method: Method,
    path: String,
    parameters: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    accept: HeaderValue,
    pub(super) pace: Pace,
}

/// How fast a request can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It is about one document, or less.
    Quick,
    /// It reads a view, which CouchDB may have to make first.
    Slow,
    /// An operator reads or writes a batch of whole documents.
    Long,
}

impl Request {
    /// A request to a path of these segments, which wants JSON.
    pub(super) fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|part| format!("/{}", segment(part))).collect();
        Self { method, path, parameters: Vec::new(), body: None, accept: JSON, pace: Pace::Quick }
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

    pub(super) fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// The request as a client sends it to the node of a root.
    pub(super) fn to(&self, root: &Url, client: &Client) -> RequestBuilder {
        let mut url = root.clone();
        url.set_path(&self.path);
        if !self.parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.parameters);
        }
        let request = client.request(self.method.clone(), url).header(ACCEPT, self.accept.clone());
        match &self.body {
            Some(body) => request.header(CONTENT_TYPE, JSON).body(body.clone()),
            None => request,
        }
    }
}

impl Pace {
    /// How long loading or reading a batch of whole documents may take.
    pub(super) const LONG: Duration = Duration::from_secs(120);
}
