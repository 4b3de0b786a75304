//! A path, a query, and a document that the query's filters look at: no encoding of a path changes what it names, a filter
//! has one answer, and a start key is what it encodes.

#![no_main]

use std::fmt::Write;

use crossbar_groups::api::fuzzing::{Path, parameters};
use crossbar_groups::document::Document;
use crossbar_groups::kazoo::erlang::Term;
use crossbar_groups::kazoo::filter::Filter;
use crossbar_groups::kazoo::page::PageSize;
use crossbar_groups_fuzz::{object, parts};
use libfuzzer_sys::fuzz_target;

/// A path whose every byte after the version is percent-encoded.
fn encoded(path: &str) -> String {
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
    let mut encoded = format!("/{}", segments.next().unwrap_or_default());
    for segment in segments {
        encoded.push('/');
        let mut bytes = segment.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => encoded.extend(['%'].into_iter().chain(bytes.by_ref().take(2).map(char::from))),
                byte => write!(encoded, "%{byte:02x}").unwrap(),
            }
        }
    }
    encoded
}

fuzz_target!(|input: &[u8]| {
    let [url, document] = parts(input);
    let Ok(url) = std::str::from_utf8(url) else { return };
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    if let Ok(Some(read)) = Path::parse(path) {
        assert_eq!(Path::parse(&encoded(path)).unwrap(), Some(read));
    }

    let parameters = parameters(query);
    let filter = |not: bool| {
        let turned = parameters.iter().map(|(key, value)| match key.strip_prefix("filter_").filter(|_| not) {
            Some(path) => (format!("filter_not_{path}"), value.as_deref()),
            None => (key.clone(), value.as_deref()),
        });
        let turned: Vec<_> = turned.collect();
        Filter::of_query(turned.iter().map(|(key, value)| (key.as_str(), *value)), usize::MAX).unwrap_or_default()
    };
    let document = object(document).unwrap_or_default();
    let accepts = filter(false).accepts(&document);
    assert_eq!(filter(false).accepts(&Document::parse(&document.to_json()).unwrap()), accepts);
    assert!(
        !parameters.iter().any(|(key, _)| key.starts_with("filter_") && !key.starts_with("filter_not_"))
            || !accepts
            || !filter(true).accepts(&document),
        "a value is what it is not"
    );

    for text in parameters.iter().filter_map(|(_, value)| value.as_deref()) {
        assert_eq!(Term::decode(&Term::decode(text).encode()), Term::decode(text));
        assert!(PageSize::of_text(Some(text), PageSize::DEFAULT).get() > 0);
    }
});
