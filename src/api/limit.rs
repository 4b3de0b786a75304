//! Who asks too often. Kazoo's rate limit is a bucket of tokens for each client address and account, out of which
//! requests are paid, sign-ins too: its `token_costs` is 1 unless it is configured. What we limit beyond it is failing
//! to sign in, by address.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use clap::ValueEnum;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use moka::sync::Cache;

use crate::kazoo::account::AccountId;

use super::error::Error;

/// A full bucket, and how many tokens come back each second.
const BUCKET: NonZeroU32 = NonZeroU32::new(100).unwrap();
const REFILL: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// How many sign-ins may fail at once, and after how long one more may.
const FAILURES: NonZeroU32 = NonZeroU32::new(2).unwrap();
const FAILURE_PAUSE: Duration = Duration::from_millis(3_500);

/// When there are more buckets, those that are full again are dropped.
const MANY_BUCKETS: usize = 10_000;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RateLimit {
    /// Nothing.
    Off,
    /// Sign-ins.
    SignIn,
    /// Every request, as Kazoo does.
    Kazoo,
}

/// Who pays: a client address, and the account that it asks about.
type Payer = (Option<IpAddr>, Option<AccountId>);

/// The buckets.
pub struct Limiter {
    limits: RateLimit,
    proxies: HashSet<IpAddr>,
    buckets: DefaultKeyedRateLimiter<Payer>,
    failures: DefaultKeyedRateLimiter<Option<IpAddr>>,
    /// Who failed too often, and until when they wait.
    paused: Cache<Option<IpAddr>, Instant>,
}

impl Limiter {
    /// Limits what `limits` says; believes what `proxies` say of their clients.
    pub fn new(limits: RateLimit, proxies: impl IntoIterator<Item = IpAddr>) -> Self {
        let failures = Quota::with_period(FAILURE_PAUSE).unwrap_or_else(|| unreachable!("a pause of some length"));
        Self {
            limits,
            proxies: proxies.into_iter().map(|proxy| proxy.to_canonical()).collect(),
            buckets: RateLimiter::keyed(Quota::per_second(REFILL).allow_burst(BUCKET)),
            failures: RateLimiter::keyed(failures.allow_burst(FAILURES)),
            paused: Cache::builder().max_capacity(MANY_BUCKETS as u64).time_to_live(FAILURE_PAUSE).build(),
        }
    }

    /// Pays for a request.
    ///
    /// Errors: [`Error::TooManyRequests`].
    pub fn request(&self, request: &HttpRequest, account: Option<AccountId>) -> Result<(), Error> {
        if self.limits == RateLimit::Kazoo { self.pay((self.client(request), account)) } else { Ok(()) }
    }

    /// Pays for a sign-in, as for a request. Who failed too often must wait.
    ///
    /// Errors: [`Error::TooManyRequests`].
    pub fn sign_in(&self, request: &HttpRequest) -> Result<(), Error> {
        if self.limits == RateLimit::Off {
            return Ok(());
        }
        let client = self.client(request);
        let left = self.paused.get(&client).map(|until| until.saturating_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            Some(left) => Err(too_many(left)),
            None => self.pay((client, None)),
        }
    }

    /// A sign-in failed.
    pub fn failed(&self, request: &HttpRequest) {
        let client = self.client(request);
        if self.limits == RateLimit::Off {
            return;
        }
        if self.failures.len() > MANY_BUCKETS {
            self.failures.retain_recent();
        }
        if self.failures.check_key(&client).is_err() {
            self.paused.insert(client, Instant::now() + FAILURE_PAUSE);
        }
    }

    fn pay(&self, payer: Payer) -> Result<(), Error> {
        if self.buckets.len() > MANY_BUCKETS {
            self.buckets.retain_recent();
        }
        let wait = |not_until: NotUntil<_>| too_many(not_until.wait_time_from(DefaultClock::default().now()));
        self.buckets.check_key(&payer).map_err(wait)
    }

    /// The client's address: the peer's, or what a trusted proxy says of its own.
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        let mut client = request.peer_addr()?.ip().to_canonical();
        // each proxy adds whom it heard from at the end: the last that is no proxy of ours is the client, and what
        // stands before one that can't be read is nobody's word that we trust
        let headers: Vec<_> = request.headers().get_all("x-forwarded-for").collect();
        let entries = headers.iter().rev().flat_map(|header| header.to_str().unwrap_or_default().rsplit(','));
        let mut heard_from = entries.map(|entry| address(entry.trim()));
        while self.proxies.contains(&client)
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

fn too_many(wait: Duration) -> Error {
    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Error::TooManyRequests(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn request(peer: &str, forwarded: &str) -> HttpRequest {
        let peer = format!("{peer}:5000").parse().unwrap();
        TestRequest::default().peer_addr(peer).insert_header(("x-forwarded-for", forwarded)).to_http_request()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let limiter = Limiter::new(RateLimit::Off, ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]);
        let client = |peer, forwarded| limiter.client(&request(peer, forwarded)).unwrap().to_string();
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

    #[test]
    fn who_fails_to_sign_in_waits_and_others_do_not() {
        let limiter = Limiter::new(RateLimit::SignIn, []);
        let sign_in = |client| limiter.sign_in(&request(client, ""));
        for _ in 0..50 {
            assert!(sign_in("192.0.2.1").is_ok());
        }
        for _ in 0..3 {
            assert!(sign_in("192.0.2.1").is_ok());
            limiter.failed(&request("192.0.2.1", ""));
        }
        assert!(matches!(sign_in("192.0.2.1"), Err(Error::TooManyRequests(1..=4))));
        assert!(sign_in("192.0.2.2").is_ok());
        for _ in 0..200 {
            assert!(limiter.request(&request("192.0.2.1", ""), None).is_ok());
        }
    }

    #[test]
    fn kazoo_limits_every_request() {
        let limiter = Limiter::new(RateLimit::Kazoo, []);
        let paid = (0..200).filter(|_| limiter.request(&request("192.0.2.1", ""), None).is_ok()).count();
        assert!((100..120).contains(&paid), "{paid}");
    }
}
