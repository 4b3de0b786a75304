//! HTTP: the request pipeline, in the order of Kazoo's own checks (`api_resource`, `api_util`), and the resources at
//! its end. It reads from top to bottom in `answer`.

mod admission;
mod answer;
mod body;
mod charged_body;
mod client;
mod coding;
mod conditions;
mod context;
mod csv;
mod deleted;
mod documents;
mod error;
mod events;
mod guesses;
mod incoming;
mod limit;
mod list;
mod loggable;
mod negotiation;
mod nouns;
mod pages;
mod parts;
mod path;
mod pauses;
mod relayed;
mod resource;
mod response;
mod rights;
mod rings;
mod schemas;
mod shadowed;
mod sign_in;
mod used;
mod writers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::http::header::ACCESS_CONTROL_REQUEST_METHOD;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::time::timeout;

use crate::auth::{self, Credentials};
use crate::budgets::Budget;
use crate::document::json;
use crate::in_flight;
use crate::kazoo::account::AccountId;
use crate::kazoo::verb::Verb;
use crate::page;

use answer::Answer;
use conditions::Conditions;
use context::Authorized;
use incoming::Incoming;
use loggable::{LoggablePath, OrDash};
use response::Frame;

pub use admission::Admission;
pub use context::Api;
pub use error::{Error, InvalidBody};
pub use events::Listeners;
pub use limit::{Limiter, RateLimit};
pub use pages::Pages;
pub use path::Path;
pub use relayed::Relay;
pub use resource::Resource;
pub use schemas::Schemas;
pub use writers::Writers;

/// What `fuzz/` reads clients' bytes with, besides what is public.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    pub use super::answer::{Data, List};
    pub use super::body::{Body, parameters, read as read_body};
    pub use super::csv::{Limits as TableLimits, table};
    pub use super::path::Path;
}

/// Answers any request.
pub async fn respond(request: HttpRequest, payload: web::Payload, api: web::Data<Api>) -> HttpResponse {
    let started = Instant::now();
    let mut frame = api.frame(&request);
    let mut refusal = None;
    let response = match Box::pin(api.answer(&request, payload, &mut frame)).await {
        Ok(response) => response,
        Err(error) => {
            if let Some(budget) = error.budget() {
                api.metrics.over_budget(budget);
            }
            if matches!(error, Error::TooManyRequests(_)) {
                api.metrics.rate_limited();
            }
            if error.is_fault() {
                log::error!("{} {error}", frame.request_id);
            }
            refusal = Some(&error).filter(|error| error.is_refusal()).map(ToString::to_string);
            frame.fail(&error)
        }
    };
    let method = request.method().as_str();
    let status = response.status().as_u16();
    let took = started.elapsed();
    api.metrics.request(frame.route, known_method(method), status, took);
    // none of it is made into a text before it is known to be logged
    log::info!(
        request_id = frame.request_id.as_str(),
        client:% = OrDash(api.limiter.client(&request)),
        account = frame.account.as_ref().map_or("-", AccountId::as_str),
        method = method,
        path:% = LoggablePath(request.path()),
        status = status,
        ms = (took.as_secs_f64() * 10_000.0).round() / 10.0,
        reason:% = OrDash(refusal);
        "answered"
    );
    shadowed::beside(&api, &request, &frame.request_id, response)
}

impl Api {
    /// What is known of a request before anything of it is checked.
    fn frame(&self, request: &HttpRequest) -> Frame {
        Frame {
            request_id: incoming::request_id(request, || self.world.request_id()),
            method: request.method().clone(),
            path: request.uri().path().trim_end_matches('/').to_owned(),
            token: None,
            account: None,
            methods: Verb::ALL,
            route: "other",
            is_cors: false,
            is_first_version: false,
            format: negotiation::Format::default(),
            coding: coding::accepted(request.headers()),
            language: None,
            jsonp: None,
            indented_up_to: None,
            conditions: Conditions::of(request),
            node: self.node.clone(),
            timestamp: self.world.iso8601(),
        }
    }

    /// The pipeline: each step either ends the request or knows more of it.
    async fn answer(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        frame: &mut Frame,
    ) -> Result<HttpResponse, Error> {
        // what is not ours, of which only the path is read
        if let Some(upstream) = self.upstream_of(request) {
            return Box::pin(self.relay(upstream, request, payload, frame)).await;
        }
        Box::pin(self.answer_here(request, payload, frame)).await
    }

    /// The same of what is ours.
    async fn answer_here(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        frame: &mut Frame,
    ) -> Result<HttpResponse, Error> {
        // the path, before the body is read
        let budgets = &self.budgets;
        if request.uri().path().len() + request.query_string().len() > budgets.max_url {
            return Err(Error::OverBudget(Budget::Url, budgets.max_url));
        }
        if request.uri().path() == "/" {
            return Ok(frame.greet(self.has_page.then_some(page::PATH)));
        }
        let path = Path::parse(request.uri().path());
        let Ok(Some(path)) = path else {
            // a browser would never learn of it
            if request.method() == Method::OPTIONS && incoming::is_cors(request) {
                return Ok(
                    frame.preflight(request.headers().get(ACCESS_CONTROL_REQUEST_METHOD).and_then(incoming::text))
                );
            }
            return Err(path.err().unwrap_or(Error::NotFound));
        };
        frame.is_first_version = !path.has_pages;

        // the body, and a place to be answered in
        let collected =
            body::collect(payload, budgets, &self.admission, async || Box::pin(self.is_believed(request)).await);
        let collected = in_time(budgets.body_time_out, Budget::BodyTime, collected);
        let (body, charge) = collected.await?;
        let _place = self.admission.enter()?;
        let answered = async {
            let body = body::read(request, body, budgets.max_nesting).await?;
            Box::pin(self.answer_to(&Incoming::new(request.clone(), body), &path, frame)).await
        };
        let answered = Box::pin(in_flight::of_request(Arc::clone(&charge), answered));
        let response = in_time(budgets.deadline, Budget::Deadline, answered).await?;
        Ok(charged_body::until_sent(response, charge))
    }

    /// The same of a request whose body is there.
    async fn answer_to(&self, incoming: &Incoming, path: &Path, frame: &mut Frame) -> Result<HttpResponse, Error> {
        // what is asked of the answer
        let request = &incoming.http;
        let credentials = incoming.credentials();
        frame.token = credentials.text().map(str::to_owned);
        frame.is_cors = incoming.is_cors();
        let is_pretty = incoming
            .header("x-pretty-print")
            .map_or_else(|| incoming.is_true("pretty_print", false), |header| header == "true");
        frame.indented_up_to = is_pretty.then_some(self.budgets.max_indented);
        frame.jsonp = incoming.jsonp()?;

        // who asks, as far as a token tells
        let identity = match &credentials {
            Credentials::Token(_) => self.identify(incoming, &credentials).await?,
            Credentials::Foreign(_) => Err(auth::Disbelief::NotFromAuthorization.into()),
            Credentials::Basic(_) | Credentials::None => Err(auth::Disbelief::None.into()),
        };

        // the verb
        let verb = match &path.end {
            Some(_) => {
                if path.needs_own_account
                    && let Err(refusal) = &identity
                {
                    return Err(Error::NoOwnAccount(refusal.clone()));
                }
                frame.methods = path.resource.methods();
                frame.route = path.resource.route();
                let verb = incoming.verb();
                if frame.is_cors && request.method() == Method::OPTIONS && verb == Some(Verb::Options) {
                    return Ok(frame.preflight(incoming.header(ACCESS_CONTROL_REQUEST_METHOD)));
                }
                if frame.methods.is_empty() {
                    return Err(Error::NotFound);
                }
                let allowed = verb.filter(|verb| is_allowed(&path.resource, request.method(), *verb));
                allowed.ok_or(Error::InvalidMethod)?.done()
            }
            // nothing is named that it could be done to
            None => Verb::Get,
        };

        // what needs no token; one that is sent is held to its restrictions
        if path.is_open {
            let identity = match credentials {
                Credentials::Basic(_) => Box::pin(self.sign_in(incoming, &credentials)).await?,
                _ => identity,
            };
            if let Ok(identity) = identity {
                self.must_be_permitted(&identity, None, path, verb).await?;
            }
            frame.negotiate(request, incoming)?;
            let answer = Box::pin(self.open(incoming, path, frame)).await?;
            return frame.respond(answer, &self.budgets).await;
        }

        // the account, the credentials, the right
        let account = self.account(request, path, identity.as_deref().ok()).await;
        // who is refused whether or not there is such an account need not wait until that may be looked up
        if let (Err(Error::Auth(auth::Error::Busy(_))), Err(refusal)) = (&account, &identity)
            && !matches!(credentials, Credentials::Basic(_))
        {
            return Err(refusal.clone().into());
        }
        let account = account?;
        frame.account = account.as_ref().map(|account| account.id);
        let identity = match credentials {
            Credentials::Basic(_) => Box::pin(self.sign_in(incoming, &credentials)).await??,
            _ => {
                self.limiter.request(request, frame.account)?;
                identity?
            }
        };
        if path.end.is_none() {
            return Err(Error::NotFound);
        }
        self.must_be_permitted(&identity, account.as_deref(), path, verb).await?;
        if path.resource == Resource::About {
            return frame.respond(about(), &self.budgets).await;
        }
        let account = account.ok_or(auth::Error::Forbidden)?;
        self.auth.decide(async |evidence| evidence.must_be_let_act_on(&identity, account.id).await).await?;
        let user = self.shown_user(&identity, account.id, path).await?;
        let listens = events::are_wanted(incoming, path, verb);
        if !listens {
            frame.negotiate(request, incoming)?;
        }
        if path.is_too_long {
            return Err(Error::NotFound);
        }
        self.must_exist(&account, path).await?;
        if listens {
            return events::listen(self, incoming, path, frame, &identity, (account.id, user));
        }

        let authorized = Authorized { api: self, incoming, path, frame, identity, account, user };
        let answer = authorized.answer(verb).await?;
        frame.respond(answer, &self.budgets).await
    }

    async fn open(&self, incoming: &Incoming, path: &Path, frame: &Frame) -> Result<Answer, Error> {
        match &path.resource {
            Resource::UserAuth => sign_in::by_credentials(self, incoming, frame).await,
            Resource::ApiAuth => sign_in::by_api_key(self, incoming, frame).await,
            _ => self.schemas(incoming, path).await,
        }
    }

    async fn schemas(&self, incoming: &Incoming, path: &Path) -> Result<Answer, Error> {
        match &path.resource {
            Resource::Schemas => Ok(schemas::list()),
            Resource::Schema(name) => schemas::read(&self.schemas, name).await,
            Resource::SchemaValidation(name) => schemas::validate(&self.schemas, incoming, name).await,
            _ => Err(Error::NotFound),
        }
    }
}

impl Authorized<'_> {
    async fn answer(&self, verb: Verb) -> Result<Answer, Error> {
        match (&self.path.resource, verb) {
            (Resource::Documents(kind), Verb::Get) => Box::pin(list::list(self, kind)).await,
            (Resource::Documents(kind), Verb::Put) => Box::pin(documents::create(self, kind)).await,
            (Resource::Document(kind, id), Verb::Get) => Box::pin(documents::read(self, kind, id)).await,
            (Resource::Document(kind, id), Verb::Post) => Box::pin(documents::replace(self, kind, id)).await,
            (Resource::Document(kind, id), Verb::Patch) => Box::pin(documents::patch(self, kind, id)).await,
            (Resource::Document(kind, id), Verb::Delete) => Box::pin(documents::delete(self, kind, id)).await,
            (Resource::Rings(kind, id), Verb::Get) => Box::pin(rings::rung(self, kind, id)).await,
            (Resource::UsedBy(kind, id), Verb::Get) => Box::pin(used::told(self, kind, id)).await,
            (Resource::Deleted(_), Verb::Get) => Box::pin(deleted::list(self)).await,
            (Resource::Restoring(kind, id), Verb::Post) => Box::pin(documents::restore(self, kind, id)).await,
            _ => Box::pin(self.api.schemas(self.incoming, self.path)).await,
        }
    }
}

/// Does something within a time.
///
/// Errors: it takes longer.
async fn in_time<T>(most: Duration, budget: Budget, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let seconds = usize::try_from(most.as_secs()).unwrap_or(usize::MAX);
    timeout(most, work).await.unwrap_or(Err(Error::OverBudget(budget, seconds)))
}

/// `GET /v2/about`: who answers here.
fn about() -> Answer {
    let about = serde_json::json!({ "product": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    Answer::document(json::raw(&about), None)
}

/// A method as it may be counted: clients can make up others.
fn known_method(method: &str) -> &'static str {
    Verb::named(method).map_or("other", Verb::name)
}

/// Whether a resource has the verb, and the method that it came by. POST may carry any verb.
fn is_allowed(resource: &Resource, method: &Method, verb: Verb) -> bool {
    let has = |verb: Verb| resource.methods().contains(&verb.done());
    has(verb) && (method == Method::POST || Verb::named(method.as_str()).is_some_and(has))
}
