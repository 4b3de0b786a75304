//! Conditional requests: `If-Match` and `If-None-Match`, as RFC 9110 has them.

use actix_web::HttpRequest;
use actix_web::http::header::{EntityTag, Header, IF_MATCH, IF_NONE_MATCH, IfMatch, IfNoneMatch};

use super::coding::Coding;
use super::error::Error;

/// The conditions of a request.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

#[derive(Debug, Clone)]
enum Tags {
    Any,
    Of(Vec<EntityTag>),
}

/// Whether a request's conditions hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// They do.
    Yes,
    /// The client has what it asks for.
    NotModified,
    /// They don't: the request must not be done.
    No,
}

impl Conditions {
    /// Reads a request's conditions. An `If-Match` that can't be read matches nothing; such an `If-None-Match` is as
    /// if it were not there.
    pub fn of(request: &HttpRequest) -> Self {
        let has = |name| request.headers().contains_key(name);
        let if_match = has(IF_MATCH).then(|| match IfMatch::parse(request) {
            Ok(IfMatch::Any) => Tags::Any,
            Ok(IfMatch::Items(tags)) => Tags::Of(tags),
            Err(_) => Tags::Of(Vec::new()),
        });
        let if_none_match = has(IF_NONE_MATCH).then(|| match IfNoneMatch::parse(request) {
            Ok(IfNoneMatch::Any) => Tags::Any,
            Ok(IfNoneMatch::Items(tags)) => Tags::Of(tags),
            Err(_) => Tags::Of(Vec::new()),
        });
        Self { if_match, if_none_match }
    }

    /// Whether the conditions hold for what has this ETag now (without quotes; None: it has none). Who has it in another
    /// coding has it too.
    pub fn met(&self, etag: Option<&str>, reads: bool) -> Met {
        let is_it = |tag: &EntityTag| Some(Coding::without(tag.tag())) == etag;
        let matches = match &self.if_match {
            None | Some(Tags::Any) => true,
            Some(Tags::Of(tags)) => tags.iter().any(|tag| !tag.weak && is_it(tag)),
        };
        let seen = match &self.if_none_match {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::Of(tags)) => tags.iter().any(is_it),
        };
        match (matches, seen) {
            (true, false) => Met::Yes,
            (true, true) if reads => Met::NotModified,
            (true, true) | (false, _) => Met::No,
        }
    }

    /// By which ETag the client has what has this one now.
    pub fn known_as<'t>(&'t self, etag: &'t str) -> &'t str {
        let tags = match &self.if_none_match {
            Some(Tags::Of(tags)) => tags.as_slice(),
            None | Some(Tags::Any) => &[],
        };
        tags.iter().map(EntityTag::tag).find(|tag| Coding::without(tag) == etag).unwrap_or(etag)
    }

    /// Whether a document of this revision may be written over.
    ///
    /// Errors: [`Error::PreconditionFailed`].
    pub fn allow_writing(&self, revision: &str) -> Result<(), Error> {
        if self.met(Some(revision), false) == Met::Yes { Ok(()) } else { Err(Error::PreconditionFailed) }
    }

    /// Whether something may be created. `If-Match` wants what is not there yet.
    ///
    /// Errors: [`Error::PreconditionFailed`].
    pub fn allow_creating(&self) -> Result<(), Error> {
        if self.if_match.is_none() { Ok(()) } else { Err(Error::PreconditionFailed) }
    }

    /// Whether the client said which revision it changes.
    pub fn names_a_revision(&self) -> bool {
        matches!(self.if_match, Some(Tags::Of(_)))
    }
}
