//! Which coding a client wants.

use actix_web::http::header::{ACCEPT_ENCODING, HeaderMap, Quality};

use super::Coding;

/// The coding that a request's headers prefer to none, of several equally preferred ones that which costs least; None if
/// they name no coding that there is. `*` names none: who takes anything can read what is sent as it is.
pub fn accepted(headers: &HeaderMap) -> Option<Coding> {
    let named = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    let ranges: Vec<(&str, Quality)> = named.flat_map(|value| value.split(',')).map(range).collect();
    let wanted = |name: &str| {
        let found = ranges.iter().find(|(of, _)| of.eq_ignore_ascii_case(name));
        found.map_or(Quality::ZERO, |(_, quality)| *quality)
    };
    let as_it_is = wanted("identity");
    let offered = Coding::ALL.into_iter().map(|coding| (wanted(coding.name()), coding));
    let taken = offered.filter(|(quality, _)| *quality > Quality::ZERO && *quality >= as_it_is);
    // of equal ones it gives the last
    taken.rev().max_by_key(|(quality, _)| *quality).map(|(_, coding)| coding)
}

/// The name of a range, and how much it is wanted; what can't be read is not wanted.
fn range(text: &str) -> (&str, Quality) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let said = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().ok())
    });
    let read = |value: Option<f32>| Quality::try_from(value?).ok();
    (name, said.map_or(Quality::MAX, |value| read(value).unwrap_or(Quality::ZERO)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn what_is_preferred_is_taken() {
        for (header, name) in [
            ("", None),
            ("gzip", Some("gzip")),
            ("GZip", Some("gzip")),
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip, deflate, br", Some("br")),
            ("gzip;q=1.0, br;q=0.8, zstd;q=0.1", Some("gzip")),
            ("br;q=0.5,gzip;q=0.5 , zstd; q=0", Some("br")),
            ("gzip;q=0", None),
            ("gzip;q=x", None),
            ("gzip;q=NaN", None),
            ("gzip;q=2", None),
            ("gzip;Q=0", None),
            ("gzip;q=0.5, identity", None),
            ("gzip;q=0.5, identity;q=0.5", Some("gzip")),
            ("identity;q=0, gzip;q=0.001", Some("gzip")),
            ("*", None),
            ("deflate, compress", None),
            ("*;q=0, br", Some("br")),
        ] {
            let request = TestRequest::default().insert_header((ACCEPT_ENCODING, header)).to_http_request();
            assert_eq!(accepted(request.headers()).map(Coding::name), name, "{header}");
        }
        let two =
            TestRequest::default().append_header((ACCEPT_ENCODING, "br")).append_header((ACCEPT_ENCODING, "gzip"));
        assert_eq!(accepted(two.to_http_request().headers()), Some(Coding::Brotli));
        assert_eq!(accepted(TestRequest::default().to_http_request().headers()), None);
    }
}
