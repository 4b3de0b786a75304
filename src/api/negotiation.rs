//! Which form an answer takes: JSON or CSV, and in which language it says it is.

use actix_web::HttpRequest;
use actix_web::http::header::{ACCEPT, ACCEPT_LANGUAGE, Accept, Header, Quality, QualityItem};
use actix_web::mime::{Mime, TEXT_EVENT_STREAM};

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

/// How many media ranges of a request are looked at: each is put in its place among all before it.
const MOST_RANGES: usize = 100;

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

/// Whether a request prefers a stream of events to every form that Kazoo gives. Where it likes one as well it is given that,
/// as by Kazoo.
pub fn wants_events(request: &HttpRequest) -> bool {
    if !request.headers().contains_key(ACCEPT) {
        return false;
    }
    let Ok(accept) = Accept::parse(request) else { return false };
    let best = |fits: fn(&QualityItem<Mime>) -> bool| {
        accept.iter().take(MOST_RANGES).filter(|media| fits(media)).map(|media| media.quality).max()
    };
    best(is_events) > best(|media| of_media_type(media.item.essence_str()).is_some())
}

fn is_events(media: &QualityItem<Mime>) -> bool {
    media.item.essence_str() == TEXT_EVENT_STREAM.essence_str() && media.quality > Quality::ZERO
}

fn by_header(request: &HttpRequest) -> Result<Format, Error> {
    if !request.headers().contains_key(ACCEPT) {
        return Ok(Format::Json);
    }
    // a header that can't be read says nothing
    let Ok(accept) = Accept::parse(request) else { return Ok(Format::Json) };
    let preferred = ranked(&accept);
    if preferred.is_empty() {
        return Ok(Format::Json);
    }
    preferred.iter().find_map(|media| of_media_type(media.item.essence_str())).ok_or(Error::NotAcceptable)
}

/// Media ranges in the order in which Cowboy tries them: it sorts them by a relation that is no order, so that of
/// several with the same quality, none of which is more precise than another of its type, the last one goes first.
fn ranked(accept: &Accept) -> Vec<&QualityItem<Mime>> {
    let mut ranked: Vec<&QualityItem<Mime>> = Vec::new();
    for range in accept.iter().take(MOST_RANGES) {
        let at = ranked.iter().position(|before| !goes_before(before, range)).unwrap_or(ranked.len());
        ranked.insert(at, range);
    }
    ranked
}

/// Cowboy's `prioritize_accept`.
fn goes_before(one: &QualityItem<Mime>, other: &QualityItem<Mime>) -> bool {
    if one.quality != other.quality {
        return one.quality > other.quality;
    }
    let one = &one.item;
    let other = &other.item;
    match one.type_() == other.type_() {
        true if one.subtype() == other.subtype() => one.params().count() > other.params().count(),
        true => other.subtype() == "*",
        false => other.type_() == "*",
    }
}

/// The language that an answer says it is in: English, or the first that the client names, whichever it prefers.
pub fn language(request: &HttpRequest) -> String {
    const DEFAULT: &str = "en";
    let header = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let tags = header.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next()?.to_ascii_lowercase();
        let is_tag = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        is_tag.then_some((tag, quality))
    });
    let tags: Vec<(String, f32)> = tags.collect();
    let Some((first, quality)) = tags.first().cloned() else { return DEFAULT.to_owned() };
    let is_english_preferred = tags.iter().any(|(tag, of)| tag == DEFAULT && *of > quality);
    if is_english_preferred { DEFAULT.to_owned() } else { first }
}

fn of_media_type(text: &str) -> Option<Format> {
    let (main, sub) = text.split_once('/')?;
    let fits = |(provided_main, provided_sub, _): &&(&str, &str, Format)| {
        (main == "*" || main == *provided_main) && (sub == "*" || sub == *provided_sub)
    };
    PROVIDED.iter().find(fits).map(|(_, _, format)| *format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn the_last_of_equal_ranges_goes_first() {
        let format = |accept: &str| {
            let request = TestRequest::default().insert_header((ACCEPT, accept)).to_http_request();
            format(&request, None).unwrap()
        };
        for accept in [
            "text/csv, application/json",
            "text/csv;q=0.5, application/json;q=0.5",
            "application/json, text/plain, */*",
            "application/json, text/csv, application/*",
            "text/csv;q=0.4, application/json",
            "*/*",
        ] {
            assert_eq!(format(accept), Format::Json, "{accept}");
        }
        for accept in
            ["application/json, text/csv", "*/*, text/csv", "application/*, text/csv", "application/json, text/*"]
        {
            assert_eq!(format(accept), Format::Csv, "{accept}");
        }
    }

    #[test]
    fn only_the_first_hundred_ranges_count() {
        let format = |before: usize| {
            let accept = format!("{}text/csv", "text/plain;q=0.9,".repeat(before));
            let request = TestRequest::default().insert_header((ACCEPT, accept)).to_http_request();
            format(&request, None).ok()
        };
        assert_eq!(format(99), Some(Format::Csv));
        assert_eq!(format(100), None);
    }

    #[test]
    fn events_are_for_who_prefers_them() {
        let wants = |accept: &str| {
            let request = TestRequest::default().insert_header((ACCEPT, accept)).to_http_request();
            wants_events(&request)
        };
        for accept in [
            "text/event-stream",
            "text/event-stream, application/json;q=0.5",
            "text/event-stream, */*;q=0.1",
            "image/png, text/event-stream;q=0.5",
        ] {
            assert!(wants(accept), "{accept}");
        }
        for accept in
            ["*/*", "text/*", "text/event-stream;q=0", "application/json, text/event-stream", "*/*, text/event-stream"]
        {
            assert!(!wants(accept), "{accept}");
        }
        for accept in ["", "image/png", "text/csv;q=0.9, text/event-stream;q=0.8"] {
            assert!(!wants(accept), "{accept}");
        }
        assert!(!wants_events(&TestRequest::default().to_http_request()));
    }

    #[test]
    fn languages() {
        for (accept, language) in
            [("", "en"), ("de", "de"), ("de-CH, en;q=0.9", "de-ch"), ("fr;q=0.5, en", "en"), ("*", "en"), ("<x>", "en")]
        {
            let request = TestRequest::default().insert_header((ACCEPT_LANGUAGE, accept)).to_http_request();
            assert_eq!(super::language(&request), language, "{accept}");
        }
    }
}
