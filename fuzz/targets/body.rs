//! A request's content type and body, of any form: of what is taken the data are an object or an array, and what was read
//! of JSON is read again from what it was read as.

#![no_main]

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::test::TestRequest;
use crossbar_groups::api::fuzzing::{Body, read_body};
use crossbar_groups::document::json::DEEPEST;
use crossbar_groups_fuzz::parts;
use futures::executor::block_on;
use libfuzzer_sys::fuzz_target;

fn read(content_type: &HeaderValue, body: &[u8]) -> Option<Body> {
    let request = TestRequest::default().insert_header((CONTENT_TYPE, content_type.clone())).to_http_request();
    block_on(read_body(&request, body.to_vec().into(), DEEPEST)).ok()
}

fuzz_target!(|input: &[u8]| {
    let [content_type, body] = parts(input);
    let Ok(content_type) = HeaderValue::from_bytes(content_type) else {
        return;
    };
    let Some(body) = read(&content_type, body) else { return };
    assert!(body.envelope.iter().all(|(_, value)| value.get() != "null"));
    let Some(data) = body.data else { return };
    assert!(data.get().starts_with(['{', '[']));
    let mut whole = body.envelope.clone();
    whole.set("data", data.as_ref().to_owned());
    let again = read(&HeaderValue::from_static("application/json"), whole.to_json().as_bytes()).unwrap();
    assert_eq!(again.data.unwrap().get(), data.get());
});
