//! What a request asks to be done.

use std::fmt;

/// A verb: a request's method, or what is sent in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// To be shown something.
    Get,
    /// To have something replaced.
    Post,
    /// To have something created.
    Put,
    /// To have something deleted.
    Delete,
    /// To be shown what [`Verb::Get`] would show, without its body.
    Head,
    /// To have something changed.
    Patch,
    /// To learn which verbs there are.
    Options,
}

impl Verb {
    /// All of them, in the order in which Kazoo names them.
    pub const ALL: &'static [Self] =
        &[Self::Get, Self::Post, Self::Put, Self::Delete, Self::Head, Self::Patch, Self::Options];

    /// The verb of a name; None if there is no such verb.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|verb| verb.name() == name)
    }

    /// Its name, as HTTP has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
        }
    }

    /// What is to be done: to ask for the head of an answer is to ask for the answer.
    pub fn done(self) -> Self {
        if self == Self::Head { Self::Get } else { self }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
