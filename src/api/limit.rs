//! Kazoo's rate limit: a bucket of tokens for each client address and account, out of which requests are paid.

use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroU32;

use actix_web::HttpRequest;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::RateLimit;
use crate::kazoo::account::AccountId;

use super::error::Error;

/// A full bucket, and how many tokens come back each second.
const BUCKET: NonZeroU32 = NonZeroU32::new(100).unwrap();
const REFILL: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// What a request and a sign-in cost.
const REQUEST: NonZeroU32 = NonZeroU32::new(1).unwrap();
const SIGN_IN: NonZeroU32 = NonZeroU32::new(35).unwrap();

/// When there are more buckets, those that are full again are dropped.
const MANY_BUCKETS: usize = 10_000;

/// Who pays: a client address, and the account that it asks about.
type Payer = (Option<IpAddr>, Option<AccountId>);

/// The buckets.
pub struct Limiter {
    limits: RateLimit,
    proxies: HashSet<IpAddr>,
    buckets: DefaultKeyedRateLimiter<Payer>,
}

impl Limiter {
    /// Limits what `limits` says; believes what `proxies` say of their clients.
    pub fn new(limits: RateLimit, proxies: impl IntoIterator<Item = IpAddr>) -> Self {
        let quota = Quota::per_second(REFILL).allow_burst(BUCKET);
        Self { limits, proxies: proxies.into_iter().collect(), buckets: RateLimiter::keyed(quota) }
    }

    /// Pays for a request.
    ///
    /// Errors: [`Error::TooManyRequests`].
    pub fn request(&self, request: &HttpRequest, account: Option<AccountId>) -> Result<(), Error> {
        if self.limits == RateLimit::Kazoo { self.pay((self.client(request), account), REQUEST) } else { Ok(()) }
    }

    /// Pays for a sign-in.
    ///
    /// Errors: [`Error::TooManyRequests`].
    pub fn sign_in(&self, request: &HttpRequest) -> Result<(), Error> {
        if self.limits == RateLimit::Off { Ok(()) } else { self.pay((self.client(request), None), SIGN_IN) }
    }

    fn pay(&self, payer: Payer, cost: NonZeroU32) -> Result<(), Error> {
        if self.buckets.len() > MANY_BUCKETS {
            self.buckets.retain_recent();
        }
        match self.buckets.check_key_n(&payer, cost) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                Err(Error::TooManyRequests(wait.as_secs_f64().ceil().max(1.0) as u64))
            }
            Err(_) => unreachable!("no cost is larger than a bucket"),
        }
    }

    /// The client's address: the peer's, or what a trusted proxy says of its own.
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip();
        if !self.proxies.contains(&peer) {
            return Some(peer);
        }
        // each proxy adds whom it heard from at the end: the last that is no proxy of ours is the client
        let headers = request.headers().get_all("x-forwarded-for");
        let addresses: Vec<IpAddr> = headers
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(','))
            .filter_map(|address| address.trim().parse().ok())
            .collect();
        Some(addresses.into_iter().rev().find(|address| !self.proxies.contains(address)).unwrap_or(peer))
    }
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
        assert_eq!(client("10.0.0.1", "nonsense"), "10.0.0.1");
    }

    #[test]
    fn a_bucket_pays_for_two_sign_ins_and_other_clients_have_their_own() {
        let limiter = Limiter::new(RateLimit::SignIn, []);
        assert!(limiter.sign_in(&request("192.0.2.1", "")).is_ok());
        assert!(limiter.sign_in(&request("192.0.2.1", "")).is_ok());
        assert!(matches!(limiter.sign_in(&request("192.0.2.1", "")), Err(Error::TooManyRequests(1..=4))));
        assert!(limiter.sign_in(&request("192.0.2.2", "")).is_ok());
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
