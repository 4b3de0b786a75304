//! Work that keeps a processor busy is done aside: the workers, each of which answers many requests, do what takes less
//! than a few milliseconds.

use std::panic::resume_unwind;
use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// How many bytes a worker may look at for one request. What is made of JSON is made at 20 to 100 bytes a microsecond.
const QUICK: usize = 64 * 1024;

/// How much of it is done at a time: as much as there are processors.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, Into::into)));

/// Whether work over so many bytes is done at once.
pub fn is_quick(bytes: usize) -> bool {
    bytes <= QUICK
}

/// Does work over so many bytes: at once where they are few, aside where they are many. Work aside that was begun is
/// ended, whether or not somebody waits for it.
pub async fn by_size<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if is_quick(bytes) {
        return work();
    }
    let place = PLACES.acquire().await;
    let done = spawn_blocking(move || {
        let _place = place;
        work()
    });
    match done.await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // it is never aborted, but where the runtime ends
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn what_is_large_is_done_elsewhere() {
        let here = thread::current().id();
        assert_eq!(by_size(QUICK, || thread::current().id()).await, here);
        assert_ne!(by_size(QUICK + 1, || thread::current().id()).await, here);
    }
}
