//! What was measured, of lines that `scripts/bench` writes, with tabs between:
//!
//!     rate WHO REQUEST REQUESTS_A_SECOND P50 P99     microseconds; once for each round, of which the median counts
//!     memory WHO REQUEST REST PEAK                   kilobytes
//!     fact NAME VALUE UNIT
//!
//! WHO is a store that the service is before (`embedded`, `couchdb`, `following`; `apart` is a CouchDB that has a processor of
//! its own), or what that is compared with: `bare`, and below the service `direct` (the CouchDB; `beside`, where it is apart)
//! or `disk`; or `carried`, the CouchDB behind a haproxy that does nothing.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

/// Those that nothing is below.
const COMPARED_WITH: [&str; 4] = ["bare", "direct", "beside", "disk"];

/// The part of a recorded ratio that must be reached again.
const ENOUGH: f64 = 0.9;

/// All that was measured.
#[derive(Default)]
pub struct Results {
    pub rows: Vec<Row>,
    facts: Vec<[String; 3]>,
}

/// A request to the service before a store.
pub struct Row {
    pub store: String,
    pub request: String,
    pub rate: f64,
    /// Microseconds.
    p50: f64,
    p99: f64,
    /// What the bare server gave.
    pub bare: Option<f64>,
    /// What the CouchDB itself gave, or of what is written the disk.
    pub below: Option<f64>,
    /// Kilobytes.
    rest: f64,
    peak: f64,
}

impl Row {
    /// To the bare server, and to what is below.
    fn ratios(&self) -> [Option<f64>; 2] {
        [self.bare, self.below].map(|compared| Some(self.rate / compared?))
    }
}

impl Results {
    pub fn read(raw: &Path) -> io::Result<Self> {
        let mut results = Self::default();
        let mut order: Vec<(String, String)> = Vec::new();
        let mut rates: HashMap<(String, String), Vec<[f64; 3]>> = HashMap::new();
        let mut memory: HashMap<(String, String), [f64; 2]> = HashMap::new();
        for line in fs::read_to_string(raw)?.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            match fields.as_slice() {
                ["rate", who, request, measured @ ..] => {
                    let key = ((*who).to_owned(), (*request).to_owned());
                    if !rates.contains_key(&key) {
                        order.push(key.clone());
                    }
                    rates.entry(key).or_default().push(numbers(measured)?);
                }
                ["memory", who, request, measured @ ..] => {
                    memory.insert(((*who).to_owned(), (*request).to_owned()), numbers(measured)?);
                }
                ["fact", name, value, unit] => results.facts.push([*name, *value, *unit].map(str::to_owned)),
                _ => return Err(io::Error::other(format!("no result: {line}"))),
            }
        }
        let of = |who: &str, request: &str| {
            let rounds = rates.get(&(who.to_owned(), request.to_owned()))?;
            Some([0, 1, 2].map(|field| median(rounds.iter().map(|round| round[field]).collect())))
        };
        for (store, request) in order {
            if COMPARED_WITH.contains(&store.as_str()) {
                continue;
            }
            let [rate, p50, p99] = of(&store, &request).unwrap_or_default();
            let (bare, below) = match store.as_str() {
                "embedded" => (Some("bare"), "disk"),
                // the bare server had all processors
                "apart" => (None, "beside"),
                _ => (Some("bare"), "direct"),
            };
            let rate_of = |who| of(who, &request).map(|[rate, ..]| rate);
            let (bare, below) = (bare.and_then(rate_of), rate_of(below));
            let [rest, peak] = memory.get(&(store.clone(), request.clone())).copied().unwrap_or_default();
            results.rows.push(Row { store, request, rate, p50, p99, bare, below, rest, peak });
        }
        // a store's rows stand together, in the order in which they were measured
        results.rows.sort_by_key(|row| {
            ["embedded", "carried", "couchdb", "apart", "following"].iter().position(|store| row.store == *store)
        });
        results.compare_growth();
        Ok(results)
    }

    /// A request whose name goes on with ` (` is the one of that name in a larger account, asked at another time: what
    /// the bare server gave at either time tells how fast the machine was.
    fn compare_growth(&mut self) {
        for row in &self.rows {
            let Some((name, _)) = row.request.split_once(" (") else { continue };
            let smaller = self.rows.iter().find(|smaller| smaller.store == row.store && smaller.request == name);
            if let Some([Some(smaller), Some(larger)]) = smaller.map(|smaller| [smaller.ratios()[0], row.ratios()[0]]) {
                let times = format!("{:.2}", smaller / larger);
                self.facts.push([format!("{}: {}", row.store, row.request), times, "times as long".to_owned()]);
            }
        }
    }

    /// For people: Markdown.
    pub fn table(&self) -> String {
        let mut lines = vec![
            ["store", "request", "req/s", "p50 ms", "p99 ms", "bare", "ratio", "below", "ratio", "rest MB", "peak MB"]
                .map(str::to_owned),
        ];
        for row in &self.rows {
            let [to_bare, to_below] = row.ratios().map(|ratio| figure(ratio, if ratio < Some(0.01) { 4 } else { 3 }));
            lines.push([
                row.store.clone(),
                row.request.clone(),
                figure(Some(row.rate), 0),
                figure(Some(row.p50 / 1000.0), 2),
                figure(Some(row.p99 / 1000.0), 2),
                figure(row.bare, 0),
                to_bare,
                figure(row.below, 0),
                to_below,
                figure(Some(row.rest / 1024.0), 0),
                figure(Some(row.peak / 1024.0), 0),
            ]);
        }
        let mut table = aligned(&lines);
        for [name, value, unit] in &self.facts {
            let _ = writeln!(table, "{}- {name}: {value} {unit}", if table.ends_with("|\n") { "\n" } else { "" });
        }
        table
    }

    /// For programs.
    pub fn tsv(&self) -> String {
        let mut tsv = "store\trequest\trate\tp50_us\tp99_us\tto_bare\tto_below\trest_kb\tpeak_kb\n".to_owned();
        for row in &self.rows {
            let Row { store, request, rate, p50, p99, rest, peak, .. } = row;
            let [to_bare, to_below] = row.ratios().map(|ratio| figure(ratio, 6));
            let _ = writeln!(
                tsv,
                "{store}\t{request}\t{rate:.1}\t{p50:.0}\t{p99:.0}\t{to_bare}\t{to_below}\t{rest:.0}\t{peak:.0}"
            );
        }
        for [name, value, unit] in &self.facts {
            let _ = writeln!(tsv, "fact\t{name}\t{value}\t{unit}");
        }
        tsv
    }

    /// A line for each ratio that is below nine tenths of the recorded one.
    pub fn fallen_below(&self, recorded: &Path) -> io::Result<String> {
        let recorded = fs::read_to_string(recorded)?;
        let mut fallen = String::new();
        for line in recorded.lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [store, request, _, _, _, to_bare, to_below, ..] = fields.as_slice() else { continue };
            let row = self.rows.iter().find(|row| row.store == *store && row.request == *request);
            let Some(row) = row else { continue };
            for (to, recorded, now) in [("bare", to_bare, row.ratios()[0]), ("below", to_below, row.ratios()[1])] {
                let (Ok(recorded), Some(now)) = (recorded.parse::<f64>(), now) else { continue };
                if now < recorded * ENOUGH {
                    let _ = writeln!(fallen, "{store}, {request}: {now:.3} of {to}, was {recorded:.3}");
                }
            }
        }
        Ok(fallen)
    }
}

fn numbers<const N: usize>(fields: &[&str]) -> io::Result<[f64; N]> {
    let numbers: Result<Vec<f64>, _> = fields.iter().map(|field| field.parse()).collect();
    numbers
        .ok()
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| io::Error::other(format!("no numbers: {fields:?}")))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (middle, is_odd) = (values.len() / 2, values.len() % 2 == 1);
    if is_odd { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// A number with so many places; a small one that would have none has one.
fn figure(number: Option<f64>, places: usize) -> String {
    number.map_or_else(String::new, |number| match places {
        0 if number < 10.0 => format!("{number:.1}"),
        _ => format!("{number:.places$}"),
    })
}

/// A table whose first line is its head, and whose first two columns are texts.
fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let mut table = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, field) in line.iter().enumerate() {
            let width = widths[column];
            let _ = if column < 2 { write!(table, "| {field:<width$} ") } else { write!(table, "| {field:>width$} ") };
        }
        table.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(*width);
                let _ = if column < 2 { write!(table, "| {dashes} ") } else { write!(table, "| {}: ", &dashes[1..]) };
            }
            table.push_str("|\n");
        }
    }
    table
}
