//! How an answer or an error is put into an HTTP response: envelope, ETag, content type, CORS, in one place for both.

use std::sync::Arc;

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING,
    CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, EXPIRES, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use crate::aside::{by_size, is_quick};
use crate::budgets::Budgets;
use crate::document::{Object, json, segment};
use crate::kazoo::account::AccountId;
use crate::kazoo::verb::Verb;

use super::answer::{Answer, Data, Shown};
use super::coding::Coding;
use super::conditions::{Conditions, Met};
use super::csv;
use super::error::{Error, ErrorBody};
use super::incoming::{self, Incoming, X_REQUEST_ID};
use super::negotiation::{self, Format};
use super::parts::{Between, Body, Parts, Sent};

/// The Kazoo whose answers these are.
const KAZOO_VERSION: &str = "4.3.143";

const CORS_HEADERS: &str = "content-type, depth, user-agent, x-http-method-override, x-file-size, x-requested-with, \
    if-modified-since, x-file-name, cache-control, x-auth-token, x-kazoo-cluster-id, if-match";
const CORS_EXPOSED: &str = "content-type, x-auth-token, x-request-id, x-kazoo-cluster-id, location, etag, etag";
const CORS_MAX_AGE: &str = "86400";

/// The answers that have no content, whose form could be named.
const WITHOUT_CONTENT: [StatusCode; 4] =
    [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::NOT_ACCEPTABLE, StatusCode::PRECONDITION_FAILED];

/// What an answer depends on, and when it was no longer fresh: Kazoo's.
const VARIES_BY: &str = "accept-language, accept";

/// What nginx asks whether it may gather a response before it passes it on.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What else it depends on: answers echo the token, so no cache between may give one client's to another.
const VARIES_BY_CLIENT: &str = "x-auth-token, authorization";

/// What the bytes of a body depend on that could be shorter.
const VARIES_BY_CODING: &str = "accept-encoding";
const FOR_ONE_CLIENT: &str = "private, no-cache";
const FOR_NO_CACHE: &str = "no-store";
const EXPIRED: &str = "Fri, 01 Jan 1999 00:00:00 GMT";

/// How many bytes most envelopes have beside their data: most of them are a token's.
const ROOM: usize = 1_200;

/// What an answer needs to know of its request.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The request's id.
    pub request_id: String,
    /// The request's method.
    pub method: Method,
    /// The request's path, without a slash at its end.
    pub path: String,
    /// The token that it carried, once it was read.
    pub token: Option<String>,
    /// The account that it is about, once it was found.
    pub account: Option<AccountId>,
    /// The methods of the resource.
    pub methods: &'static [Verb],
    /// What counts call the resource.
    pub route: &'static str,
    /// Whether a page of another origin asks.
    pub is_cors: bool,
    /// Whether the path is of the first version, whose errors are texts and whose lists have no pages.
    pub is_first_version: bool,
    /// The form of the answer.
    pub format: Format,
    /// The coding of its body, where that makes it shorter.
    pub coding: Option<Coding>,
    /// The language of the answer, once what the client accepts was looked at.
    pub language: Option<String>,
    /// The function that the answer is wrapped in.
    pub jsonp: Option<String>,
    /// Up to how many bytes the JSON is indented; None if that is not asked for.
    pub indented_up_to: Option<usize>,
    /// Which answers the client has no use for.
    pub conditions: Conditions,
    /// The process that answers.
    pub node: String,
    /// The time of the answer, in ISO 8601.
    pub timestamp: String,
}

impl Frame {
    /// Looks at what the client accepts, in which form and language.
    ///
    /// Errors: [`Error::NotAcceptable`].
    pub fn negotiate(&mut self, request: &HttpRequest, incoming: &Incoming) -> Result<(), Error> {
        self.format = negotiation::format(request, incoming.parameter("accept").as_deref())?;
        self.language = Some(negotiation::language(request));
        Ok(())
    }

    /// The response to a request that was answered.
    ///
    /// Errors: it can't be shown in the form that the client asked for.
    pub async fn respond(&self, answer: Answer, budgets: &Budgets) -> Result<HttpResponse, Error> {
        let reads = incoming::only_reads(&self.method);
        let revision = match &answer.revision {
            Shown::None => None,
            Shown::Revision(revision) => Some(revision.to_string()),
            Shown::Digest(digest) => Some(digest.clone()),
            Shown::Automatic => Some("automatic".to_owned()),
        };
        let etag = revision.as_deref().filter(|_| reads);
        // a write's conditions were looked at before it was done
        let met = if reads { self.conditions.met(etag, reads) } else { Met::Yes };
        let status = match met {
            Met::Yes if answer.created => StatusCode::CREATED,
            Met::Yes => StatusCode::OK,
            Met::NotModified => StatusCode::NOT_MODIFIED,
            Met::No => return Err(Error::PreconditionFailed),
        };
        let mut response = self.response(status);
        if let Some(id) = &answer.created_id {
            response.insert_header((LOCATION, format!("{}/{}", self.path, segment(id))));
        }
        if reads {
            response.insert_header((EXPIRES, fixed(EXPIRED)));
            response
                .insert_header((CACHE_CONTROL, fixed(FOR_ONE_CLIENT)))
                .append_header((VARY, fixed(VARIES_BY_CLIENT)));
        }
        if status == StatusCode::NOT_MODIFIED {
            if let Some(etag) = etag {
                response.insert_header((ETAG, format!("\"{}\"", self.conditions.known_as(etag))));
            }
            return Ok(response.append_header((VARY, fixed(VARIES_BY_CODING))).finish());
        }
        let bytes = answer.data.json().get().len();
        let coding = self.coding;
        if reads && self.format == Format::Csv {
            if matches!(&answer.data, Data::List(list) if list.count() == 0) {
                return Ok(self.response(StatusCode::NO_CONTENT).finish());
            }
            response.insert_header((CONTENT_TYPE, "text/csv"));
            response.insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", answer.table.file)));
            let limits = csv::Limits { columns: budgets.max_columns, bytes: budgets.max_answer };
            let table = move || {
                let table = csv::table(&answer.data, answer.table, limits)?;
                Ok::<_, Error>(
                    Parts { head: String::new(), data: Between::Text(table.into()), tail: String::new() }.sent(coding),
                )
            };
            return Ok(send(response, etag, by_size(bytes, table).await?));
        }
        // a list that is sent as it is is not looked at
        let is_plain = coding.is_none() && self.indented_up_to.is_none() && matches!(answer.data, Data::List(_));
        if is_plain || is_quick(bytes) {
            return Ok(send(response, etag, self.envelope(&answer, revision.as_deref()).sent(coding)));
        }
        let (frame, shown) = (self.clone(), revision.clone());
        let sent = by_size(bytes, move || frame.envelope(&answer, shown.as_deref()).sent(coding)).await;
        Ok(send(response, etag, sent))
    }

    /// The body of an answer.
    fn envelope<'a>(&self, answer: &'a Answer, revision: Option<&str>) -> Parts<'a> {
        let page = answer.page.as_ref().filter(|_| !self.is_first_version);
        let before = Object::default()
            .text_if("next_start_key", page.and_then(|page| page.next.as_deref()))
            .number_if("page_size", page.map(|page| page.size))
            .text_if("start_key", page.and_then(|page| page.start.as_deref()));
        let after = self
            .said(Object::with_capacity(ROOM).text_if("revision", revision))
            .text("status", "success")
            .text_if("auth_token", answer.token.as_deref().or(self.token.as_deref()));
        let data = match &answer.data {
            Data::One(json) => Between::Text(json.get().into()),
            Data::List(list) => Between::List(Arc::clone(list)),
        };
        self.encode(before, data, after)
    }

    /// What every envelope says.
    fn said(&self, envelope: Object) -> Object {
        envelope
            .text("timestamp", &self.timestamp)
            .text("version", KAZOO_VERSION)
            .text("node", &self.node)
            .text("request_id", &self.request_id)
    }

    /// The response to a request that failed.
    pub fn fail(&self, error: &Error) -> HttpResponse {
        let ErrorBody { status, message, data } = match error.body() {
            Ok(body) => body,
            Err(status) => return self.response(status).finish(),
        };
        let mut response = self.response(status);
        self.add_cors(&mut response);
        if matches!(error, Error::InvalidMethod) {
            response.insert_header((ALLOW, names(self.methods).join(", ")));
        }
        if let Some(seconds) = error.retry_after() {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if error.leaves_body_unread() {
            response.force_close();
        }
        if self.jsonp.is_some() {
            response.insert_header((CONTENT_TYPE, "application/javascript"));
        }
        let text = data.get("message").filter(|text| self.is_first_version && text.is_string());
        let token = self.token.as_deref().filter(|_| !error.is_of_body());
        let page_size = error.rows_found().filter(|_| !self.is_first_version);
        let before = Object::default().number_if("page_size", page_size);
        let after =
            Object::with_capacity(ROOM).text("error", status.as_str()).text("message", message).text("status", "error");
        let after = self.said(after).text("auth_token", token.unwrap_or("undefined"));
        let parts = self.encode(before, Between::Text(json::encode(text.unwrap_or(&data)).into()), after);
        send(response, None, parts.sent(self.coding))
    }

    /// The response to a browser that asks what it may ask.
    pub fn preflight(&self, asked_for: Option<&str>) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response.insert_header((X_REQUEST_ID, self.request_id.as_str()));
        self.add_cors_for(&mut response, asked_for);
        response.finish()
    }

    /// The response to whoever looks at the root; it tells where the page is, if there is one.
    pub fn greet(&self, page: Option<&str>) -> HttpResponse {
        let page = page.map(|page| format!("a page for browsers is at {page}, ")).unwrap_or_default();
        let greeting = format!("crossbar-groups: {page}Kazoo's groups are under /v2/accounts/{{ACCOUNT_ID}}/groups\n");
        self.response(StatusCode::OK).insert_header((CONTENT_TYPE, "text/plain")).body(greeting)
    }

    /// The head of a response whose body is a stream of events. Nothing between is to keep or to hold back any of it.
    pub fn stream(&self) -> HttpResponseBuilder {
        let mut response = self.response(StatusCode::OK);
        response.insert_header((CONTENT_TYPE, fixed("text/event-stream")));
        response.insert_header((X_ACCEL_BUFFERING, fixed("no")));
        response
    }

    /// What every response has.
    fn response(&self, status: StatusCode) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(status);
        response.insert_header((X_REQUEST_ID, self.request_id.as_str()));
        response.insert_header((CACHE_CONTROL, fixed(FOR_NO_CACHE)));
        if !WITHOUT_CONTENT.contains(&status) {
            response.insert_header((CONTENT_TYPE, fixed("application/json")));
        }
        if let Some(language) = &self.language {
            response.insert_header((VARY, fixed(VARIES_BY))).insert_header((CONTENT_LANGUAGE, language.as_str()));
        }
        if self.is_cors {
            self.add_cors(&mut response);
        }
        response
    }

    fn add_cors(&self, response: &mut HttpResponseBuilder) {
        self.add_cors_for(response, None);
    }

    fn add_cors_for(&self, response: &mut HttpResponseBuilder, asked_for: Option<&str>) {
        let known = names(self.methods);
        let asked_for = asked_for.filter(|asked| *asked != Verb::Options.name() && !known.contains(asked));
        let methods: Vec<&str> = asked_for.into_iter().chain([Verb::Options.name()]).chain(known).collect();
        response
            .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, fixed("*")))
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, methods.join(", ")))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, fixed(CORS_HEADERS)))
            .insert_header((ACCESS_CONTROL_EXPOSE_HEADERS, fixed(CORS_EXPOSED)))
            .insert_header((ACCESS_CONTROL_MAX_AGE, fixed(CORS_MAX_AGE)));
    }

    /// An envelope in the form that the client asked for, of its keys before and after its data. Nothing but the data is among its data: no token, and nothing
    /// else that a client chose.
    fn encode<'d>(&self, before: Object, data: Between<'d>, after: Object) -> Parts<'d> {
        let (before, after) = (before.end(), after.end());
        let pretty = self.indented_up_to.and_then(|most| indented(&before, data.as_str(), &after, most));
        let mut parts = pretty.unwrap_or_else(|| joined(&before, data, &after, "", ""));
        if let Some(function) = &self.jsonp {
            parts.head.insert_str(0, &format!("{function}("));
            parts.tail.push_str(");");
        }
        parts
    }
}

/// One object of two, with data between their keys; `line` and `space` stand before a key and before its value.
fn joined<'d>(before: &str, data: Between<'d>, after: &str, line: &str, space: &str) -> Parts<'d> {
    let before = before.strip_suffix('}').unwrap_or(before).trim_end();
    let comma = if before == "{" { "" } else { "," };
    let after = after.strip_prefix('{').unwrap_or(after);
    Parts { head: format!("{before}{comma}{line}\"data\":{space}"), data, tail: format!(",{after}") }
}

/// The same with line breaks and indentation; None if that makes it longer than `most` bytes.
fn indented(before: &str, data: &str, after: &str, most: usize) -> Option<Parts<'static>> {
    let (before, after) = (json::pretty(before, 0, most)?, json::pretty(after, 0, most)?);
    let parts = joined(&before, Between::Text(json::pretty(data, 1, most)?.into()), &after, "\n  ", " ");
    (parts.len() <= most).then_some(parts)
}

/// A response with a body, and the ETag of what it shows.
fn send(mut response: HttpResponseBuilder, etag: Option<&str>, sent: Sent) -> HttpResponse {
    if let Some(etag) = etag {
        let tag = sent.coding.map_or_else(|| etag.to_owned(), |coding| coding.tag(etag));
        response.insert_header((ETAG, format!("\"{tag}\"")));
    }
    if let Some(coding) = sent.coding {
        response.insert_header((CONTENT_ENCODING, fixed(coding.name())));
    }
    if sent.varies {
        response.append_header((VARY, fixed(VARIES_BY_CODING)));
    }
    match sent.body {
        Body::Whole(bytes) => response.body(bytes),
        Body::Around(pieces) => response.body(pieces),
    }
}

/// A header's value that was known before, which is neither looked at again nor copied.
fn fixed(value: &'static str) -> HeaderValue {
    HeaderValue::from_static(value)
}

fn names(verbs: &[Verb]) -> Vec<&'static str> {
    verbs.iter().map(|verb| verb.name()).collect()
}
