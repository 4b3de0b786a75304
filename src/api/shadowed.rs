//! Reads of groups that are answered by the upstream and by us, and compared: beside the requests, after the client has its
//! answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, AUTHORIZATION, IF_NONE_MATCH};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use hyper::header::ACCEPT_ENCODING;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::aside::by_size;
use crate::relay::headers::Framing;
use crate::relay::{Asked, Failure, Upstream};
use crate::shadow::compare::Answer;
use crate::shadow::rules::Question;
use crate::shadow::{Compared, Outcome, Serve, Shadow, Skip};

use super::body::parameters;
use super::context::Api;
use super::incoming;
use super::limit::Unpaid;
use super::loggable::LoggablePath;
use super::path::Path;
use super::relayed::{FromUpstream, headers_of};
use super::resource::Resource;

/// A read whose answers are compared.
struct Read {
    api: web::Data<Api>,
    shadow: Arc<Shadow>,
    upstream: Arc<Upstream>,
    request: HttpRequest,
    question: Arc<Question>,
    request_id: String,
    _place: OwnedSemaphorePermit,
}

/// Has a read's answers compared, beside it, if it is one of those that are. The response is the same.
pub fn beside(api: &web::Data<Api>, request: &HttpRequest, request_id: &str, response: HttpResponse) -> HttpResponse {
    let Some((shadow, upstream)) = api.relay.as_ref().and_then(|relay| Some((relay.shadow.as_ref()?, &relay.upstream)))
    else {
        return response;
    };
    let Some(question) = question(request) else { return response };
    if !shadow.is_wanted() {
        return response;
    }
    let place = match can_be_asked(request, &question).and_then(|()| shadow.enter()) {
        Ok(place) => place,
        Err(skip) => {
            shadow.count(Outcome::Skipped(skip));
            return response;
        }
    };
    let read = Read {
        api: api.clone(),
        shadow: Arc::clone(shadow),
        upstream: Arc::clone(upstream),
        request: request.clone(),
        question: Arc::new(question),
        request_id: request_id.to_owned(),
        _place: place,
    };
    if shadow.serves() == Serve::Here {
        actix_web::rt::spawn(async move { read.compare(None).await });
        return response;
    }
    if !response.extensions().contains::<FromUpstream>() {
        shadow.count(Outcome::Skipped(Skip::Unanswered));
        return response;
    }
    let (response, theirs) = kept(response, shadow.longest());
    actix_web::rt::spawn(async move { read.compare(Some(theirs)).await });
    response
}

/// What a request asks, if it reads groups.
fn question(request: &HttpRequest) -> Option<Question> {
    if request.method() != Method::GET {
        return None;
    }
    let path = Path::parse(request.uri().path()).ok().flatten()?;
    let id = match path.resource {
        Resource::Documents(_) => None,
        Resource::Document(_, id) => Some(id),
        _ => return None,
    };
    let header = |name| request.headers().get(name).and_then(incoming::text).unwrap_or_default().to_owned();
    let query = parameters(request.query_string()).into_iter();
    Some(Question {
        of_user: path.user.is_some(),
        id,
        target: request.uri().path_and_query()?.as_str().to_owned(),
        parameters: query.map(|(name, value)| (name, value.is_some())).collect(),
        accept: header(ACCEPT),
        is_conditional: request.headers().contains_key(IF_NONE_MATCH),
    })
}

/// Errors: why it can't be asked twice.
fn can_be_asked(request: &HttpRequest, question: &Question) -> Result<(), Skip> {
    if Framing::of(&headers_of(request)) != Framing::Nothing {
        return Err(Skip::HasBody);
    }
    if request.headers().contains_key(AUTHORIZATION) {
        return Err(Skip::SignsIn);
    }
    if question.accept.contains("text/event-stream") {
        return Err(Skip::Endless);
    }
    Ok(())
}

impl Read {
    /// Compares the upstream's answer that the client got, if it got that one, with ours, and counts what comes of it. A
    /// difference that is not there when both are asked again is one of time: something was written in between.
    async fn compare(self, theirs: Option<oneshot::Receiver<Result<Answer, Skip>>>) {
        let compared = match theirs {
            Some(theirs) => self.with(theirs.await.unwrap_or(Err(Skip::Unanswered))).await,
            None => self.with(self.theirs().await).await,
        };
        let compared = match compared {
            Ok((first, statuses)) if matches!(first.outcome, Outcome::Different(_)) => {
                Ok(match self.with(self.theirs().await).await {
                    Ok((again, statuses)) if again.outcome == Outcome::Equal => {
                        (Compared { outcome: Outcome::Passing, ..again }, statuses)
                    }
                    Ok(again) => again,
                    Err(_) => (first, statuses),
                })
            }
            compared => compared,
        };
        match compared {
            Ok((compared, statuses)) => {
                let path = LoggablePath(self.request.path());
                self.shadow.tell(&compared, &self.request_id, path, statuses);
            }
            Err(skip) => self.shadow.count(Outcome::Skipped(skip)),
        }
    }

    async fn with(&self, theirs: Result<Answer, Skip>) -> Result<(Compared, (u16, u16)), Skip> {
        let (theirs, longest) = (theirs?, self.shadow.longest());
        // how long it is without its coding is known afterwards
        let bytes = if theirs.is_coded() { longest } else { theirs.body.len() };
        let theirs = by_size(bytes, move || theirs.decoded(longest)).await?;
        let ours = self.ours().await?;
        let (bytes, question) = (theirs.body.len() + ours.body.len(), Arc::clone(&self.question));
        let compare = move || (Compared::of(&question, &theirs, &ours), (theirs.status, ours.status));
        Ok(by_size(bytes, compare).await)
    }

    /// What we answer.
    async fn ours(&self) -> Result<Answer, Skip> {
        self.request.extensions_mut().insert(Unpaid);
        let mut frame = self.api.frame(&self.request);
        frame.coding = None;
        let nothing = web::Payload::from_request(&self.request, &mut Payload::None).await.map_err(|_| Skip::HasBody)?;
        let answered = Box::pin(self.api.answer_here(&self.request, nothing, &mut frame)).await;
        let response = answered.unwrap_or_else(|error| {
            if error.is_fault() {
                log::error!("{} shadow: {error}", self.request_id);
            }
            frame.fail(&error)
        });
        let answer = head(&response);
        let mut body = pin!(response.into_body());
        let mut bytes = BytesMut::new();
        while let Some(piece) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
            bytes.extend_from_slice(&piece.map_err(|_| Skip::Unanswered)?);
            if bytes.len() > self.shadow.longest() {
                return Err(Skip::Large);
            }
        }
        Ok(Answer { body: bytes.freeze(), ..answer })
    }

    /// What the upstream answers, asked without a coding.
    async fn theirs(&self) -> Result<Answer, Skip> {
        let frame = self.api.frame(&self.request);
        let (mut asked, _): (Asked, Framing) = self.api.asked(&self.request, &frame).map_err(|_| Skip::Unanswered)?;
        asked.headers.remove(ACCEPT_ENCODING);
        let no_body = None::<stream::Empty<Result<Bytes, std::io::Error>>>;
        let answered = self.upstream.relay(None, &asked, no_body).await.map_err(|failure| match failure {
            Failure::Busy(_) => Skip::Busy,
            _ => Skip::Unanswered,
        })?;
        let status = answered.status.as_u16();
        let headers = answered
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
        let headers = headers.collect();
        let mut pieces = pin!(answered.body.pieces());
        let mut bytes = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece.map_err(|_| Skip::Unanswered)?);
            if bytes.len() > self.shadow.longest() {
                return Err(Skip::Large);
            }
        }
        Ok(Answer { status, headers, body: bytes.freeze() })
    }
}

/// A response's status and headers.
fn head(response: &HttpResponse) -> Answer {
    let headers = response.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    Answer { status: response.status().as_u16(), headers: headers.collect(), body: Bytes::new() }
}

/// The response, of which what is sent is kept, up to so many bytes, and told once it ends.
fn kept(response: HttpResponse, most: usize) -> (HttpResponse, oneshot::Receiver<Result<Answer, Skip>>) {
    let (told, answer) = oneshot::channel();
    let of_head = head(&response);
    let response = response.map_body(|_, body| {
        if matches!(body.size(), BodySize::None | BodySize::Sized(0)) {
            // who compares may have been cut off
            let _ = told.send(Ok(of_head));
            return body;
        }
        BoxBody::new(Kept { body, head: Some((of_head, told)), bytes: BytesMut::new(), most })
    });
    (response, answer)
}

/// A body that is kept as it is sent.
struct Kept {
    body: BoxBody,
    /// What it belongs to, and who is told of it; None once that was done.
    head: Option<(Answer, oneshot::Sender<Result<Answer, Skip>>)>,
    bytes: BytesMut,
    most: usize,
}

impl Kept {
    fn tell(&mut self, skip: Option<Skip>) {
        if let Some((head, told)) = self.head.take() {
            let bytes = std::mem::take(&mut self.bytes);
            // who compares may have been cut off
            let _ = told.send(skip.map_or_else(|| Ok(Answer { body: bytes.freeze(), ..head }), Err));
        }
    }
}

impl MessageBody for Kept {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(context);
        match &polled {
            Poll::Ready(Some(Ok(piece))) if self.head.is_some() => {
                if self.bytes.len() + piece.len() > self.most {
                    self.tell(Some(Skip::Large));
                } else {
                    self.bytes.extend_from_slice(piece);
                }
            }
            Poll::Ready(None) => self.tell(None),
            Poll::Ready(Some(_)) | Poll::Pending => {}
        }
        polled
    }
}

impl Drop for Kept {
    /// A body whose length is known is not asked for its end.
    fn drop(&mut self) {
        let is_whole = matches!(self.body.size(), BodySize::Sized(length) if length == self.bytes.len() as u64);
        self.tell((!is_whole).then_some(Skip::Unanswered));
    }
}
