//! What is told of comparisons with an upstream.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use reqwest::Client;
use reqwest::redirect::Policy;

use crossbar_groups::config::{ReportArguments, ShadowCommand};
use crossbar_groups::shadow::report::Report;

use super::output::{print_report, status};

/// How long a service may take to tell its metrics.
const WITHIN: Duration = Duration::from_secs(10);

/// Does what is asked of comparisons.
pub async fn shadow(command: ShadowCommand) -> anyhow::Result<ExitCode> {
    let ShadowCommand::Report(arguments) = command;
    let named = || arguments.url.to_string();
    let metrics = metrics(&arguments).await.with_context(named)?;
    let report = Report::of_metrics(&metrics).with_context(named)?;
    print_report(&report, arguments.json)?;
    Ok(status(report.is_well()))
}

async fn metrics(arguments: &ReportArguments) -> anyhow::Result<String> {
    let client = Client::builder()
        .tls_backend_preconfigured(arguments.trust.authorities()?.client()?)
        .redirect(Policy::none())
        .no_proxy()
        .timeout(WITHIN)
        .build()?;
    let asked = client.get(format!("{}/metrics", arguments.url)).send().await;
    let answer = asked.and_then(reqwest::Response::error_for_status).map_err(reqwest::Error::without_url)?;
    Ok(answer.text().await?)
}
