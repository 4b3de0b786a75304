//! Kazoo's times: gregorian seconds, which count from the year 0, and ISO 8601 in envelopes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The gregorian seconds of 1970-01-01T00:00:00Z.
const UNIX_EPOCH_IN_GREGORIAN_SECONDS: i64 = 62_167_219_200;

/// Seconds since 1970, as tokens' `exp` counts them.
pub fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Seconds since the year 0, as documents' `pvt_created` and `pvt_modified` count them.
pub fn gregorian_seconds(time: SystemTime) -> i64 {
    unix_seconds(time).saturating_add(UNIX_EPOCH_IN_GREGORIAN_SECONDS)
}

/// `2026-11-23T09:09:54Z`, as envelopes' `timestamp` has it.
pub fn iso8601(time: SystemTime) -> String {
    jiff::Timestamp::from_second(unix_seconds(time)).unwrap_or_default().strftime("%FT%TZ").to_string()
}

/// The same of gregorian seconds.
pub fn iso8601_of(gregorian_seconds: i64) -> String {
    let unix = gregorian_seconds.saturating_sub(UNIX_EPOCH_IN_GREGORIAN_SECONDS);
    jiff::Timestamp::from_second(unix).unwrap_or_default().strftime("%FT%TZ").to_string()
}

/// `202611`, of gregorian seconds: what databases of a month and their documents are named for.
pub fn year_and_month(gregorian_seconds: i64) -> String {
    let unix = gregorian_seconds.saturating_sub(UNIX_EPOCH_IN_GREGORIAN_SECONDS);
    jiff::Timestamp::from_second(unix).unwrap_or_default().strftime("%Y%m").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_in_each_form() {
        assert_eq!(gregorian_seconds(UNIX_EPOCH), 62_167_219_200);
        assert_eq!(iso8601(UNIX_EPOCH + Duration::from_secs(1_795_424_994)), "2026-11-23T09:09:54Z");
        assert_eq!(iso8601_of(62_167_219_200), "1970-01-01T00:00:00Z");
        assert_eq!(year_and_month(62_167_219_200), "197001");
    }
}
