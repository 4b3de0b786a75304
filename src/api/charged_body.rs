//! A response that holds its request's charge until it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;

use crate::in_flight::Charge;

/// A body, and what is charged for it.
struct Held {
    body: BoxBody,
    _charge: Arc<Charge>,
}

/// The response, whose charge ends when it is sent, or when nobody is there to take it. A stream of events holds nothing of
/// what was read before it began.
pub fn until_sent(response: HttpResponse, charge: Arc<Charge>) -> HttpResponse {
    if charge.is_something() && response.body().size() != BodySize::Stream {
        response.map_body(|_, body| BoxBody::new(Held { body, _charge: charge }))
    } else {
        response
    }
}

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
