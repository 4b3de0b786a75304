//! What is not ours: relayed to the upstream as it came, before anything but its path is looked at.

use std::sync::Arc;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use hyper::header::HeaderMap;

use crate::relay::headers::{Framing, OnBehalf, end_to_end, of_request, wants_websocket};
use crate::relay::{Answered, Asked, SignIn, Upstream};
use crate::shadow::{Serve, Shadow};

use super::context::Api;
use super::error::Error;
use super::incoming::X_REQUEST_ID;
use super::path::Path;
use super::resource::Resource;
use super::response::Frame;

/// What counts call all that is relayed.
const ROUTE: &str = "relayed";

/// What is relayed, and to whom.
pub struct Relay {
    /// To whom.
    pub upstream: Arc<Upstream>,
    /// Who answers those who sign in.
    pub sign_in: SignIn,
    /// Whether both sides answer reads of groups, and are compared.
    pub shadow: Option<Arc<Shadow>>,
}

/// What a response has that the upstream gave.
pub(super) struct FromUpstream;

impl Relay {
    /// Whether what a path is about is answered here; None: the path can't be read, or has no version.
    fn is_ours(&self, path: Option<&Path>) -> bool {
        match path.map(|path| &path.resource) {
            Some(Resource::Rings(..) | Resource::UsedBy(..) | Resource::Deleted(_) | Resource::Restoring(..)) => true,
            Some(Resource::Documents(_) | Resource::Document(..)) => {
                self.shadow.as_ref().is_none_or(|shadow| shadow.serves() == Serve::Here)
            }
            Some(Resource::UserAuth | Resource::ApiAuth) => self.sign_in == SignIn::Here,
            _ => false,
        }
    }
}

impl Api {
    /// The upstream to which a request goes; None if it is ours.
    pub(super) fn upstream_of(&self, request: &HttpRequest) -> Option<&Upstream> {
        let relay = self.relay.as_ref()?;
        let path = request.uri().path();
        // at the root we say who we are
        let is_ours = path == "/" || relay.is_ours(Path::parse(path).ok().flatten().as_ref());
        (!is_ours).then_some(&*relay.upstream)
    }

    /// The upstream's answer.
    ///
    /// Errors: there is none.
    pub(super) async fn relay(
        &self,
        upstream: &Upstream,
        request: &HttpRequest,
        payload: web::Payload,
        frame: &mut Frame,
    ) -> Result<HttpResponse, Error> {
        frame.route = ROUTE;
        let answered = async {
            let (asked, framing) = self.asked(request, frame)?;
            let body = (framing != Framing::Nothing).then_some(payload);
            Ok::<_, Error>(upstream.relay(self.limiter.network(request), &asked, body).await?)
        };
        match answered.await {
            Ok(answered) => {
                let mut response = response(answered, frame);
                response.extensions_mut().insert(FromUpstream);
                Ok(response)
            }
            Err(error) => {
                let status = error.body().map_or_else(|status| status, |body| body.status);
                upstream.failed(status.as_u16());
                Err(error)
            }
        }
    }

    /// What is asked of the upstream, and how its body comes.
    ///
    /// Errors: what is asked for is not HTTP.
    pub(super) fn asked(&self, request: &HttpRequest, frame: &Frame) -> Result<(Asked, Framing), Error> {
        let headers = headers_of(request);
        if request.method() == Method::CONNECT || wants_websocket(&headers) {
            return Err(Error::NotRelayed);
        }
        let behalf = OnBehalf {
            client: self.limiter.client(request),
            by_proxy: self.limiter.is_from_proxy(request),
            is_secure: request.app_config().secure(),
            request_id: frame.request_id.clone(),
        };
        let framing = Framing::of(&headers);
        let method = hyper::Method::from_bytes(request.method().as_str().as_bytes());
        let asked = Asked {
            method: method.map_err(|_| Error::InvalidMethod)?,
            path_and_query: request.uri().path_and_query().ok_or(Error::NotFound)?.as_str().to_owned(),
            headers: of_request(&headers, framing, &behalf),
        };
        Ok((asked, framing))
    }
}

/// The upstream's answer as it is sent on: with its length if that is known, and otherwise in pieces.
fn response(answered: Answered, frame: &Frame) -> HttpResponse {
    let status = StatusCode::from_u16(answered.status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::build(status);
    let mut length = None;
    for (name, value) in end_to_end(&answered.headers) {
        match HeaderValue::from_bytes(value.as_bytes()) {
            Ok(value) if name.as_str() == CONTENT_LENGTH.as_str() => length = Some(value),
            Ok(value) => add(&mut response, name.as_str(), value),
            // what one side takes for a header's value, the other does too
            Err(_) => {}
        }
    }
    if !answered.headers.contains_key(X_REQUEST_ID.as_str()) {
        response.insert_header((X_REQUEST_ID, frame.request_id.as_str()));
    }
    if !answered.body.all_was_sent() {
        response.force_close();
    }
    let has_content = ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    let known = length.as_ref().and_then(|length| length.to_str().ok()?.parse().ok());
    match (has_content, known) {
        (true, Some(length)) => response.body(SizedStream::new(length, answered.body.pieces())),
        (true, None) => response.body(BodyStream::new(answered.body.pieces())),
        (false, _) => {
            if let Some(length) = length {
                response.insert_header((CONTENT_LENGTH, length));
            }
            response.finish()
        }
    }
}

fn add(response: &mut HttpResponseBuilder, name: &str, value: HeaderValue) {
    if let Ok(name) = HeaderName::try_from(name) {
        response.append_header((name, value));
    }
}

/// A request's headers, as the upstream's connection takes them.
pub(super) fn headers_of(request: &HttpRequest) -> HeaderMap {
    let of_one = |(name, value): (&HeaderName, &HeaderValue)| {
        let name = hyper::header::HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, hyper::header::HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    let mut headers = HeaderMap::with_capacity(request.headers().len());
    for (name, value) in request.headers().iter().filter_map(of_one) {
        headers.append(name, value);
    }
    headers
}
