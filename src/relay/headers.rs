//! Which headers go on, and which end here: RFC 9110, 7.6.1, and what a reverse proxy says of whom it asks for.

use std::net::IpAddr;

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What is said between two neighbours, besides what their `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
];

/// What no `Connection` takes away: whom a message is for, and where it ends.
const KEPT: [HeaderName; 2] = [HOST, CONTENT_LENGTH];

/// How a request's body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Nothing,
    /// Of a length that was told.
    Length,
    /// In pieces.
    Chunked,
}

/// For whom is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBehalf {
    /// The client's address, if it is known.
    pub client: Option<IpAddr>,
    /// Whether it came by way of a proxy that is trusted: then what that says of the host and the scheme is kept.
    pub by_proxy: bool,
    /// Whether it came over TLS.
    pub is_secure: bool,
    /// The request's id.
    pub request_id: String,
}

impl Framing {
    /// That of a request of these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let is_nothing = |length: &HeaderValue| length.as_bytes().iter().all(|digit| *digit == b'0');
        match headers.get(CONTENT_LENGTH) {
            _ if headers.contains_key(TRANSFER_ENCODING) => Self::Chunked,
            Some(length) if !is_nothing(length) => Self::Length,
            _ => Self::Nothing,
        }
    }
}

/// Whether a request asks for a websocket, which can't be relayed. What else `Upgrade` offers may be declined.
pub fn wants_websocket(headers: &HeaderMap) -> bool {
    tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
}

/// The headers of a message that are for its end.
pub fn end_to_end(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|token| token.parse().ok())
        .filter(|name| !KEPT.contains(name))
        .collect();
    headers.iter().filter(move |(name, _)| !HOP_BY_HOP.contains(name) && !named.contains(name))
}

/// The headers of a request, as they are sent on.
///
/// The client's address is all that `X-Forwarded-For` holds: Kazoo takes the header's whole text for the address, where it
/// believes who sends it (`crossbar.reverse_proxies`).
pub fn of_request(headers: &HeaderMap, framing: Framing, behalf: &OnBehalf) -> HeaderMap {
    // that a body may come was said by us
    let ends_here = |name: &HeaderName| {
        *name == EXPECT
            || *name == X_REQUEST_ID
            || *name == X_FORWARDED_FOR
            || (*name == CONTENT_LENGTH && framing == Framing::Chunked)
            || (!behalf.by_proxy && [FORWARDED, X_FORWARDED_HOST, X_FORWARDED_PROTO].contains(name))
    };
    let mut sent = HeaderMap::with_capacity(headers.len() + 4);
    for (name, value) in end_to_end(headers).filter(|(name, _)| !ends_here(name)) {
        sent.append(name, value.clone());
    }
    if framing == Framing::Chunked {
        sent.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let client = behalf.client.map(|client| client.to_string());
    for (name, value) in [(X_REQUEST_ID, Some(behalf.request_id.clone())), (X_FORWARDED_FOR, client)] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            sent.insert(name, value);
        }
    }
    if let Some(host) = headers.get(HOST) {
        sent.entry(X_FORWARDED_HOST).or_insert_with(|| host.clone());
    }
    let scheme = if behalf.is_secure { "https" } else { "http" };
    sent.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(scheme));
    sent
}

/// The tokens of a header that is a list.
fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> + use<'h> {
    let texts = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(of: &[(&str, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn behalf(by_proxy: bool) -> OnBehalf {
        let client = Some("198.51.100.7".parse().unwrap());
        OnBehalf { client, by_proxy, is_secure: true, request_id: "abc".to_owned() }
    }

    #[test]
    fn what_is_between_neighbours_ends_here() {
        let sent = headers(&[
            ("Host", "api.example.com"),
            ("Connection", "keep-alive, X-Hop, host, content-length"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "trailers"),
            ("Upgrade", "h2c"),
            ("Proxy-Authorization", "Basic x"),
            ("Content-Length", "3"),
            ("Expect", "100-continue"),
            ("X-Auth-Token", "t"),
        ]);
        let on = of_request(&sent, Framing::of(&sent), &behalf(false));
        let mut names: Vec<&str> = on.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "content-length",
            "host",
            "x-auth-token",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id",
        ];
        assert_eq!(names, expected);
        assert_eq!(on["x-forwarded-host"], "api.example.com");
    }

    #[test]
    fn only_a_trusted_proxy_says_how_it_was_asked() {
        let sent = headers(&[
            ("Host", "internal"),
            ("X-Forwarded-For", "203.0.113.1, 198.51.100.7"),
            ("X-Forwarded-Host", "api.example.com"),
            ("X-Forwarded-Proto", "http"),
            ("X-Request-ID", "theirs"),
            ("Forwarded", "for=203.0.113.1"),
        ]);
        let (by_proxy, by_itself) = (behalf(true), behalf(false));
        let on = of_request(&sent, Framing::Nothing, &by_proxy);
        assert_eq!(
            (&on["x-forwarded-host"], &on["x-forwarded-proto"]),
            (&"api.example.com".parse().unwrap(), &"http".parse().unwrap())
        );
        assert!(on.contains_key("forwarded"));
        let on = of_request(&sent, Framing::Nothing, &by_itself);
        assert_eq!(
            (&on["x-forwarded-host"], &on["x-forwarded-proto"]),
            (&"internal".parse().unwrap(), &"https".parse().unwrap())
        );
        assert!(!on.contains_key("forwarded"));
        assert_eq!(
            (&on["x-forwarded-for"], &on["x-request-id"]),
            (&"198.51.100.7".parse().unwrap(), &"abc".parse().unwrap())
        );
    }

    #[test]
    fn a_body_is_framed_once() {
        let both = headers(&[("Transfer-Encoding", "chunked"), ("Content-Length", "3")]);
        assert_eq!(Framing::of(&both), Framing::Chunked);
        let on = of_request(&both, Framing::Chunked, &behalf(false));
        assert!(on.contains_key("transfer-encoding") && !on.contains_key("content-length"));
        assert_eq!(Framing::of(&headers(&[("Content-Length", "3")])), Framing::Length);
        assert_eq!(Framing::of(&headers(&[("Content-Length", "00")])), Framing::Nothing);
        assert_eq!(Framing::of(&headers(&[])), Framing::Nothing);
    }

    #[test]
    fn a_websocket_is_known_and_other_offers_are_not() {
        assert!(wants_websocket(&headers(&[("Upgrade", "h2c, WebSocket")])));
        assert!(!wants_websocket(&headers(&[("Upgrade", "h2c")])));
        assert!(!wants_websocket(&headers(&[("Connection", "upgrade")])));
    }

    proptest! {
        #[test]
        fn what_is_for_the_end_goes_on_as_often_as_it_came(values in prop::collection::vec("[a-z ]{0,8}", 0..5)) {
            let mut sent = HeaderMap::new();
            for value in &values {
                sent.append("x-any", value.trim().parse().unwrap());
            }
            let on = of_request(&sent, Framing::Nothing, &behalf(false));
            let got: Vec<&[u8]> = on.get_all("x-any").iter().map(HeaderValue::as_bytes).collect();
            prop_assert_eq!(got, values.iter().map(|value| value.trim().as_bytes()).collect::<Vec<_>>());
        }
    }
}
