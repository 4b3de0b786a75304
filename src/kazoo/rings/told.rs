//! What rings as people are told: with the names of devices and users.

use std::fmt;

use serde::Serialize;

use super::super::documents::Called;
use super::{Dropped, Failure, Reading, Ring, Rings, Why};

/// [`Rings`] with names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    rings: Vec<NamedRing>,
    dropped: Vec<NamedDropped>,
    failure: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct NamedRing {
    id: String,
    name: Option<String>,
    user: Option<String>,
    user_name: Option<String>,
    delay: i64,
    timeout: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct NamedDropped {
    id: String,
    name: Option<String>,
    why: Why,
}

impl Told {
    /// What rings, with the names of the documents that were read.
    pub fn of(reading: &Reading, rings: Rings) -> Self {
        let named = |Ring { id, user, delay, timeout }| NamedRing {
            name: reading.name(&id),
            user_name: user.as_deref().and_then(|user| reading.name(user)),
            id,
            user,
            delay,
            timeout,
        };
        let left_out = |Dropped { id, why }| NamedDropped { name: reading.name(&id), id, why };
        Self {
            rings: rings.rings.into_iter().map(named).collect(),
            dropped: rings.dropped.into_iter().map(left_out).collect(),
            failure: rings.failure,
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for NamedRing { id, name, user, user_name, delay, timeout } in &self.rings {
            write!(f, "rings {}", Called(id, name.as_deref()))?;
            if let Some(user) = user {
                write!(f, " of {}", Called(user, user_name.as_deref()))?;
            }
            if *delay > 0 {
                write!(f, ", after {delay} s")?;
            }
            match timeout {
                Some(timeout) => writeln!(f, ", for {timeout} s")?,
                None => writeln!(f)?,
            }
        }
        for NamedDropped { id, name, why } in &self.dropped {
            writeln!(f, "left out {}: {why}", Called(id, name.as_deref()))?;
        }
        match self.failure {
            Some(failure) => writeln!(f, "{failure}"),
            None => Ok(()),
        }
    }
}
