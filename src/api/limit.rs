//! Who asks too often. Kazoo's rate limit is a bucket of tokens for each client address and account, out of which
//! requests are paid, sign-ins too: its `token_costs` is 1 unless it is configured. What we limit beyond it is failing
//! to sign in ([`Guesses`]).

use std::net::IpAddr;
use std::num::NonZeroU32;

use actix_web::{HttpMessage, HttpRequest};
use clap::ValueEnum;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};

use crate::auth::{Asker, Door, Network};
use crate::kazoo::account::AccountId;

use super::client::Proxies;
use super::error::Error;
use super::guesses::{Attempt, Guesses};

/// A full bucket, and how many tokens come back each second.
const BUCKET: NonZeroU32 = NonZeroU32::new(100).unwrap();
const REFILL: NonZeroU32 = NonZeroU32::new(10).unwrap();

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

/// Marks a request that we ask ourselves, beside the client's: nobody pays for it, and nothing is held against the client.
pub struct Unpaid;

/// Who pays: a client, and the account that it asks about.
type Payer = (Option<Network>, Option<AccountId>);

/// The limits.
pub struct Limiter {
    limits: RateLimit,
    proxies: Proxies,
    buckets: DefaultKeyedRateLimiter<Payer>,
    guesses: Guesses,
}

impl Limiter {
    /// Limits what `limits` says; believes what `proxies` say of their clients.
    pub fn new(limits: RateLimit, proxies: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            limits,
            proxies: Proxies::new(proxies),
            buckets: RateLimiter::keyed(Quota::per_second(REFILL).allow_burst(BUCKET)),
            guesses: Guesses::new(),
        }
    }

    /// The client's address: the peer's, or what a trusted proxy says of its own.
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        self.proxies.client(request)
    }

    /// Whether a request comes from a trusted proxy.
    pub fn is_from_proxy(&self, request: &HttpRequest) -> bool {
        self.proxies.have_sent(request)
    }

    /// Who asks, as long as nothing is believed of it.
    pub fn stranger(&self, request: &HttpRequest) -> Asker {
        Asker::Stranger(self.network(request))
    }

    /// Pays for a request.
    ///
    /// Errors: [`Error::TooManyRequests`].
    pub fn request(&self, request: &HttpRequest, account: Option<AccountId>) -> Result<(), Error> {
        let pays = self.limits == RateLimit::Kazoo && !is_unpaid(request);
        if pays { self.pay((self.network(request), account)) } else { Ok(()) }
    }

    /// Pays for a sign-in, as for a request.
    ///
    /// Errors: [`Error::TooManyRequests`].
    pub fn sign_in(&self, request: &HttpRequest) -> Result<(), Error> {
        if self.limits == RateLimit::Off { Ok(()) } else { self.pay((self.network(request), None)) }
    }

    /// Waits until a sign-in at these doors may be tried.
    ///
    /// Errors: [`Error::TooManyRequests`]: there were too many failures.
    pub async fn attempt(&self, request: &HttpRequest, doors: Vec<Door>) -> Result<Attempt<'_>, Error> {
        let client = self.network(request);
        match self.limits {
            RateLimit::Off => Ok(self.guesses.unlimited(client)),
            _ => self.guesses.attempt(client, doors).await.map_err(Error::too_many),
        }
    }

    /// The client's network; None where its address is not known, and of what we ask ourselves.
    pub fn network(&self, request: &HttpRequest) -> Option<Network> {
        self.client(request).filter(|_| !is_unpaid(request)).map(Network::of_client)
    }

    fn pay(&self, payer: Payer) -> Result<(), Error> {
        if self.buckets.len() > MANY_BUCKETS {
            self.buckets.retain_recent();
        }
        let wait = |not_until: NotUntil<_>| Error::too_many(not_until.wait_time_from(DefaultClock::default().now()));
        self.buckets.check_key(&payer).map_err(wait)
    }
}

fn is_unpaid(request: &HttpRequest) -> bool {
    request.extensions().contains::<Unpaid>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn request(peer: &str) -> HttpRequest {
        TestRequest::default().peer_addr(format!("{peer}:5000").parse().unwrap()).to_http_request()
    }

    #[test]
    fn kazoo_limits_every_request() {
        let limiter = Limiter::new(RateLimit::Kazoo, []);
        let paid = (0..200).filter(|_| limiter.request(&request("192.0.2.1"), None).is_ok()).count();
        assert!((100..120).contains(&paid), "{paid}");
    }
}
