//! Work beside the requests. It ends on one cancellation, and is waited for.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long all work is waited for once it was asked to end.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The work beside the requests of an [`Application`](crate::Application).
#[derive(Debug, Default)]
pub struct Background {
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Background {
    /// Starts work in the runtime that this is called in. It is given what tells it to end, and is to end soon then.
    pub fn start<Work>(&self, work: impl FnOnce(CancellationToken) -> Work)
    where
        Work: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(work(self.stopping.clone()));
    }

    /// Asks all work to end, and waits until it has, but no longer than [`PATIENCE`].
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        if timeout(PATIENCE, self.tasks.wait()).await.is_err() {
            log::error!("work in the background did not end in {} s, and is cut off", PATIENCE.as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_not_waited_for_forever() {
        let background = Background::default();
        background.start(|_| std::future::pending());
        let started = tokio::time::Instant::now();
        background.stop().await;
        assert_eq!(started.elapsed(), PATIENCE);
    }
}
