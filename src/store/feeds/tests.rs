use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::join_all;
use futures::stream;
use tokio::time::{sleep, timeout};

use crate::document::{DocId, Document, Revision};

use super::super::{Attachments, HEARTBEAT, Query, Row, Store, View};
use super::*;

/// A store whose feed tells what changed when it is let.
struct Script {
    history: Mutex<Vec<Changed>>,
    /// How much of the history the feed has been let tell.
    let_tell: watch::Sender<usize>,
    followed: AtomicUsize,
}

impl Script {
    fn new() -> Arc<Self> {
        let (let_tell, followed) = (watch::Sender::new(0), AtomicUsize::new(0));
        Arc::new(Self { history: Mutex::default(), let_tell, followed })
    }

    fn change(&self, id: &str, revision: &str) {
        let mut history = lock(&self.history);
        let sequence = Sequence::new((history.len() + 1).to_string());
        history.push(Changed { sequence, id: id.into(), revision: revision.parse().unwrap(), document: None });
    }

    fn tell(&self) {
        self.let_tell.send_replace(lock(&self.history).len());
    }
}

fn place(sequence: &Sequence) -> usize {
    sequence.as_str().parse().unwrap()
}

#[async_trait]
impl Store for Script {
    async fn get(&self, _: &DbName, _: &DocId) -> Result<Option<Arc<Document>>> {
        Ok(None)
    }

    async fn put(&self, _: &DbName, _: &Document) -> Result<Revision> {
        Err(Error::Conflict)
    }

    fn batches<'a>(&'a self, _: &'a DbName, _: &'a View, _: Query) -> BoxStream<'a, Result<Vec<Row>>> {
        stream::empty().boxed()
    }

    async fn dump(&self, _: &DbName, _: Option<&str>, _: usize, _: Attachments) -> Result<Option<Vec<Document>>> {
        Ok(None)
    }

    async fn sequence(&self, _: &DbName) -> Result<Option<Sequence>> {
        Ok(Some(Sequence::new(lock(&self.history).len().to_string())))
    }

    async fn changed(&self, _: &DbName, since: &Sequence, most: usize) -> Result<Option<Vec<Changed>>> {
        let history = lock(&self.history);
        let is_last = |at: usize| history[at + 1..].iter().all(|later| later.id != history[at].id);
        let changed = (place(since)..history.len()).filter(|at| is_last(*at)).map(|at| history[at].clone());
        Ok(Some(changed.take(most).collect()))
    }

    fn follow<'a>(&'a self, _: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
        self.followed.fetch_add(1, Ordering::SeqCst);
        let begun = (place(&since), self.let_tell.subscribe());
        stream::unfold(begun, async |(at, mut let_tell)| {
            loop {
                let to = *let_tell.borrow_and_update();
                let changed = lock(&self.history).get(at..to).unwrap_or_default().to_vec();
                if !changed.is_empty() {
                    return Some((Ok(changed), (to, let_tell)));
                }
                // it says that nothing happened where nothing did
                let is_quiet = timeout(HEARTBEAT, let_tell.changed()).await.is_err();
                if is_quiet && at == lock(&self.history).len() {
                    return Some((Ok(Vec::new()), (at, let_tell)));
                }
            }
        })
        .boxed()
    }

    async fn attachment(&self, _: &DbName, _: &DocId, _: &str) -> Result<Option<Bytes>> {
        Ok(None)
    }

    async fn prove_writable(&self) -> Result<()> {
        Ok(())
    }
}

fn feeds(script: &Arc<Script>) -> Feeds {
    Feeds::new(Arc::clone(script) as SharedStore, Background::here())
}

type Following<'a> = BoxStream<'a, Result<Vec<Changed>>>;

/// What is given in the next few seconds, as ids and revisions.
async fn given(following: &mut Following<'_>) -> Vec<String> {
    let mut given = Vec::new();
    while let Ok(Some(batch)) = timeout(Duration::from_secs(3), following.next()).await {
        let batch = batch.unwrap();
        if batch.is_empty() && !given.is_empty() {
            break;
        }
        given.extend(batch.iter().map(|changed| format!("{}@{}", changed.id, changed.revision)));
    }
    given
}

#[tokio::test(start_paused = true)]
async fn however_many_follow_a_database_the_store_is_followed_once() {
    let (script, database) = (Script::new(), DbName::fixed("db"));
    let feeds = feeds(&script);
    let follow = || feeds.follow(&database, Sequence::new("0"));
    let mut all: Vec<Following<'_>> = (0..1_000).map(|_| follow()).collect();
    let first = |batch: Option<Result<Vec<Changed>>>| batch.unwrap().unwrap();
    assert!(join_all(all.iter_mut().map(StreamExt::next)).await.into_iter().all(|batch| first(batch).is_empty()));
    script.change("a", "1-a");
    script.tell();
    for batch in join_all(all.iter_mut().map(StreamExt::next)).await {
        assert_eq!(first(batch).len(), 1);
    }
    assert_eq!((script.followed.load(Ordering::SeqCst), feeds.number.get()), (1, 1));
    // who was cut off for a moment comes back to the same
    drop(all);
    sleep(Duration::from_secs(2)).await;
    drop(follow());
    assert_eq!((script.followed.load(Ordering::SeqCst), feeds.number.get()), (1, 1));
    sleep(LINGER + 3 * HEARTBEAT).await;
    assert_eq!(feeds.number.get(), 0);
    assert_eq!(given(&mut follow()).await, ["a@1-a"]);
    assert_eq!(script.followed.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_is_behind_gives_nothing_twice() {
    let (script, database) = (Script::new(), DbName::fixed("db"));
    let feeds = feeds(&script);
    script.change("a", "1-a");
    let follow = |since: &str| feeds.follow(&database, Sequence::new(since));
    let mut first = follow("1");
    assert!(first.next().await.unwrap().unwrap().is_empty());
    script.change("a", "2-a");
    script.change("b", "1-a");
    // one was told of the first alone, and one knows of both
    let (mut second, mut third) = (follow("1"), follow("3"));
    let past = second.next().await.unwrap().unwrap();
    assert_eq!(past.iter().map(|changed| &*changed.id).collect::<Vec<_>>(), ["a", "b"]);
    assert!(timeout(Duration::from_secs(20), third.next()).await.is_err());
    script.change("a", "3-a");
    script.tell();
    assert_eq!(given(&mut first).await, ["a@2-a", "b@1-a", "a@3-a"]);
    assert_eq!(given(&mut second).await, ["a@3-a"]);
    assert_eq!(given(&mut third).await, ["a@3-a"]);
    assert_eq!(script.followed.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_said_while_the_past_was_read_says_nothing_of_what_came_then() {
    let (script, database) = (Script::new(), DbName::fixed("db"));
    let feeds = feeds(&script);
    script.change("a", "1-a");
    let mut follower = feeds.follow(&database, Sequence::new("0"));
    assert_eq!(follower.next().await.unwrap().unwrap().len(), 1);
    // it takes its time; the feed says several times that nothing happened, and then is behind
    sleep(5 * HEARTBEAT).await;
    script.change("b", "1-a");
    assert_eq!(&*follower.next().await.unwrap().unwrap()[0].id, "b");
    script.change("c", "1-a");
    script.tell();
    assert_eq!(given(&mut follower).await, ["c@1-a"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_too_slow_begins_again_where_it_was() {
    let (script, database) = (Script::new(), DbName::fixed("db"));
    let feeds = feeds(&script);
    let mut slow = feeds.follow(&database, Sequence::new("0"));
    assert!(slow.next().await.unwrap().unwrap().is_empty());
    for number in 0..2 * WAITING {
        script.change(&number.to_string(), "1-a");
        script.tell();
        sleep(Duration::from_millis(1)).await;
    }
    assert!(matches!(slow.next().await, Some(Err(Error::Busy(_)))));
    assert!(slow.next().await.is_none());
    let mut again = feeds.follow(&database, Sequence::new("0"));
    assert_eq!(given(&mut again).await.len(), 2 * WAITING);
}
