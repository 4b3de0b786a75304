//! The service under mixed load: honest clients, hostile ones, slow ones, large bodies, kills. `scripts/soak` runs it:
//!
//!     soak MINUTES PROGRAM STORE SAMPLES
//!
//! STORE holds `fixtures/seed/`. SAMPLES is written: a line a second of what the process holds and how long `/healthz`
//! took, separated by tabs. The exit status is 1 if anything was lost, leaked or failed.

#[allow(dead_code, reason = "the tests' own, of which not all is used here")]
#[path = "../../tests/it/common/client.rs"]
mod client;
mod counts;
mod honest;
#[path = "../../tests/it/common/hostile.rs"]
mod hostile;
mod service;

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use counts::Counts;
use honest::{Honest, SECRET};
use hostile::{Targets, exchange, statuses};
use service::Service;

const HONEST: u64 = 4;
const HOSTILE: u64 = 2;

/// How many connections slow clients have open.
const SLOW: usize = 40;

/// How often it is killed.
const BETWEEN_KILLS: Duration = Duration::from_secs(15);

/// The most memory that it may have, in kilobytes.
const MOST_MEMORY: u64 = 512 * 1024;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [minutes, program, store, samples] = arguments.as_slice() else {
        return Err("give MINUTES PROGRAM STORE SAMPLES".into());
    };
    let length = Duration::from_secs_f64(minutes.parse::<f64>()? * 60.0);
    let variables = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/variables.json");
    let names: HashMap<String, String> = serde_json::from_str(&fs::read_to_string(variables)?)?;
    let mut samples = File::create(samples)?;
    let service = Service::start(program, store)?;
    let counts = Counts::default();
    let (service, counts, names) = (&service, &counts, &names);

    let began = Instant::now();
    let is_over = move || began.elapsed() > length;
    thread::scope(|scope| {
        for seed in 0..HONEST {
            scope.spawn(move || Honest::new(service, counts, &names["B"], &names["TB"], seed).work(is_over));
        }
        for client in 0..HOSTILE {
            scope.spawn(move || be_hostile(service, counts, names, client, is_over));
        }
        scope.spawn(move || be_slow(service, counts, &names["TE"], is_over));
        scope.spawn(move || be_large(service, counts, &names["E"], &names["TE"], is_over));
        scope.spawn(move || {
            let mut next = BETWEEN_KILLS;
            while !is_over() {
                thread::sleep(Duration::from_millis(200));
                if service.has_ended() {
                    counts.fault("the process ended by itself");
                }
                if began.elapsed() > next {
                    next += BETWEEN_KILLS;
                    if let Err(error) = service.kill() {
                        counts.fault(&format!("it does not come back: {error}"));
                    }
                }
            }
        });
        while !is_over() {
            thread::sleep(Duration::from_secs(1));
            if let Some(line) = sample(service, counts, began) {
                let _ = samples.write_all(line.as_bytes());
            }
        }
    });
    service.stop()?;

    let memory = service.most_memory();
    if memory > MOST_MEMORY {
        counts.fault(&format!("{memory} kB of memory"));
    }
    print!("{counts}");
    println!("kills        {}", service.kills());
    println!("memory       {} MB at most", memory / 1024);
    Ok(if counts.are_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Seconds, kilobytes, handles, milliseconds that `/healthz` took; None while it is down.
fn sample(service: &Service, counts: &Counts, began: Instant) -> Option<String> {
    let kills = service.kills();
    let is_up = service.is_up();
    let asked = Instant::now();
    let answer = client::send(service.address, "GET", "/healthz", &[], None);
    let took = asked.elapsed().as_millis() as u64;
    if !is_up || !service.is_up() || service.kills() != kills {
        return None;
    }
    if !answer.is_ok_and(|answer| answer.status == 200) {
        counts.fault("/healthz does not answer");
    }
    counts.health(took);
    let held = service.held()?;
    Some(format!("{}\t{}\t{}\t{took}\n", began.elapsed().as_secs(), held.memory, held.handles))
}

/// Sends what nobody should send, from an account that may act on no honest client's.
fn be_hostile(
    service: &Service,
    counts: &Counts,
    names: &HashMap<String, String>,
    client: u64,
    is_over: impl Fn() -> bool,
) {
    let name = |name: &str| names[name].clone();
    let targets = Targets {
        own: (name("E"), name("UE")),
        token: name("TE"),
        other: (name("B"), name("UB")),
        other_token: name("TB"),
        foreign_token: name("TX"),
        ids: vec![name("UE"), name("UB"), "0a000000000000000000000000000001".to_owned(), format!("{client:032x}")],
    };
    let mut seed = client;
    while !is_over() {
        if !service.is_up() {
            thread::sleep(Duration::from_millis(20));
            continue;
        }
        seed += HOSTILE;
        let request = targets.request(seed);
        let what = || format!("HOSTILE_SEED={seed}: {:?}", String::from_utf8_lossy(&request.bytes));
        let kills = service.kills();
        let answer = exchange(service.address, &request).unwrap_or_default();
        let found = statuses(&answer);
        let is_the_same = service.is_up() && service.kills() == kills;
        if found.len() < request.answers && is_the_same {
            counts.fault(&format!("no answer to {}", what()));
        }
        if String::from_utf8_lossy(&answer).contains(SECRET) {
            counts.leaked(&what());
        }
        // of what is no HTTP nobody waits for an answer
        let status = found.iter().copied().max().or((request.answers == 0).then_some(400));
        counts.hostile(status, &what());
    }
}

/// Begins requests and says a byte of each a second.
fn be_slow(service: &Service, counts: &Counts, token: &str, is_over: impl Fn() -> bool) {
    let mut connections: Vec<TcpStream> = Vec::new();
    while !is_over() {
        thread::sleep(Duration::from_secs(1));
        connections.retain_mut(|connection| connection.write_all(b" ").is_ok());
        while connections.len() < SLOW && service.is_up() {
            let Ok(mut connection) = TcpStream::connect(service.address) else { break };
            let head = format!("PUT /v2/schemas/groups/validation HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\n");
            let length = if connections.len().is_multiple_of(2) { "Content-Length: 100000\r\n\r\n" } else { "X-Slow:" };
            if connection.write_all(format!("{head}{length}").as_bytes()).is_ok() {
                counts.slow();
                connections.push(connection);
            }
        }
    }
}

/// Writes and reads a group of several megabytes.
fn be_large(service: &Service, counts: &Counts, account: &str, token: &str, is_over: impl Fn() -> bool) {
    let groups = format!("/v2/accounts/{account}/groups");
    let group = format!("{groups}/large");
    let headers = [("X-Auth-Token", token), ("Content-Type", "application/json")];
    let send = |method: &str, path: &str, body: Option<String>| {
        let answer = client::send(service.address, method, path, &headers, body.as_deref().map(str::as_bytes));
        counts.large(answer.ok().map(|answer| answer.status));
    };
    let mut number = 0;
    while !is_over() {
        thread::sleep(Duration::from_secs(1));
        if !service.is_up() {
            continue;
        }
        number += 1;
        let parts = match number % 3 {
            0 => format!(r#""x":"{}""#, "x".repeat(7_000_000)),
            1 => format!(r#""x":[{}1]"#, "1,".repeat(2_000_000)),
            _ => format!(r#""x":{}"{}"{}"#, r#"{"a":"#.repeat(500), "x".repeat(6_000_000), "}".repeat(500)),
        };
        let body = format!(r#"{{"data":{{"id":"large","name":"large","endpoints":{{}},{parts}}}}}"#);
        send("PUT", &groups, Some(body.clone()));
        send("PATCH", &group, Some(body));
        send("GET", &format!("{group}?pretty_print=true"), None);
    }
}
