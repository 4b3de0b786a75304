//! What is wrong with a plan's file.

use std::fmt;

use serde::Serialize;

use crate::near::nearest;

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The line of the file, from 1; 0 if it is of no line.
    pub line: usize,
    /// What is wrong.
    #[serde(rename = "problem")]
    pub text: String,
}

impl Problem {
    /// Something that is wrong with a line.
    pub fn new(line: usize, text: impl Into<String>) -> Self {
        Self { line, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.text),
            line => write!(f, "line {line}: {}", self.text),
        }
    }
}

/// All that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problems {
    /// By line.
    pub problems: Vec<Problem>,
}

impl Problems {
    /// In the order of their lines.
    pub fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        Self { problems }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problems.iter().try_for_each(|problem| writeln!(f, "{problem}"))?;
        writeln!(f, "nothing was written")
    }
}

/// What a name finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// One.
    One(T),
    /// None; the name that is nearest to it, if one is near.
    None(Option<String>),
    /// More than one, each as it is told from the others.
    Many(Vec<String>),
}

impl<T> Found<T> {
    /// None of these names.
    pub fn missing<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Self {
        Self::None(nearest(name, names).map(str::to_owned))
    }

    /// What was found.
    ///
    /// Errors: nothing was, or more than one.
    pub fn one(self, line: usize, what: &str, name: &str, place: &str) -> Result<T, Problem> {
        match self {
            Self::One(found) => Ok(found),
            Self::None(None) => Err(Problem::new(line, format!("there is no {what} {name:?}{place}"))),
            Self::None(Some(nearest)) => {
                Err(Problem::new(line, format!("there is no {what} {name:?}{place}; the nearest is {nearest:?}")))
            }
            Self::Many(all) => {
                let all = all.join(", ");
                Err(Problem::new(line, format!("{name:?} is more than one {what}{place}: {all}; give the id")))
            }
        }
    }
}
