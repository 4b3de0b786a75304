//! The operators' commands: their reports printed, for people or as JSON. The exit status is 1 where a report says that
//! something is not well.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use crossbar_groups::config::{AuditArguments, MigrateArguments, ScopeArguments, ViewsCommand};
use crossbar_groups::operate::{audit, doctor, migrate, views};
use crossbar_groups::store::SharedStore;
use crossbar_groups::store::couch::CouchOptions;
use crossbar_groups::store::embedded::Embedded;
use crossbar_groups::world::World;
use crossbar_groups::{open_or_make_store, open_store};

use super::failure::WrongCommandLine;
use super::noticed::noticed;
use super::opened::opened;
use super::output::{bar, print, print_json, print_report, status};

const CANT_ASK: &str = "can't ask";

type Done = anyhow::Result<ExitCode>;

pub async fn views(command: ViewsCommand) -> Done {
    let (scope, replace) = match command {
        ViewsCommand::Check(scope) => (scope, None),
        ViewsCommand::Install(arguments) => (arguments.scope, Some(arguments.replace)),
    };
    let store = opened(&scope.store).await?;
    let report = match replace {
        None => views::check(store.as_ref(), scope.account, &bar(scope.json)).await?,
        Some(replace) => views::install(store.as_ref(), scope.account, &replace, &bar(scope.json)).await?,
    };
    print_report(&report, scope.json)?;
    Ok(status(report.is_well()))
}

pub async fn doctor(scope: ScopeArguments) -> Done {
    let report = match open_store(&scope.store.location()?, &scope.store.options()?).await {
        Ok(store) => doctor::examine(&store, scope.account, World::real(), &bar(scope.json)).await,
        Err(error) => doctor::Report::unreachable(&error, error.remedy()),
    };
    print_report(&report, scope.json)?;
    Ok(status(report.is_well()))
}

pub async fn audit(arguments: AuditArguments) -> Done {
    let AuditArguments { scope, fix, yes, notices } = arguments;
    if fix && !yes && !io::stdin().is_terminal() {
        let why = "--fix asks before it writes, and here is no terminal to ask on: give --yes too";
        return Err(WrongCommandLine(why).into());
    }
    let store = opened(&scope.store).await?;
    let notices = notices.settings(scope.store.trusted()?)?;
    let report = audit::audit(store.as_ref(), scope.account, &bar(scope.json)).await?;
    let mend = async |store: SharedStore, world| audit::fix(store.as_ref(), &report, world).await;
    if !fix {
        print_report(&report, scope.json)?;
        return Ok(status(report.faults.is_empty()));
    }
    if !scope.json {
        print_report(&report, false)?;
    }
    let (endpoints, groups) = report.mendable();
    let mended = match endpoints > 0 && (yes || agreed(endpoints, groups)?) {
        true => noticed(store, notices, "audit", mend).await,
        false => Vec::new(),
    };
    if scope.json {
        #[derive(Serialize)]
        struct Whole<'r> {
            #[serde(flatten)]
            report: &'r audit::Report,
            mended: &'r [audit::Mended],
        }

        print_json(&Whole { report: &report, mended: &mended })?;
    } else {
        let lines: String = mended.iter().map(|mended| format!("{mended}\n")).collect();
        print(&lines)?;
    }
    // every fault was one that is mended, and none is left
    let all_mended = mended.len() == groups && mended.iter().all(audit::Mended::is_well);
    Ok(status(report.faults.len() == endpoints && all_mended))
}

/// Asks on the terminal.
fn agreed(endpoints: usize, groups: usize) -> anyhow::Result<bool> {
    eprint!("Mend members: {endpoints}, of groups: {groups}? [y/N] ");
    io::stderr().flush().context(CANT_ASK)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context(CANT_ASK)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

pub async fn migrate(arguments: MigrateArguments) -> Done {
    if arguments.from == arguments.to {
        return Err(WrongCommandLine("FROM and TO are the same store").into());
    }
    let options = CouchOptions { trusted: arguments.trust.authorities()?, ..CouchOptions::default() };
    let from = open_store(&arguments.from, &options).await?;
    let to = open_or_make_store(&arguments.to, &options, Embedded::MEMORY).await?;
    let report = migrate::migrate(from.as_ref(), to.as_ref(), arguments.account, &bar(arguments.json)).await?;
    print_report(&report, arguments.json)?;
    Ok(status(report.is_well()))
}
