//! `health`: whether a service is ready, for who has no curl.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Url};
use serde_json::Value;

use crossbar_groups::config::{Command, CommandLine, HealthArguments};
use crossbar_groups::listener;

use super::output::print;

/// How long an answer may take; the service itself gives up looking before.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks `/readyz`. Errors: it is not ready, or not there.
pub async fn health(arguments: HealthArguments, config: Option<PathBuf>) -> anyhow::Result<()> {
    let client = Client::builder().no_proxy().timeout(PATIENCE);
    let (url, client) = match arguments.url {
        Some(url) => (url, client.tls_backend_preconfigured(arguments.trust.authorities()?.client()?)),
        // nobody listens in on this machine, and its certificate is for another name
        None => (of_this_machine(config)?, client.tls_danger_accept_invalid_certs(true)),
    };
    let url = url.join("/readyz").context("no URL to ask")?;
    let asked = client.build().context("no HTTP client")?.get(url.clone()).send().await;
    let response = asked.with_context(|| format!("{url}: no answer; does the service run, and listen there?"))?;
    let status = response.status();
    if status.is_success() {
        return print("ready\n");
    }
    let told = response.bytes().await.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok());
    match told.as_ref().and_then(|told| told["reason"].as_str()) {
        Some(reason) => bail!("{url}: {status}: {reason} (the service's log says more)"),
        None => bail!("{url}: {status}; is it the service that answers there?"),
    }
}

/// Where the service answers that `serve` would start here, by the same environment and file.
fn of_this_machine(config: Option<PathBuf>) -> anyhow::Result<Url> {
    let config = config.map(|file| ["--config".into(), file.into_os_string()]);
    let words = ["crossbar-groups".into(), "serve".into()].into_iter().chain(config.into_iter().flatten());
    let Command::Serve(serve) = CommandLine::read_from(words)?.command else { bail!("no service") };
    let has_tls = serve.tls.is_wanted();
    let (address, has_tls) = match serve.admin_listen {
        Some(admin) => (admin, has_tls && listener::admin_has_tls(admin)),
        None => (serve.listen, has_tls),
    };
    Ok(Url::parse(&listener::url(listener::from_here(address), has_tls))?)
}
