//! What operators' machines ask: whether the process lives, whether it can serve, and what it counted. None of it asks
//! for a token, none of it tells of accounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, guard, web};
use moka::future::Cache;
use serde_json::json;

use crate::metrics::Metrics;
use crate::store::{self, SharedStore};

/// How long the store may take to prove that it can be written.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// How long its proof is remembered, however many ask. That there was none is not: what is mended is ready at once.
const PROVED_FOR: Duration = Duration::from_secs(1);

/// What is said of a store that has no account.
pub(crate) const EMPTY: &str = "the store holds no account, so whatever is asked for is 404: give --store the CouchDB that \
                                Kazoo uses, or stop the service and `crossbar-groups import` a dump";

/// Why the service is not ready, in a word or two.
type Reason = &'static str;

/// What the routes share.
#[derive(Clone)]
pub struct Admin {
    store: SharedStore,
    /// That the store can be written. Who asks while it is being proved waits for the same proof.
    proved: Cache<(), ()>,
    metrics: Metrics,
    is_stopping: Arc<AtomicBool>,
    is_empty: Arc<AtomicBool>,
}

impl Admin {
    /// Tells of a store and what was counted.
    pub fn new(store: SharedStore, metrics: Metrics) -> Self {
        let proved = Cache::builder().max_capacity(1).time_to_live(PROVED_FOR).build();
        Self { store, proved, metrics, is_stopping: Arc::default(), is_empty: Arc::default() }
    }

    /// Whether the store holds no account, which the service is no less ready for, but nobody wants. Gives what was known
    /// before.
    pub fn finds_empty(&self, is_empty: bool) -> bool {
        self.is_empty.swap(is_empty, Ordering::Relaxed)
    }

    /// From now on the service is not ready.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }
}

/// Adds `/healthz`, `/readyz` and `/metrics`.
pub fn routes(config: &mut web::ServiceConfig) {
    // who balances load often asks for the head alone
    let read = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    config
        .route("/healthz", read().to(healthz))
        .route("/readyz", read().to(readyz))
        .route("/metrics", read().to(metrics));
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

async fn readyz(admin: web::Data<Admin>) -> HttpResponse {
    match ready(&admin).await {
        Ok(()) if admin.is_empty.load(Ordering::Relaxed) => {
            HttpResponse::Ok().json(json!({ "status": "ready", "warning": EMPTY }))
        }
        Ok(()) => HttpResponse::Ok().json(json!({ "status": "ready" })),
        Err(reason) => HttpResponse::ServiceUnavailable().json(json!({ "status": "not ready", "reason": reason })),
    }
}

/// Whether a write would succeed now.
async fn ready(admin: &Admin) -> Result<(), Reason> {
    if admin.is_stopping.load(Ordering::Relaxed) {
        return Err("stopping");
    }
    admin.proved.try_get_with((), prove(&admin.store)).await.map_err(|reason| *reason)
}

async fn prove(store: &SharedStore) -> Result<(), Reason> {
    let late = |_| Err(store::Error::TimedOut("no proof that it can be written".to_owned()));
    let proved = tokio::time::timeout(READY_WITHIN, store.prove_writable()).await.unwrap_or_else(late);
    proved.map_err(|error| {
        log::warn!("not ready: {error}");
        match error {
            store::Error::Unreachable(_) | store::Error::UnknownHost(_) | store::Error::Untrusted(_) => {
                "store unreachable"
            }
            store::Error::TimedOut(_) => "store timed out",
            store::Error::Full(_) => "store full",
            _ => "store not writable",
        }
    })
}

async fn metrics(admin: web::Data<Admin>) -> HttpResponse {
    match admin.metrics.to_text() {
        Ok(text) => HttpResponse::Ok().insert_header(("content-type", prometheus::TEXT_FORMAT)).body(text),
        Err(error) => {
            log::error!("metrics: {error}");
            HttpResponse::InternalServerError().insert_header(ContentType::plaintext()).body("no metrics\n")
        }
    }
}
