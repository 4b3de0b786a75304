//! Whom requests to one node go through.

use percent_encoding::percent_decode_str;
use reqwest::{Method, RequestBuilder, Url};

/// An HTTP client, and the node that it speaks with.
pub struct Client {
    http: reqwest::Client,
    /// The node's, without credentials.
    url: Url,
    user: Option<(String, Option<String>)>,
}

impl Client {
    /// A client of the node of a URL, credentials inside.
    pub fn new(http: reqwest::Client, mut url: Url) -> Self {
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let password = url.password().map(plain);
        let user = Some(plain(url.username())).filter(|user| !user.is_empty()).map(|user| (user, password));
        // it has a host, and so may have credentials
        let _ = (url.set_username(""), url.set_password(None));
        Self { http, url, user }
    }

    /// A request to a path of the node.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.url.clone();
        url.set_path(path);
        let request = self.http.request(method, url);
        match &self.user {
            Some((user, password)) => request.basic_auth(user, password.as_ref()),
            None => request,
        }
    }
}
