//! What operators' machines ask: whether the process lives, whether it can serve, and what it counted. None of it asks
//! for a token, none of it tells of accounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, guard, web};
use serde_json::json;

use crate::document::{DbName, DocId};
use crate::metrics::Metrics;
use crate::store::{self, SharedStore};

/// How long the store may take to say that it is there.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// What the routes share.
#[derive(Clone)]
pub struct Admin {
    store: SharedStore,
    metrics: Metrics,
    is_stopping: Arc<AtomicBool>,
}

impl Admin {
    /// Tells of a store and what was counted.
    pub fn new(store: SharedStore, metrics: Metrics) -> Self {
        Self { store, metrics, is_stopping: Arc::default() }
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
        Ok(()) => HttpResponse::Ok().json(json!({ "status": "ready" })),
        Err(reason) => HttpResponse::ServiceUnavailable().json(json!({ "status": "not ready", "reason": reason })),
    }
}

/// Asks the store for a document that every Kazoo has. Errors: why not, in a word or two.
async fn ready(admin: &Admin) -> Result<(), &'static str> {
    if admin.is_stopping.load(Ordering::Relaxed) {
        return Err("stopping");
    }
    let database = DbName::fixed("system_config");
    let id = DocId::fixed("auth");
    match tokio::time::timeout(READY_WITHIN, admin.store.get(&database, &id)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(store::Error::Unreachable(_))) => Err("store unreachable"),
        Ok(Err(_)) => Err("store failed"),
        Err(_) => Err("store timed out"),
    }
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
