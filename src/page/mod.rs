//! The page at `/docs`, on which people list, create, change and delete groups and see what happens to them; the API
//! reference at `/docs/reference`; and `/openapi.json`, which both are made from.
//!
//! All of it is in the program, nothing is fetched from elsewhere, and what users wrote is put into it as text. A token is kept
//! by the browser's tab alone, and sent in a header.

use actix_web::guard::{self, GuardContext};
use actix_web::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName,
    LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Route, web};
use serde_json::json;

use crate::api::Api;
use crate::{demo, openapi};

/// Where the page is.
pub const PATH: &str = "/docs";

/// Nothing but what this service has itself, none of it inline, and in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// A page's file: where it is, its type, and what it holds.
type Asset = (&'static str, &'static str, &'static str);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const ASSETS: [Asset; 13] = [
    (PATH, HTML, include_str!("console.html")),
    ("/docs/reference", HTML, include_str!("reference.html")),
    ("/docs/page.css", CSS, include_str!("page.css")),
    ("/docs/icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("/docs/console.js", SCRIPT, include_str!("console.js")),
    ("/docs/deleted.js", SCRIPT, include_str!("deleted.js")),
    ("/docs/dom.js", SCRIPT, include_str!("dom.js")),
    ("/docs/events.js", SCRIPT, include_str!("events.js")),
    ("/docs/md5.js", SCRIPT, include_str!("md5.js")),
    ("/docs/reference.js", SCRIPT, include_str!("reference.js")),
    ("/docs/rings.js", SCRIPT, include_str!("rings.js")),
    ("/docs/service.js", SCRIPT, include_str!("service.js")),
    ("/docs/uses.js", SCRIPT, include_str!("uses.js")),
];

/// Adds the page, and with it what leads browsers there. A demo's page opens signed in.
pub fn routes(config: &mut web::ServiceConfig, is_demo: bool) {
    config.route("/", read().guard(guard::fn_guard(wants_html)).to(to_the_page));
    config.route("/docs/", read().to(to_the_page));
    config.route("/openapi.json", read().to(document));
    for asset in ASSETS {
        config.route(asset.0, read().to(move || async move { shown(asset) }));
    }
    // where there is none the page is told so, and no error is in the browser's log
    let offers = if is_demo { read().to(demo_session) } else { read().to(no_session) };
    config.route("/docs/session", offers);
}

fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Whether a browser shows what is answered: it alone names HTML.
fn wants_html(context: &GuardContext<'_>) -> bool {
    let accept = context.head().headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.split(',').any(|range| range.trim_start().starts_with("text/html")))
}

async fn to_the_page() -> HttpResponse {
    HttpResponse::Found().insert_header((LOCATION, PATH)).finish()
}

fn shown((_, media_type, text): Asset) -> HttpResponse {
    secured().insert_header((CONTENT_TYPE, media_type)).body(text)
}

async fn document() -> HttpResponse {
    // it is nobody's secret: tools of other origins may read it
    let mut response = secured();
    response.insert_header((CONTENT_TYPE, "application/json")).insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
    response.body(openapi::text())
}

fn secured() -> HttpResponseBuilder {
    const ALONE: &str = "same-origin";
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((HeaderName::from_static("cross-origin-opener-policy"), ALONE))
        .insert_header((CACHE_CONTROL, "no-cache"));
    response
}

/// What proxies tell of whom they ask for.
const FORWARDED_BY: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// A token for the demo's page, and the account to begin with. Only for who is on this machine, and asks for it by a name
/// of this machine: a page of elsewhere whose name leads here learns nothing.
async fn demo_session(request: HttpRequest, api: web::Data<Api>) -> HttpResponse {
    let is_here = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    // who asks a proxy of this machine may be anywhere
    let is_direct = FORWARDED_BY.iter().all(|header| !request.headers().contains_key(*header));
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if !is_here || !is_direct || !host.is_some_and(is_this_machine) {
        return no_session().await;
    }
    match demo::issue(&api.auth).await {
        Ok(token) => secured()
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(json!({ "token": token, "account": demo::ACCOUNT })),
        Err(error) => {
            log::error!("no token for the demo's page: {error}");
            no_session().await
        }
    }
}

async fn no_session() -> HttpResponse {
    HttpResponse::NoContent().insert_header((CACHE_CONTROL, "no-store")).finish()
}

/// Whether a `Host` names this machine by itself.
fn is_this_machine(host: &str) -> bool {
    let name = without_port(host);
    name.eq_ignore_ascii_case("localhost")
        || name == "[::1]"
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|it| it.is_loopback())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_offered_a_session() {
        for host in ["localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:8000"]
        {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["", "example.com", "127.0.0.1.example.com", "localhost.example.com:8000", "10.0.0.1:8000", "[::2]:1"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn nothing_is_inline_and_nothing_from_elsewhere() {
        for (path, _, text) in ASSETS {
            for never in
                ["<script>", "<style", " style=", " onclick=", "innerHTML", "insertAdjacentHTML", "https://", "eval("]
            {
                assert!(!text.contains(never), "{path}: {never}");
            }
        }
    }
}
