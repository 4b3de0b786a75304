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

/// How many bytes of a body may take as long as a whole one that is answered here. One that is relayed may have any length, and
/// is sent no slower than this: 3 KB a second where it is 20 s.
const PORTION: usize = 64 * 1024;

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
    /// Nothing any longer: the client sent too little for too long.
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

/// Carries a body; `most` is how long the client may take to send a portion of it, or what is left of it.
pub async fn carry<E: std::error::Error>(
    mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
    mut to: mpsc::Sender<Piece>,
    progress: Progress,
    most: Duration,
) {
    let (mut left, mut came) = (most, 0);
    loop {
        progress.waits_for(Turn::Client);
        let begun = Instant::now();
        let next = timeout(left, pieces.next()).await;
        left = left.saturating_sub(begun.elapsed());
        if let Ok(Some(Ok(piece))) = &next {
            came += piece.len();
        }
        if came >= PORTION {
            (left, came) = (most, 0);
        }
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
            Err(_) => (cut_off("the client sends too slowly".to_owned()), true),
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

    /// What is carried of pieces of so many bytes, each of which comes after so long and is taken after so long, and how it ends.
    async fn carried(number: usize, bytes: usize, after: Duration, taken_after: Duration) -> (usize, Turn) {
        let (to, mut from) = Outgoing::carried();
        let pieces = stream::iter(0..number).then(|_| async move {
            tokio::time::sleep(after).await;
            Ok::<_, Infallible>(Bytes::from(vec![0; bytes]))
        });
        let progress = Progress::new();
        let take = async {
            let mut taken = 0;
            while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut from).poll_frame(cx)).await {
                taken += frame.into_data().unwrap().len();
                tokio::time::sleep(taken_after).await;
            }
            taken
        };
        let (taken, ()) = tokio::join!(take, carry(Box::pin(pieces), to, progress.clone(), LIMIT));
        (taken, progress.turn())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_as_fast_as_the_floor_says() {
        // a byte now and then is too slow, however short the pauses are
        let (taken, turn) = carried(1_000, 1, LIMIT / 20, Duration::ZERO).await;
        assert!((18..=20).contains(&taken), "{taken}");
        assert_eq!(turn, Turn::ClientIsLate);
        // a portion in each time is fast enough for ever
        let (taken, turn) = carried(100, PORTION / 4, LIMIT / 5, Duration::ZERO).await;
        assert_eq!(taken, 100 * (PORTION / 4));
        assert!(matches!(turn, Turn::Upstream(_)));
        // how slowly the upstream takes it is nothing of the client's
        let (taken, _) = carried(100, 1_000, LIMIT / 200, LIMIT).await;
        assert_eq!(taken, 100_000);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_slow_client_is_not_the_upstreams() {
        let (to, mut from) = Outgoing::carried();
        let pieces = stream::iter(["a", "b", "c"]).then(|piece| async move {
            tokio::time::sleep(LIMIT * 3 / 10).await;
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
