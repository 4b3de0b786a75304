//! Work of operators of which Kazoo's nodes are told.

use crossbar_groups::background::Background;
use crossbar_groups::metrics::Metrics;
use crossbar_groups::notices::{self, Settings};
use crossbar_groups::store::{SharedServer, SharedStore};
use crossbar_groups::world::World;

/// Does work on a store in the name of `sender`, and waits until the broker has the notices of it, if they are wanted.
pub async fn noticed<T>(
    store: SharedServer,
    settings: Option<Settings>,
    sender: &str,
    work: impl AsyncFnOnce(SharedStore, World) -> T,
) -> T {
    let world = World::real();
    let background = Background::here();
    let store = notices::over(store, settings, sender, world, Metrics::new((world.now)()), &background);
    let done = work(store, world).await;
    background.stop().await;
    done
}
