//! Work beside the requests. It ends on one cancellation, and is waited for.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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

    /// Tells all work to end, and waits until it has.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
