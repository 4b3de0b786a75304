//! What `scripts/bench` needs beside a shell and wrk:
//!
//!     data FOLDER SET SALT ACCOUNTS GROUPS ENDPOINTS PEOPLE   makes dump files, see data.rs
//!     bare                                                    an HTTP server that has its answers ready
//!     disk FOLDER SECONDS                                     what durable writes the disk takes
//!     port                                                    a port that nobody listens on
//!     start PROGRAM STORE PATH TOKEN                          milliseconds from start to first answer
//!     seen URL URL PATH TOKEN TIMES                           milliseconds until what is written at one is seen at another
//!     table RAW | tsv RAW | chart RAW FILE | check RAW TSV    what came of it, see results.rs

mod bare;
mod chart;
mod data;
mod disk;
mod results;
mod seen;
mod start;

use std::env;
use std::error::Error;
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;

use results::Results;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["data", folder, set, salt, accounts, groups, endpoints, people] => data::Set {
            name: set,
            salt: salt.parse()?,
            accounts: accounts.parse()?,
            groups: groups.parse()?,
            endpoints: endpoints.parse()?,
            people: people.parse()?,
        }
        .write(Path::new(folder))?,
        ["bare"] => bare::serve()?,
        ["disk", folder, seconds] => println!("{}", disk::writes(Path::new(folder), seconds.parse()?)?),
        ["port"] => println!("{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()),
        ["start", program, store, path, token] => println!("{:.1}", start::milliseconds(program, store, path, token)?),
        ["seen", writes_at, reads_at, path, token, times] => {
            let [median, most_of_all, most] = seen::milliseconds(writes_at, reads_at, path, token, times.parse()?)?;
            println!("{median:.1} {most_of_all:.1} {most:.1}");
        }
        ["table", raw] => print!("{}", Results::read(Path::new(raw))?.table()),
        ["tsv", raw] => print!("{}", Results::read(Path::new(raw))?.tsv()),
        ["chart", raw, file] => chart::draw(&Results::read(Path::new(raw))?, Path::new(file))?,
        ["check", raw, recorded] => {
            let fallen = Results::read(Path::new(raw))?.fallen_below(Path::new(recorded))?;
            print!("{fallen}");
            return Ok(if fallen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        _ => return Err("what is it to do? src/main.rs says what it can".into()),
    }
    Ok(ExitCode::SUCCESS)
}
