//! A token, an `Authorization` header and an `X-Forwarded-For`: only what was signed is believed, and only a trusted
//! proxy.

#![no_main]

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::http::header::HeaderValue;
use actix_web::test::TestRequest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossbar_groups::api::{Limiter, RateLimit};
use crossbar_groups::auth::Credentials;
use crossbar_groups::kazoo::token::{Claims, IdentityKey, SigningKey, key_id};
use crossbar_groups_fuzz::parts;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// All that was ever signed, among other names and their values.
static SIGNED: LazyLock<HashMap<String, String>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../fixtures/variables.json")).unwrap());

/// The key that signed it.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let seed: Value = serde_json::from_str(include_str!("../../fixtures/seed/system_auth.json")).unwrap();
    let id = key_id(&SIGNED["TB"]).unwrap();
    let document = seed["docs"].as_array().unwrap().iter().find(|document| document["_id"] == *id).unwrap();
    let pem = STANDARD.decode(document["_attachments"]["private_key.pem"]["data"].as_str().unwrap()).unwrap();
    SigningKey::of_pem(&id, &pem).unwrap()
});

fuzz_target!(|input: &[u8]| {
    let [token, authorization, forwarded] = parts(input);
    if let Ok(token) = std::str::from_utf8(token) {
        let believed = key_id(token).and_then(|_| KEY.verify(token));
        assert!(believed.is_err() || SIGNED.values().any(|signed| signed == token), "{token}");
    }
    if let Ok(claims) = serde_json::from_slice::<Claims>(token) {
        let identity = IdentityKey::new("owner", "system");
        let token = KEY.sign(claims.clone(), &identity).unwrap();
        assert!(key_id(&token).is_ok());
        if let Ok(mut verified) = KEY.verify(&token) {
            assert!(identity.signed(&verified) && !IdentityKey::new("other", "system").signed(&verified));
            verified.identity_sig.clone_from(&claims.identity_sig);
            assert_eq!(verified, claims);
        }
    }

    if let Ok(header) = std::str::from_utf8(authorization) {
        assert!(Credentials::of_authorization(header).text().is_none_or(|text| header.contains(text)));
    }

    let Ok(forwarded) = HeaderValue::from_bytes(forwarded) else {
        return;
    };
    let client = |peer: &str| {
        let request = TestRequest::default().peer_addr(format!("{peer}:5000").parse().unwrap());
        let request = request.insert_header(("x-forwarded-for", forwarded.clone())).to_http_request();
        Limiter::new(RateLimit::Off, ["10.0.0.1".parse().unwrap()]).client(&request).unwrap().to_string()
    };
    client("10.0.0.1");
    assert_eq!(client("192.0.2.1"), "192.0.2.1");
});
