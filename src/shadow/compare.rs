//! Whether two answers to the same request say the same.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

use super::{Part, Skip};

/// What of an envelope is of one answer alone: who answered, when, and whom. That it is there is compared.
pub const VOLATILE: [&str; 5] = ["auth_token", "node", "request_id", "timestamp", "version"];

/// The headers that matter to a client. What else there is differs by server and time, or as *Differences* says.
pub const HEADERS: [&str; 7] = [
    "content-type",
    "content-disposition",
    "etag",
    "location",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-expose-headers",
];

/// The most differences that are looked for.
const MOST: usize = 100;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, by names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body, in no coding.
    pub body: Bytes,
}

/// Where two answers differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In which part.
    pub part: Part,
    /// Where: `status`, a header's name, or a JSON pointer into the body.
    pub place: String,
    /// What the upstream says; None: nothing.
    pub theirs: Option<String>,
    /// What we say.
    pub ours: Option<String>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is in a coding.
    pub fn is_coded(&self) -> bool {
        self.header("content-encoding").is_some()
    }

    /// The answer without its coding; `most` is how many bytes it may have then.
    ///
    /// Errors: it is in one that we don't read, or too long.
    pub fn decoded(mut self, most: usize) -> Result<Self, Skip> {
        match self.header("content-encoding") {
            None | Some("identity") => {}
            Some("gzip") if self.body.is_empty() => {}
            Some("gzip") => {
                let mut plain = Vec::new();
                let read = MultiGzDecoder::new(&*self.body).take(most as u64 + 1).read_to_end(&mut plain);
                read.map_err(|_| Skip::Coded)?;
                self.body = plain.into();
            }
            Some(_) => return Err(Skip::Coded),
        }
        if self.body.len() > most { Err(Skip::Large) } else { Ok(self) }
    }

    /// The envelope, and the function that it is wrapped in; None if the body is none.
    pub fn envelope(&self) -> Option<(Map<String, Value>, &str)> {
        let text = std::str::from_utf8(&self.body).ok()?.trim_end();
        let (function, json) = match text.strip_suffix(");").filter(|_| !text.starts_with('{')) {
            Some(call) => call.split_once('(')?,
            None => ("", text),
        };
        Some((serde_json::from_str(json).ok()?, function))
    }

    /// Whether what it shows is a list.
    pub fn is_list(&self) -> bool {
        self.envelope().is_some_and(|(envelope, _)| envelope.get("data").is_some_and(Value::is_array))
    }
}

/// Where our answer differs from the upstream's; nothing where both say the same. Where the status differs it says all.
pub fn differences(theirs: &Answer, ours: &Answer) -> Vec<Difference> {
    let mut found = Found(Vec::new());
    if theirs.status != ours.status {
        found.add(Part::Status, "status", Some(theirs.status.to_string()), Some(ours.status.to_string()));
        return found.0;
    }
    // Kazoo makes a new one for a list each time
    let has_digest = theirs.is_list() && ours.is_list();
    for name in HEADERS {
        let (of_theirs, of_ours) = (theirs.header(name), ours.header(name));
        let is_same = match (of_theirs, of_ours) {
            (Some(_), Some(_)) if name == "etag" && has_digest => true,
            (Some(theirs), Some(ours)) if name.starts_with("access-control-") => set(theirs) == set(ours),
            (theirs, ours) => theirs == ours,
        };
        if !is_same {
            found.add(Part::Header, name, of_theirs.map(str::to_owned), of_ours.map(str::to_owned));
        }
    }
    match (theirs.envelope(), ours.envelope()) {
        (Some((theirs, of_theirs)), Some((ours, of_ours))) => {
            if of_theirs != of_ours {
                found.add(Part::Body, "jsonp", Some(of_theirs.to_owned()), Some(of_ours.to_owned()));
            }
            found.objects(&theirs, &ours, "", &|key| VOLATILE.contains(&key) || (has_digest && key == "revision"));
        }
        _ if theirs.body == ours.body => {}
        _ => {
            // what is no envelope is not known to be without a token
            let told = |answer: &Answer| match answer.header("content-type") {
                Some(of) if of.starts_with("text/csv") => String::from_utf8_lossy(&answer.body).into_owned(),
                of => format!("{} bytes of {}", answer.body.len(), of.unwrap_or("no type")),
            };
            found.add(Part::Body, "body", Some(told(theirs)), Some(told(ours)));
        }
    }
    found.0
}

/// The names in a header that is a set.
fn set(value: &str) -> BTreeSet<String> {
    value.split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, part: Part, place: &str, theirs: Option<String>, ours: Option<String>) {
        if self.0.len() < MOST {
            self.0.push(Difference { part, place: place.to_owned(), theirs, ours });
        }
    }

    fn values(&mut self, theirs: Option<&Value>, ours: Option<&Value>, place: &str) {
        match (theirs, ours) {
            (Some(Value::Object(theirs)), Some(Value::Object(ours))) => self.objects(theirs, ours, place, &|_| false),
            (Some(Value::Array(theirs)), Some(Value::Array(ours))) => {
                let (theirs, ours) = (ordered(theirs, place), ordered(ours, place));
                for at in 0..theirs.len().max(ours.len()) {
                    self.values(theirs.get(at), ours.get(at), &format!("{place}/{at}"));
                }
            }
            (Some(theirs), Some(ours)) if is_same(theirs, ours) => {}
            (theirs, ours) => self.add(Part::Body, place, theirs.map(Value::to_string), ours.map(Value::to_string)),
        }
    }

    /// Of a key that is masked only that it is there is compared. Their order is nobody's.
    fn objects(
        &mut self,
        theirs: &Map<String, Value>,
        ours: &Map<String, Value>,
        place: &str,
        is_masked: &dyn Fn(&str) -> bool,
    ) {
        let of_ours_alone = ours.keys().filter(|key| !theirs.contains_key(*key));
        for key in theirs.keys().chain(of_ours_alone) {
            match (theirs.get(key), ours.get(key)) {
                (Some(_), Some(_)) if is_masked(key) => {}
                // a token is never told
                (theirs, ours) if is_masked(key) => {
                    let there = |value: Option<&Value>| value.map(|_| "…".to_owned());
                    self.add(Part::Body, &below(place, key), there(theirs), there(ours));
                }
                (theirs, ours) => self.values(theirs, ours, &below(place, key)),
            }
        }
    }
}

/// A JSON pointer (RFC 6901).
fn below(place: &str, key: &str) -> String {
    format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// An array as it is compared: `features` of a row are a set, which Kazoo shows in the order of its own hashes.
fn ordered<'a>(items: &'a [Value], place: &str) -> Cow<'a, [Value]> {
    if !place.ends_with("/features") {
        return Cow::Borrowed(items);
    }
    let mut items = items.to_vec();
    items.sort_by_key(Value::to_string);
    Cow::Owned(items)
}

fn is_same(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Number(theirs), Value::Number(ours)) => {
            theirs.to_string() == ours.to_string()
                || (theirs.as_f64() == ours.as_f64() && theirs.as_i64() == ours.as_i64())
        }
        (theirs, ours) => theirs == ours,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, envelope: &Value) -> Answer {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Answer { status, headers, body: envelope.to_string().into() }
    }

    fn envelope(data: Value) -> Value {
        json!({
            "data": data, "revision": "1-abc", "status": "success", "auth_token": "t", "node": "n", "request_id": "r",
            "timestamp": "2026-01-01T00:00:00Z", "version": "4.3",
        })
    }

    /// Any JSON that is no deeper than documents are.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z/~ ]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[a-z/~]{1,5}", inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// The pointers of all values.
    fn pointers(of: &Value, place: &str, found: &mut Vec<String>) {
        found.push(place.to_owned());
        match of {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| pointers(value, &below(place, key), found)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, value)| pointers(value, &format!("{place}/{at}"), found));
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn an_answer_equals_itself(status in 200u16..600, data in any_json()) {
            let one = answer(status, &envelope(data));
            prop_assert_eq!(differences(&one, &one), vec![]);
        }

        #[test]
        fn what_is_volatile_is_not_looked_at(data in any_json(), which in 0..VOLATILE.len(), value in any_json()) {
            let (one, mut other) = (envelope(data), Value::Null);
            other.clone_from(&one);
            other[VOLATILE[which]] = value;
            prop_assert_eq!(differences(&answer(200, &one), &answer(200, &other)), vec![]);
            other.as_object_mut().unwrap().remove(VOLATILE[which]);
            let found = differences(&answer(200, &one), &answer(200, &other));
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].theirs.as_deref(), Some("…"));
        }

        #[test]
        fn a_changed_value_is_found_where_it_is(data in any_json(), at in any::<prop::sample::Index>()) {
            let mut places = Vec::new();
            pointers(&data, "", &mut places);
            let place = at.get(&places).clone();
            let mut other = data.clone();
            *other.pointer_mut(&place).unwrap() = json!("what stands nowhere else");
            let found = differences(&answer(200, &envelope(data)), &answer(200, &envelope(other)));
            let place = format!("/data{place}");
            // where a list becomes none, its digest is looked at too
            prop_assert!(found.iter().any(|of| of.place == place && of.ours.as_deref() == Some("\"what stands nowhere else\"")), "{:?}", found);
            prop_assert_eq!(found.len(), 1);
        }

        #[test]
        fn the_order_of_keys_is_nobodys(fields in prop::collection::btree_map("[a-z]{1,4}", any_json(), 0..6)) {
            let there: Map<String, Value> = fields.clone().into_iter().collect();
            let back: Map<String, Value> = fields.into_iter().rev().collect();
            let (one, other) = (envelope(Value::Object(there)), envelope(Value::Object(back)));
            prop_assert_eq!(differences(&answer(200, &one), &answer(200, &other)), vec![]);
        }
    }

    #[test]
    fn a_status_says_all_and_a_header_is_named() {
        let one = answer(200, &envelope(json!({})));
        let found = differences(&one, &answer(404, &envelope(json!({"message": "x"}))));
        assert_eq!((found.len(), found[0].part, found[0].place.as_str()), (1, Part::Status, "status"));
        for name in HEADERS {
            let mut other = one.clone();
            other.headers.retain(|(of, _)| of != name);
            other.headers.push((name.to_owned(), "other".to_owned()));
            let found = differences(&one, &other);
            assert_eq!((found.len(), found[0].part, found[0].place.as_str()), (1, Part::Header, name));
        }
    }

    #[test]
    fn of_lists_neither_digests_nor_the_order_of_features_are_compared() {
        let list = |digest: &str, features: Value| {
            let mut one = answer(200, &{
                let mut one = envelope(json!([{"id": "a", "features": features}]));
                one["revision"] = digest.into();
                one
            });
            one.headers.push(("etag".to_owned(), format!("\"{digest}\"")));
            one
        };
        assert_eq!(differences(&list("a", json!(["x", "y"])), &list("b", json!(["y", "x"]))), vec![]);
        let found = differences(&list("a", json!(["x"])), &list("b", json!(["y"])));
        assert_eq!((found.len(), found[0].place.as_str()), (1, "/data/0/features/0"));
    }

    #[test]
    fn jsonp_and_tables_are_compared() {
        let of = |body: &str| Answer { status: 200, headers: vec![], body: body.to_owned().into() };
        assert_eq!(differences(&of("f({\"data\":{},\"node\":1});"), &of("f({\"data\":{},\"node\":2});")), vec![]);
        assert_eq!(differences(&of("f({});"), &of("g({});"))[0].place, "jsonp");
        assert_eq!(differences(&of("a,b\n1,2\n"), &of("a,b\n1,2\n")), vec![]);
        assert_eq!(differences(&of("a,b\n1,2\n"), &of("a,b\n1,3\n"))[0].place, "body");
    }

    #[test]
    fn a_coding_is_taken_off_within_its_bounds() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&[b'x'; 1000]).unwrap();
        let of = |coding: &str, body: Vec<u8>| {
            let headers = vec![("content-encoding".to_owned(), coding.to_owned())];
            Answer { status: 200, headers, body: body.into() }
        };
        let body = gzip.finish().unwrap();
        assert_eq!(of("gzip", body.clone()).decoded(1000).unwrap().body.len(), 1000);
        assert_eq!(of("gzip", body.clone()).decoded(999), Err(Skip::Large));
        assert_eq!(of("br", body).decoded(999), Err(Skip::Coded));
        assert_eq!(of("gzip", b"no gzip".to_vec()).decoded(999), Err(Skip::Coded));
    }
}
