//! The body of a request on its way to the upstream: a piece at a time, and no faster than the upstream takes it.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, Stream, StreamExt};
use hyper::body::{Body, Frame};
use tokio::time::{Instant, sleep_until, timeout};

/// What comes of a body: a piece, or that it ends here. Who is cut off says neither.
type Piece = io::Result<Option<Bytes>>;

/// A body as the upstream's connection takes it; None: there is none, or no more of it.
pub struct Outgoing(Option<mpsc::Receiver<Piece>>);

impl Outgoing {
    /// No body.
    pub const NOTHING: Self = Self(None);

    /// A body that is carried to it.
    pub fn carried() -> (mpsc::Sender<Piece>, Self) {
        let (to, from) = mpsc::channel(0);
        (to, Self(Some(from)))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(pieces) = &mut self.0 else { return Poll::Ready(None) };
        pieces.poll_next_unpin(cx).map(|piece| match piece {
            Some(Ok(Some(piece))) => Some(Ok(Frame::data(piece))),
            Some(Ok(None)) => {
                self.0 = None;
                None
            }
            Some(Err(error)) => Some(Err(error)),
            // an upstream must not take what was cut off for the whole
            None => Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is carried no longer"))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The client's next piece.
    Client,
    /// The upstream, since this time: it is to take a piece, or to answer.
    Upstream(Instant),
    /// Nothing any longer: the client sent nothing for too long.
    ClientIsLate,
    /// Nothing any longer: the client has gone.
    ClientIsGone,
}

/// How far a request has come.
#[derive(Debug, Clone)]
pub struct Progress(Rc<Cell<Turn>>);

impl Progress {
    /// A request that has no body, or whose body was not begun.
    pub fn new() -> Self {
        Self(Rc::new(Cell::new(Turn::Upstream(Instant::now()))))
    }

    /// What it waits for.
    pub fn turn(&self) -> Turn {
        self.0.get()
    }

    fn waits_for(&self, turn: Turn) {
        self.0.set(turn);
    }

    /// Ends when the upstream was waited for so long.
    pub async fn upstream_is_late(&self, most: Duration) {
        loop {
            let now = Instant::now();
            match self.turn() {
                Turn::Upstream(since) if since + most <= now => return,
                Turn::Upstream(since) => sleep_until(since + most).await,
                // it may be the upstream's turn at any time from now on
                _ => sleep_until(now + most).await,
            }
        }
    }
}

/// Carries a body; `idle` is how long its next piece may take.
pub async fn carry<E: std::error::Error>(
    mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
    mut to: mpsc::Sender<Piece>,
    progress: Progress,
    idle: Duration,
) {
    loop {
        progress.waits_for(Turn::Client);
        let next = timeout(idle, pieces.next()).await;
        progress.waits_for(match &next {
            Ok(Some(Err(_))) => Turn::ClientIsGone,
            Err(_) => Turn::ClientIsLate,
            Ok(_) => Turn::Upstream(Instant::now()),
        });
        let cut_off = |why: String| Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        let (piece, is_last) = match next {
            Ok(Some(Ok(piece))) => (Ok(Some(piece)), false),
            Ok(None) => (Ok(None), true),
            Ok(Some(Err(error))) => (cut_off(error.to_string()), true),
            Err(_) => (cut_off("the client sends nothing".to_owned()), true),
        };
        // an upstream that takes no more has answered, or gone: who waits for its answer finds out
        if to.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_slow_client_is_not_the_upstreams() {
        let (to, mut from) = Outgoing::carried();
        let pieces = stream::iter(["a", "b", "c"]).then(|piece| async move {
            tokio::time::sleep(LIMIT * 9 / 10).await;
            Ok::<_, Infallible>(Bytes::from(piece))
        });
        let progress = Progress::new();
        let take = async {
            let mut taken = Vec::new();
            while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut from).poll_frame(cx)).await {
                taken.push(frame.unwrap().into_data().unwrap());
            }
            taken
        };
        let carried = async { tokio::join!(carry(Box::pin(pieces), to, progress.clone(), LIMIT), take).1 };
        tokio::select! {
            taken = carried => assert_eq!(taken, ["a", "b", "c"]),
            () = progress.upstream_is_late(LIMIT) => panic!("the upstream was not slow"),
        }
        let started = Instant::now();
        progress.upstream_is_late(LIMIT).await;
        assert_eq!(started.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_is_late() {
        let (to, mut from) = Outgoing::carried();
        let progress = Progress::new();
        let pieces = stream::pending::<Result<Bytes, Infallible>>();
        let next = std::future::poll_fn(|cx| Pin::new(&mut from).poll_frame(cx));
        let (frame, ()) = tokio::join!(next, carry(pieces, to, progress.clone(), LIMIT));
        assert!(frame.unwrap().is_err());
        assert_eq!(progress.turn(), Turn::ClientIsLate);
    }
}
