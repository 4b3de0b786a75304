//! Work beside the requests. It ends on one cancellation, and is waited for.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long all work is waited for once it was asked to end.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How much of that is for writes alone; then the rest is asked to end.
const PATIENCE_OF_WRITES: Duration = Duration::from_secs(4);

/// The work beside the requests of an [`Application`](crate::Application).
#[derive(Debug, Clone)]
pub struct Background {
    /// Whose end none of it sees, as it would that of a worker.
    runtime: Handle,
    stopping: CancellationToken,
    tasks: TaskTracker,
    writes: TaskTracker,
}

impl Background {
    /// Work in the runtime that this is called in.
    pub fn here() -> Self {
        let (tasks, writes) = (TaskTracker::new(), TaskTracker::new());
        Self { runtime: Handle::current(), stopping: CancellationToken::new(), tasks, writes }
    }

    /// Starts work. It is given what tells it to end, and is to end soon then.
    pub fn start<Work>(&self, work: impl FnOnce(CancellationToken) -> Work)
    where
        Work: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn_on(work(self.stopping.clone()), &self.runtime);
    }

    /// Starts a write, which ends by itself. Other work may come of it (a notice to be sent), and is not asked to end
    /// before.
    pub fn write(&self, write: impl Future<Output = ()> + Send + 'static) {
        self.writes.spawn_on(write, &self.runtime);
    }

    /// Waits for the writes, asks all other work to end, and waits until it has; all no longer than [`PATIENCE`].
    pub async fn stop(&self) {
        let until = Instant::now() + PATIENCE;
        self.writes.close();
        // those that are not done have their time with all the rest
        let _ = timeout(PATIENCE_OF_WRITES, self.writes.wait()).await;
        self.stopping.cancel();
        self.tasks.close();
        let ended = async { tokio::join!(self.tasks.wait(), self.writes.wait()) };
        if timeout_at(until, ended).await.is_err() {
            log::error!("work in the background did not end in {} s, and is cut off", PATIENCE.as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_not_waited_for_forever() {
        let background = Background::here();
        background.start(|_| std::future::pending());
        background.write(std::future::pending());
        let started = Instant::now();
        background.stop().await;
        assert_eq!(started.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_of_a_write_is_not_asked_to_end_before_it() {
        let background = Background::here();
        let (done, order) = std::sync::mpsc::channel();
        let (written, ended) = (done.clone(), done);
        background.start(async move |stopping: CancellationToken| {
            stopping.cancelled().await;
            ended.send("ended").unwrap();
        });
        background.write(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            written.send("written").unwrap();
        });
        background.stop().await;
        assert_eq!(order.iter().collect::<Vec<_>>(), ["written", "ended"]);
    }
}
