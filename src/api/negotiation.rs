//! Which form an answer takes: JSON or CSV.

use actix_web::HttpRequest;
use actix_web::http::header::{ACCEPT, Accept, Header};

use super::error::Error;

/// The form of an answer's data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// An envelope.
    #[default]
    Json,
    /// A table.
    Csv,
}

/// What Kazoo gives, in its order: the first that fits is taken.
const PROVIDED: [(&str, &str, Format); 5] = [
    ("application", "json", Format::Json),
    ("application", "x-json", Format::Json),
    ("application", "octet-stream", Format::Csv),
    ("text", "csv", Format::Csv),
    ("text", "comma-separated-values", Format::Csv),
];

/// The form that a request accepts. `accept` in the query goes before the header, but does not replace it.
///
/// Errors: [`Error::NotAcceptable`] if the header names no form that there is.
pub fn format(request: &HttpRequest, in_query: Option<&str>) -> Result<Format, Error> {
    let by_header = by_header(request)?;
    Ok(match in_query {
        Some("csv") => Format::Csv,
        Some(media_type) => of_media_type(media_type).unwrap_or(by_header),
        None => by_header,
    })
}

fn by_header(request: &HttpRequest) -> Result<Format, Error> {
    if !request.headers().contains_key(ACCEPT) {
        return Ok(Format::Json);
    }
    // a header that can't be read says nothing
    let Ok(accept) = Accept::parse(request) else { return Ok(Format::Json) };
    let preferred = accept.ranked();
    if preferred.is_empty() {
        return Ok(Format::Json);
    }
    preferred.iter().find_map(|media| of_media_type(media.essence_str())).ok_or(Error::NotAcceptable)
}

fn of_media_type(text: &str) -> Option<Format> {
    let (main, sub) = text.split_once('/')?;
    let fits = |(provided_main, provided_sub, _): &&(&str, &str, Format)| {
        (main == "*" || main == *provided_main) && (sub == "*" || sub == *provided_sub)
    };
    PROVIDED.iter().find(fits).map(|(_, _, format)| *format)
}
