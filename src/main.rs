//! The command line of [`crossbar_groups`]. What fails is told in one line on standard error; the exit status is 1,
//! or 2 where the command line itself was wrong.

#![forbid(unsafe_code)]

mod commands;

use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use crossbar_groups::config::{
    Command, CommandLine, ExportArguments, ImportArguments, LogFormat, ServeArguments, StoreLocation,
};
use crossbar_groups::dump::{self, Dump};
use crossbar_groups::world::World;
use crossbar_groups::{Application, demo, logging, open_store};

/// Files of fewer documents are loaded before anyone would look at a bar.
const MANY_DOCUMENTS: u64 = 1_000;

fn main() -> ExitCode {
    let arguments = match CommandLine::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            // clap's first paragraph says what is wrong; the rest is the help, which has a flag of its own
            let message = error.to_string();
            let first = message.split("\n\n").next().unwrap_or_default();
            eprintln!("{} (see --help)", first.split_whitespace().collect::<Vec<_>>().join(" "));
            return ExitCode::from(2);
        }
        Err(help) => {
            return match help.print() {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    logging::start(match &arguments.command {
        Command::Serve(arguments) => arguments.log_format,
        _ => LogFormat::default(),
    });
    let done = actix_web::rt::System::new().block_on(async {
        match arguments.command {
            Command::Serve(arguments) => serve(arguments).await,
            Command::Import(arguments) => import(arguments).await,
            Command::Export(arguments) => export(arguments).await,
            Command::Views(command) => return commands::views(command).await,
            Command::Doctor(arguments) => return commands::doctor(arguments).await,
            Command::Audit(arguments) => return commands::audit(arguments).await,
            Command::Migrate(arguments) => return commands::migrate(arguments).await,
        }
        .map(|()| ExitCode::SUCCESS)
    });
    match done {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: ServeArguments) -> Result<(), String> {
    let stop = stopped().map_err(|error| format!("can't wait for signals: {error}"))?;
    if !arguments.demo {
        let store = open_store(&arguments.store.location()?).await?;
        let application = listen(&arguments, store)?;
        log::info!("listening on http://{}", application.address());
        return application.run_until(stop).await.map_err(|error| error.to_string());
    }
    let folder = tempfile::Builder::new().prefix("crossbar-groups-demo-").tempdir();
    let folder = folder.map_err(|error| format!("can't make a temporary folder: {error}"))?;
    let store = open_store(&StoreLocation::Folder(folder.path().join("store"))).await?;
    let told = |error: demo::Error| error.to_string();
    demo::fill(store.as_ref(), folder.path()).await.map_err(told)?;
    let token = demo::token(&store, World::real()).await.map_err(told)?;
    let application = listen(&arguments, store)?;
    let introduction = demo::introduction(application.address(), &token, folder.path()).map_err(told)?;
    print_out(&introduction)?;
    application.run_until(stop).await.map_err(|error| error.to_string())
}

fn listen(arguments: &ServeArguments, store: crossbar_groups::store::SharedStore) -> Result<Application, String> {
    Application::build(arguments, store, World::real()).map_err(|error| error.to_string())
}

/// Ends when the process is asked to stop, by SIGTERM or SIGINT.
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => log::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => log::info!("SIGINT: stopping"),
        }
    })
}

async fn import(arguments: ImportArguments) -> Result<(), String> {
    let told = |error: dump::Error| error.to_string();
    // all files are looked at before any of them is written
    let dumps: Vec<Dump> =
        arguments.files.iter().map(|file| Dump::check(file)).collect::<Result<_, _>>().map_err(told)?;
    let store = open_store(&arguments.store.location()?).await?;
    let documents: u64 = dumps.iter().map(Dump::documents).sum();
    let bar = if documents < MANY_DOCUMENTS { ProgressBar::hidden() } else { ProgressBar::new(documents) };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} documents, {eta} left") {
        bar.set_style(style);
    }
    for dump in &dumps {
        dump.import(store.as_ref(), |written| bar.inc(written)).await.map_err(told)?;
    }
    bar.finish_and_clear();
    print_out(&format!("{documents} documents of {} databases imported\n", dumps.len()))
}

async fn export(arguments: ExportArguments) -> Result<(), String> {
    let store = open_store(&arguments.store.location()?).await?;
    let mut output = io::BufWriter::new(io::stdout().lock());
    dump::export(Arc::as_ref(&store), &arguments.database, &mut output).await.map_err(|error| error.to_string())
}

/// Writes to standard output; whoever closed it has seen enough.
fn print_out(text: &str) -> Result<(), String> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("can't write: {error}")),
        _ => Ok(()),
    }
}
