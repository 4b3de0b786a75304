//! Plans of groups told, applied and written. The exit status is 1 where a file is wrong, or an account was not done.

use std::io::{self, BufWriter};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use crossbar_groups::api::Schemas;
use crossbar_groups::config::{ApplyArguments, ExportPlanArguments, PlanArguments};
use crossbar_groups::files;
use crossbar_groups::kazoo::schema;
use crossbar_groups::plan::changes::Rules;
use crossbar_groups::plan::export::Form;
use crossbar_groups::plan::file::PlanFile;
use crossbar_groups::plan::problem::Problems;
use crossbar_groups::plan::report::Report;
use crossbar_groups::plan::{self, Error, Run};
use crossbar_groups::store::{SharedServer, SharedStore};
use crossbar_groups::world::World;

use super::noticed::noticed;
use super::opened::opened;
use super::output::{bar, print, print_json, print_report, status, written};

type Done = anyhow::Result<ExitCode>;

/// How many MiB a file may have.
const LARGEST_FILE: u64 = 64;

pub async fn plan(arguments: PlanArguments) -> Done {
    let store = opened(&arguments.store).await?;
    match planned(&arguments, &store, &run()).await? {
        Ok(report) => tell(&report, arguments.json),
        Err(problems) => refuse(&problems, arguments.json),
    }
}

pub async fn apply(arguments: ApplyArguments) -> Done {
    let ApplyArguments { plan: arguments, notices } = arguments;
    let store = opened(&arguments.store).await?;
    let notices = notices.settings(arguments.store.trusted()?)?;
    let run = run();
    let report = match planned(&arguments, &store, &run).await? {
        Ok(report) => report,
        Err(problems) => return refuse(&problems, arguments.json),
    };
    let applied = async |store: SharedStore, _| plan::apply(store.as_ref(), report, &run, &bar(arguments.json)).await;
    tell(&noticed(store, notices, "apply", applied).await, arguments.json)
}

pub async fn export(arguments: ExportPlanArguments) -> Done {
    let store = opened(&arguments.store).await?;
    let form = if arguments.json { Form::Json } else { Form::Yaml };
    let mut output = BufWriter::new(io::stdout().lock());
    match plan::export(store.as_ref(), &arguments.account, form, &mut output, &bar(arguments.json)).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Error::Output(error)) => {
            written(Err(error)).map_err(Error::Output)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(Error::Problems(problems)) => {
            let told: Vec<String> = problems.problems.iter().map(ToString::to_string).collect();
            anyhow::bail!("{}", told.join("; "))
        }
        Err(error) => Err(error.into()),
    }
}

fn run() -> Run {
    let world = World::real();
    Run { id: world.request_id(), now: world.gregorian_seconds() }
}

/// What is to be done so that a store has what a file says, or all that is wrong with the file.
async fn planned(
    arguments: &PlanArguments,
    store: &SharedServer,
    run: &Run,
) -> anyhow::Result<Result<Report, Problems>> {
    let named = || arguments.file.display().to_string();
    let text = String::from_utf8(files::read_large(&arguments.file, LARGEST_FILE)?).with_context(named)?;
    let file = match PlanFile::parse(&text) {
        Ok(file) => file,
        Err(problems) => return Ok(Err(problems)),
    };
    let shared: SharedStore = store.clone();
    let (checked, largest) = (arguments.budgets.of_data(), arguments.budgets.of_groups());
    let schema = Schemas::new(shared, Duration::from_secs(3600), checked).named(schema::GROUPS).await?;
    let rules = Rules { schema: &schema, checked, largest };
    match plan::plan(store.as_ref(), &file, rules, run, &bar(arguments.json)).await {
        Ok(report) => Ok(Ok(report)),
        Err(Error::Problems(problems)) => Ok(Err(problems)),
        Err(error) => Err(error.into()),
    }
}

fn tell(report: &Report, json: bool) -> Done {
    if json {
        print_json(&report.to_json())?;
    } else {
        print(&report.to_string())?;
    }
    Ok(status(report.is_well()))
}

fn refuse(problems: &Problems, json: bool) -> Done {
    print_report(problems, json)?;
    Ok(ExitCode::FAILURE)
}
