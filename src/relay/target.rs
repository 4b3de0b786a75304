//! Where an upstream is.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};

/// An upstream: a scheme, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    authority: Authority,
}

/// Why a text names no upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no URL of a crossbar (http://crossbar.example.com:8000): {0}")]
pub struct NoTarget(String);

impl Target {
    /// Where a path and its query are, as they are. None if they can't be asked for.
    pub fn uri(&self, path_and_query: &str) -> Option<Uri> {
        let path_and_query = PathAndQuery::try_from(path_and_query).ok()?;
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path_and_query).build().ok()
    }
}

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let no = |why: &str| NoTarget(why.to_owned());
        let uri: Uri = text.parse().map_err(|_| no("it is none"))?;
        let scheme = uri.scheme().filter(|scheme| matches!(scheme.as_str(), "http" | "https"));
        let scheme = scheme.cloned().ok_or_else(|| no("it begins with neither http:// nor https://"))?;
        let authority = uri.authority().cloned().ok_or_else(|| no("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(no("it holds credentials, of which clients bring their own"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(no("it has a path: clients' paths are relayed as they come"));
        }
        Ok(Self { scheme, authority })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_scheme_a_host_and_a_port() {
        for (text, uri) in [
            ("http://crossbar:8000", "http://crossbar:8000/v2/x?a=%zz&b"),
            ("http://10.0.0.1:8000/", "http://10.0.0.1:8000/v2/x?a=%zz&b"),
            ("https://[::1]", "https://[::1]/v2/x?a=%zz&b"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().uri("/v2/x?a=%zz&b").unwrap().to_string(), uri);
        }
        for text in
            ["crossbar:8000", "ftp://crossbar", "http://", "http://a:b@crossbar", "http://crossbar/v2", "", "/x"]
        {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_not_tidied_up() {
        let target: Target = "http://crossbar:8000".parse().unwrap();
        for path in ["/v2/a/../b", "/v2//x/%2e%2e/", "/v2/accounts/a%2Fb?x=%zz&x=1"] {
            assert_eq!(target.uri(path).unwrap().path_and_query().unwrap().as_str(), path);
        }
    }
}
