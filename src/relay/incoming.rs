//! The body of an answer on its way to the client: a piece at a time, and no faster than the client takes it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::stream::try_unfold;
use hyper::body::{Body, Incoming};
use prometheus::IntCounter;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::shares::Share;

/// A body that comes. When it is dropped, nothing is carried any longer, and the place is free.
pub struct Coming {
    pub(super) body: Incoming,
    /// How long its next piece may take.
    pub(super) idle: Duration,
    /// What carries the request's body, if that did not end before the answer began.
    pub(super) carrying: Option<AbortOnDropHandle<()>>,
    pub(super) broken: IntCounter,
    pub(super) _place: Share,
}

impl Coming {
    /// Whether it has no bytes.
    pub fn is_nothing(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Whether all of the request's body was carried.
    pub fn all_was_sent(&self) -> bool {
        self.carrying.as_ref().is_none_or(AbortOnDropHandle::is_finished)
    }

    /// Its pieces. After an error there are no more: the client is cut off, as the upstream did.
    pub fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> {
        try_unfold(self, |mut coming| async move { Ok(coming.next().await?.map(|piece| (piece, coming))) })
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            let why = match timeout(self.idle, frame).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => return Ok(Some(piece)),
                    // trailers are between neighbours
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) => super::in_full(&error),
                Err(_) => format!("nothing came for {} s", self.idle.as_secs_f64()),
            };
            self.broken.inc();
            log::warn!("upstream: an answer was cut off: {why}");
            // what came before is sent before the connection ends
            tokio::task::yield_now().await;
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
    }
}
