//! Values that several commands take: addresses, lengths of time, numbers.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::builder::RangedU64ValueParser;

/// The longest that anything may be set to last.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// An address to listen on, whose host may be a name: the first address that it has.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let is_pair = !host.is_empty() && port.parse::<u16>().is_ok();
    if !is_pair {
        return Err("give ADDRESS:PORT, as 127.0.0.1:8000, [::1]:8000, 0.0.0.0:8000 or localhost:8000".to_owned());
    }
    let found = text.to_socket_addrs().map_err(|_| format!("this machine knows no {host}: give its address"))?;
    found.into_iter().next().ok_or_else(|| format!("{host} has no address"))
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    duration(text, "seconds", 1.0)
}

pub(super) fn milliseconds(text: &str) -> Result<Duration, String> {
    duration(text, "milliseconds", 1_000.0)
}

fn duration(text: &str, unit: &str, in_a_second: f64) -> Result<Duration, String> {
    let most = A_DAY.as_secs_f64() * in_a_second;
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=most).contains(number));
    let number = number.ok_or_else(|| format!("give a number of {unit}, at most {most}: a day"))?;
    Ok(Duration::from_secs_f64(number / in_a_second))
}

pub(crate) fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}
