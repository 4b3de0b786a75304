//! `serve`: the service, or with `--demo` one of made-up accounts that ends with it.

use std::io;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crossbar_groups::backup::Socket;
use crossbar_groups::config::{ServeArguments, StoreLocation};
use crossbar_groups::store::couch::CouchOptions;
use crossbar_groups::store::embedded::Embedded;
use crossbar_groups::tls::Identity;
use crossbar_groups::world::World;
use crossbar_groups::{Application, demo, open_or_make_store, page};

use super::output::print;

const NO_SIGNALS: &str = "can't wait for signals";

/// Serves until the process is asked to stop.
pub async fn serve(arguments: ServeArguments) -> anyhow::Result<()> {
    allow_many_connections();
    let stop = stopped().context(NO_SIGNALS)?;
    if !arguments.demo {
        let location = arguments.store.location()?;
        let memory = arguments.caching.cache_memory;
        let store = open_or_make_store(&location, &arguments.store.options()?, memory).await?;
        let looked_at = Arc::clone(&store);
        let mut application = Application::build(&arguments, Arc::clone(&store) as _, World::real())?;
        reload_on_hangup(application.identity())?;
        if let StoreLocation::Folder(folder) = &location {
            match Socket::bind(folder) {
                Ok(socket) => application = application.with_backups(socket, store),
                Err(error) => log::error!("no backups while the service runs: {error}"),
            }
        }
        log::info!("listening on {}", application.url());
        application = application.looking_for_accounts(looked_at);
        return Ok(application.run_until(stop).await?);
    }
    let folder = tempfile::Builder::new().prefix("crossbar-groups-demo-").tempdir();
    let folder = folder.context("can't make a temporary folder")?;
    let location = StoreLocation::Folder(folder.path().join("store"));
    let store = open_or_make_store(&location, &CouchOptions::default(), Embedded::MEMORY).await?;
    demo::fill(store.as_ref(), folder.path()).await?;
    let token = demo::token(Arc::clone(&store) as _, World::real()).await?;
    let application = Application::build(&arguments, store, World::real())?;
    let page = (!arguments.no_docs).then_some(page::PATH);
    print(&demo::introduction(&application.url_from_here(), page, &token))?;
    Ok(application.run_until(stop).await?)
}

/// Each connection is an open file, of which a process may have a thousand unless it asks for more.
fn allow_many_connections() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        log::warn!("the number of open files stays as it is: {error}");
    }
}

/// Ends when the process is asked to stop, by SIGTERM or SIGINT.
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => log::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => log::info!("SIGINT: stopping"),
        }
    })
}

/// From now on reads the certificate again with each SIGHUP. One that can't be used leaves the one that is.
fn reload_on_hangup(identity: Option<Arc<Identity>>) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context(NO_SIGNALS)?;
    actix_web::rt::spawn(async move {
        while hangup.recv().await.is_some() {
            match identity.as_ref().map(|identity| identity.reload()) {
                Some(Ok(())) => log::info!("SIGHUP: the certificate is read again"),
                Some(Err(error)) => log::error!("SIGHUP: the certificate stays as it was: {error}"),
                None => log::info!("SIGHUP: there is no certificate to read again"),
            }
        }
    });
    Ok(())
}
