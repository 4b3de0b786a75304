//! HTTP: the request pipeline, in the order of Kazoo's own checks (`api_resource`, `api_util`), and the resources at
//! its end. It reads from top to bottom in `answer`.

pub mod admin;
mod answer;
mod authentication;
mod body;
mod conditions;
mod csv;
mod error;
mod groups;
mod incoming;
mod limit;
mod negotiation;
mod path;
mod schemas;
mod sign_in;

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::Method;
use actix_web::http::header::ACCESS_CONTROL_REQUEST_METHOD;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::value::RawValue;

use crate::document::{DocId, json};
use crate::kazoo::account::{Account, AccountId};
use crate::kazoo::schema::validation_error;
use crate::metrics::Metrics;
use crate::store::SharedStore;
use crate::world::World;

use answer::{ANY_METHOD, Answer, Frame};
use authentication::Token;
use conditions::Conditions;
use incoming::Incoming;
use path::{NamedAccount, Path, Resource};

pub use authentication::{Authenticator, Known};
pub use error::Error;
pub use limit::Limiter;

/// What every request shares.
pub struct Api {
    /// Where the documents are.
    pub store: SharedStore,
    /// Who a token speaks for.
    pub authenticator: Authenticator,
    /// Who asks too often.
    pub limiter: Limiter,
    /// Time and new ids.
    pub world: World,
    /// What envelopes call this process.
    pub node: String,
    /// What is counted.
    pub metrics: Metrics,
}

/// A request that may be done: its account is there, its token was believed, and may act on the account.
pub struct Allowed<'r> {
    api: &'r Api,
    incoming: &'r Incoming,
    path: &'r Path,
    frame: &'r Frame,
    known: Known,
    account: Arc<Account>,
}

impl Allowed<'_> {
    /// The data that were sent; an empty object if there were none.
    fn data(&self) -> &RawValue {
        self.incoming.data()
    }

    fn conditions(&self) -> &Conditions {
        &self.frame.conditions
    }
}

/// Answers any request.
pub async fn respond(request: HttpRequest, payload: web::Payload, api: web::Data<Api>) -> HttpResponse {
    let started = Instant::now();
    let mut frame = api.frame(&request);
    let response = match api.answer(&request, payload, &mut frame).await {
        Ok(response) => response,
        Err(error) => {
            if error.is_fault() {
                log::error!("{} {error}", frame.request_id);
            }
            frame.fail(&error)
        }
    };
    let (method, status, took) = (request.method().as_str(), response.status().as_u16(), started.elapsed());
    api.metrics.request(frame.route, known_method(method), status, took);
    let path = loggable(request.path());
    log::info!(
        request_id = frame.request_id.as_str(),
        client = api.limiter.client(&request).map_or_else(|| "-".to_owned(), |client| client.to_string()).as_str(),
        account = frame.account.as_ref().map_or("-", AccountId::as_str),
        method = method,
        path = path.as_str(),
        status = status,
        ms = (took.as_secs_f64() * 10_000.0).round() / 10.0;
        "{method} {path} {status}"
    );
    response
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
            methods: ANY_METHOD,
            route: "other",
            is_cors: false,
            format: negotiation::Format::default(),
            jsonp: None,
            is_pretty: false,
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
        // the path, before the body is read
        if request.uri().path() == "/" {
            return Ok(frame.greet());
        }
        let path = Path::parse(request.uri().path())?.ok_or(Error::NotFound)?;

        // the body and what is asked of the answer
        let incoming = Incoming::new(request.clone(), body::read(request, payload).await?);
        let token = incoming.token();
        frame.token = token.text().map(str::to_owned);
        frame.is_cors = incoming.is_cors();
        frame.is_pretty = incoming
            .header("x-pretty-print")
            .map_or_else(|| incoming.is_true("pretty_print", false), |header| header == "true");
        frame.jsonp = incoming.jsonp()?;

        // the verb
        if path.has_nouns {
            frame.methods = path.resource.methods();
            frame.route = path.resource.route();
            if path.account == NamedAccount::Own && !path.resource.is_open() {
                self.known(&token).await?;
            }
            if frame.methods.is_empty() {
                return Err(Error::NotFound);
            }
            if frame.is_cors && request.method() == Method::OPTIONS {
                return Ok(frame.preflight(incoming.header(ACCESS_CONTROL_REQUEST_METHOD)));
            }
            if !is_allowed(&path.resource, request.method(), &incoming.verb()) {
                return Err(Error::InvalidMethod);
            }
        }
        let verb = verb_of(&incoming);

        // what needs no token
        if path.resource.is_open() {
            frame.format = negotiation::format(request, incoming.parameter("accept").as_deref())?;
            return Ok(frame.respond(&self.open(&incoming, &path).await?));
        }

        // the account, the token, the right
        let account = self.account(&path, &token).await?;
        frame.account = account.as_ref().map(|account| account.id);
        self.limiter.request(request, frame.account)?;
        let known = self.known(&token).await?;
        let own = self.authenticator.account(known.account).await?;
        own.iter().try_for_each(|own| self.must_not_be_expired(own))?;
        if !path.has_nouns {
            return Err(Error::NotFound);
        }
        if path.resource == Resource::About {
            return Ok(frame.respond(&about()));
        }
        let account = account.ok_or(Error::Forbidden)?;
        if !own.is_some_and(|own| own.may_act_on(&account)) {
            return Err(Error::Forbidden);
        }
        frame.format = negotiation::format(request, incoming.parameter("accept").as_deref())?;
        self.must_exist(&account, &path).await?;

        let allowed = Allowed { api: self, incoming: &incoming, path: &path, frame, known, account };
        let answer = allowed.answer(&verb).await?;
        Ok(frame.respond(&answer))
    }

    async fn open(&self, incoming: &Incoming, path: &Path) -> Result<Answer, Error> {
        match &path.resource {
            Resource::UserAuth => sign_in::by_credentials(self, incoming).await,
            Resource::ApiAuth => sign_in::by_api_key(self, incoming).await,
            Resource::Schemas => Ok(schemas::list()),
            Resource::Schema(name) => schemas::read(name),
            Resource::SchemaValidation(name) => schemas::validate(incoming, name),
            _ => Err(Error::NotFound),
        }
    }

    /// Who a token speaks for. Tokens that are not Kazoo's own are not taken.
    async fn known(&self, token: &Token) -> Result<Known, Error> {
        match token {
            Token::Own(token) => self.authenticator.known(token, self.world.unix_seconds()).await,
            Token::Foreign(_) | Token::None => Err(Error::InvalidCredentials),
        }
    }

    /// The account that a path names, which must be there; None if it names none.
    async fn account(&self, path: &Path, token: &Token) -> Result<Option<Arc<Account>>, Error> {
        let id = match &path.account {
            NamedAccount::None => return Ok(None),
            NamedAccount::Own => self.known(token).await?.account,
            NamedAccount::Id(text) => text.parse::<AccountId>().map_err(|_| Error::InvalidAccountId(text.clone()))?,
        };
        let account = self.authenticator.account(id).await?;
        account.map(Some).ok_or_else(|| Error::BadIdentifier(id.to_string()))
    }

    /// Whoever's account was a trial that has ended is refused.
    fn must_not_be_expired(&self, account: &Account) -> Result<(), Error> {
        if !account.is_expired(self.world.gregorian_seconds()) {
            return Ok(());
        }
        let detail = serde_json::json!({ "message": "account expired", "cause": account.trial_expires });
        Err(validation_error("account", "expired", detail).into())
    }

    /// The user and the device that a path leads through must be there, the user not deleted.
    async fn must_exist(&self, account: &Account, path: &Path) -> Result<(), Error> {
        for (id, may_be_deleted) in
            path.user.iter().map(|id| (id, false)).chain(path.device.iter().map(|id| (id, true)))
        {
            let missing = || Error::BadIdentifier(id.clone());
            let doc_id = id.parse::<DocId>().map_err(|_| missing())?;
            let found = self.store.get(&account.id.database(), &doc_id).await?.ok_or_else(missing)?;
            if found.is_true("pvt_deleted") && !may_be_deleted {
                return Err(missing());
            }
        }
        Ok(())
    }
}

impl Allowed<'_> {
    async fn answer(&self, verb: &str) -> Result<Answer, Error> {
        match (&self.path.resource, verb) {
            (Resource::Groups, "GET") => groups::list(self).await,
            (Resource::Groups, "PUT") => groups::create(self).await,
            (Resource::Group(id), "GET") => groups::read(self, id).await,
            (Resource::Group(id), "POST") => groups::replace(self, id).await,
            (Resource::Group(id), "PATCH") => groups::patch(self, id).await,
            (Resource::Group(id), "DELETE") => groups::delete(self, id).await,
            _ => Err(Error::NotFound),
        }
    }
}

/// `GET /v2/about`: who answers here.
fn about() -> Answer {
    let about = serde_json::json!({ "product": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    Answer::document(json::raw(&about), None)
}

/// A method as it may be counted: clients can make up others.
fn known_method(method: &str) -> &str {
    if ANY_METHOD.contains(&method) { method } else { "other" }
}

/// What is to be done; to ask for the head of an answer is to ask for the answer.
fn verb_of(incoming: &Incoming) -> String {
    let verb = incoming.verb();
    if verb == "HEAD" { "GET".to_owned() } else { verb }
}

/// Whether a resource has the verb, and the method that it came by. POST may carry any verb.
fn is_allowed(resource: &Resource, method: &Method, verb: &str) -> bool {
    let has = |method: &str| resource.methods().contains(&if method == "HEAD" { "GET" } else { method });
    has(verb) && (has(method.as_str()) || method == Method::POST)
}

/// A path as it may be logged: Kazoo's clients also put tokens into paths, which are longer than any id.
fn loggable(path: &str) -> String {
    const LONGEST: usize = 64;
    let shown =
        |segment: &str| if segment.len() > LONGEST { "…".to_owned() } else { segment.escape_debug().to_string() };
    path.split('/').map(shown).collect::<Vec<_>>().join("/")
}
