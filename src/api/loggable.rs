//! What of a request its line in the log says, made into a text only where it is logged.

use std::fmt;

/// A path as it may be logged: Kazoo's clients also put tokens into paths, which are longer than any id.
pub struct LoggablePath<'p>(pub &'p str);

impl fmt::Display for LoggablePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 64;
        for (at, segment) in self.0.split('/').enumerate() {
            f.write_str(if at == 0 { "" } else { "/" })?;
            match segment {
                segment if segment.len() > LONGEST => f.write_str("…")?,
                // what nearly all are is looked at bytewise
                segment if segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
                    f.write_str(segment)?;
                }
                segment => segment.escape_debug().fmt(f)?,
            }
        }
        Ok(())
    }
}

/// What is there, or a dash.
pub struct OrDash<T>(pub Option<T>);

impl<T: fmt::Display> fmt::Display for OrDash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(it) => it.fmt(f),
            None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logged_path_has_no_token_and_no_line_break() {
        let logged = |path: &str| LoggablePath(path).to_string();
        assert_eq!(logged("/v2/accounts/3b4563ea/groups/"), "/v2/accounts/3b4563ea/groups/");
        assert_eq!(logged(&format!("/v2/user_auth/{}/x", "t".repeat(65))), "/v2/user_auth/…/x");
        assert_eq!(logged("/a\nb/\"c\"-d"), "/a\\nb/\\\"c\\\"-d");
        assert_eq!(OrDash(Some(5)).to_string() + &OrDash(None::<u8>).to_string(), "5-");
    }
}
