//! How a CouchDB is asked: what may be under way to it, what may come from it, and how long that may take.

use std::num::NonZeroUsize;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::tls::Authorities;

/// What is asked of a CouchDB, within these bounds.
#[derive(Debug, Clone)]
pub struct CouchOptions {
    /// How many requests may be under way to a node; further ones wait for their turn. Views, which may be slow, have
    /// half of them.
    pub connections: NonZeroUsize,
    /// How many bytes an answer to a client's request may have.
    pub longest_answer: usize,
    /// Whether a proxy that the environment names (`HTTP_PROXY`, `ALL_PROXY`, …) is asked in the CouchDB's stead. It is
    /// given the credentials.
    pub proxy_from_environment: bool,
    /// By whom nodes over TLS are believed, beside the machine's authorities.
    pub trusted: Authorities,
    /// How long things may take.
    pub times: Times,
}

/// How long a CouchDB may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Connecting.
    pub connect: Duration,
    /// A document, from connecting to the last byte. As long may a request wait for its turn before.
    pub document: Duration,
    /// The same of a node after which another can be asked.
    pub document_of_several: Duration,
    /// Rows of a view, which CouchDB may have to make first.
    pub view: Duration,
    /// How long a node may be silent before it has to greet.
    pub patience: Duration,
    /// A greeting.
    pub greeting: Duration,
    /// How long is looked for a write of which no answer came.
    pub lost_write: Duration,
}

impl Default for CouchOptions {
    fn default() -> Self {
        Self {
            connections: const { NonZeroUsize::new(128).unwrap() },
            longest_answer: 64 * 1024 * 1024,
            proxy_from_environment: false,
            trusted: Authorities::default(),
            times: Times::default(),
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            document: Duration::from_secs(10),
            document_of_several: Duration::from_secs(4),
            view: Duration::from_secs(30),
            patience: Duration::from_secs(1),
            greeting: Duration::from_secs(2),
            lost_write: Duration::from_secs(30),
        }
    }
}

/// Why nothing can be asked of a CouchDB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoClient {
    /// The text is no URL of a CouchDB.
    #[error("no CouchDB URL (http://user:password@host:5984): {0}")]
    Url(String),
    /// The HTTP library can't be set up. It reads the machine's certificates even where no URL needs them.
    #[error("no HTTP client: {0}; are the machine's CA certificates installed (Debian's ca-certificates)?")]
    Http(String),
}

/// Where a node is, and the client that asks it.
pub(super) struct Line {
    pub(super) client: Client,
    /// The node's root, without credentials.
    pub(super) root: Url,
    /// What logs and metrics call the node: its host and port.
    pub(super) name: String,
}

impl Line {
    /// The line to a node of a URL that holds its credentials.
    pub(super) fn to(url: &str, options: &CouchOptions) -> Result<Self, NoClient> {
        let mut root = Url::parse(url).map_err(|error| NoClient::Url(error.to_string()))?;
        let host = root.host_str().ok_or_else(|| NoClient::Url("it names no host".to_owned()))?;
        if !matches!(root.path(), "" | "/") {
            return Err(NoClient::Url("it has a path".to_owned()));
        }
        let name = match root.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let client = client(credentials(&root)?, options)?;
        // what is left is a scheme, a host and a port: no part can't be taken off
        let _ = root.set_username("").and_then(|()| root.set_password(None));
        root.set_query(None);
        root.set_fragment(None);
        Ok(Self { client, root, name })
    }
}

/// A client that goes nowhere but where it is told, and takes answers as they come.
fn client(credentials: Option<HeaderValue>, options: &CouchOptions) -> Result<Client, NoClient> {
    let headers: HeaderMap = credentials.map(|credentials| (AUTHORIZATION, credentials)).into_iter().collect();
    let http = |error: &dyn std::error::Error| NoClient::Http(error.to_string());
    let client = Client::builder()
        .tls_backend_preconfigured(options.trusted.client().map_err(|error| http(&error))?)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .redirect(Policy::none())
        // couch_rs turns the feature on
        .gzip(false)
        .connect_timeout(options.times.connect)
        .pool_max_idle_per_host(options.connections.get());
    let client = if options.proxy_from_environment { client } else { client.no_proxy() };
    client.build().map_err(|error| http(&error))
}

/// A URL's user and password as HTTP Basic takes them.
fn credentials(url: &Url) -> Result<Option<HeaderValue>, NoClient> {
    if url.username().is_empty() {
        return Ok(None);
    }
    let plain = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let pair = [plain(url.username()), plain(url.password().unwrap_or_default())].join(&b':');
    let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
    let mut value = value.map_err(|error| NoClient::Url(error.to_string()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
