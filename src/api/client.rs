//! The address of a client: the peer's, or what a trusted proxy says of its own.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;

/// The proxies that are believed.
pub struct Proxies(HashSet<IpAddr>);

impl Proxies {
    /// The proxies of these addresses.
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self(addresses.into_iter().map(|proxy| proxy.to_canonical()).collect())
    }

    /// Whether a request comes from one of them.
    pub fn have_sent(&self, request: &HttpRequest) -> bool {
        request.peer_addr().is_some_and(|peer| self.0.contains(&peer.ip().to_canonical()))
    }

    /// The address of the client of a request; None where not even the peer's is known.
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        let mut client = request.peer_addr()?.ip().to_canonical();
        // each proxy adds whom it heard from at the end: the last that is no proxy of ours is the client, and what
        // stands before one that can't be read is nobody's word that we trust
        let headers: Vec<_> = request.headers().get_all("x-forwarded-for").collect();
        let entries = headers.iter().rev().flat_map(|header| header.to_str().unwrap_or_default().rsplit(','));
        let mut heard_from = entries.map(|entry| address(entry.trim()));
        while self.0.contains(&client)
            && let Some(Some(before)) = heard_from.next()
        {
            client = before;
        }
        Some(client)
    }
}

/// The address of an entry of `X-Forwarded-For`: with a port or without, an IPv6 address in brackets or not.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let proxies = Proxies::new(["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]);
        let client = |peer: &str, forwarded: &str| {
            let peer = format!("{peer}:5000").parse().unwrap();
            let request = TestRequest::default().peer_addr(peer).insert_header(("x-forwarded-for", forwarded));
            proxies.client(&request.to_http_request()).unwrap().to_string()
        };
        assert_eq!(client("192.0.2.9", "198.51.100.1"), "192.0.2.9");
        assert_eq!(client("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(client("10.0.0.1", "203.0.113.7, 198.51.100.1, 10.0.0.2"), "198.51.100.1");
        for unreadable in ["nonsense", "203.0.113.7, nonsense", "203.0.113.7, unknown, 10.0.0.2", "203.0.113.7,"] {
            assert!(client("10.0.0.1", unreadable).starts_with("10.0.0."), "{unreadable}");
        }
        assert_eq!(client("10.0.0.1", "203.0.113.7, 198.51.100.1:4711"), "198.51.100.1");
        assert_eq!(client("10.0.0.1", "[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(client("10.0.0.1", "[2001:db8::1]"), "2001:db8::1");
        assert_eq!(client("10.0.0.1", "::ffff:198.51.100.1, ::ffff:10.0.0.2"), "198.51.100.1");
        assert_eq!(client("[::ffff:10.0.0.1]", "198.51.100.1"), "198.51.100.1", "an IPv4 peer of an IPv6 listener");
    }
}
