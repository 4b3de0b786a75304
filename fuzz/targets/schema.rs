//! Data that are validated, by our schemas and by an operator's: what is valid stays valid and the same, and what is wrong
//! is told, in few words.

#![no_main]

use std::collections::BTreeMap;

use crossbar_groups::document::Document;
use crossbar_groups::kazoo::documents::submitted;
use crossbar_groups::kazoo::schema::{Limits, Schema};
use crossbar_groups_fuzz::{kept, parts};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { values: 100_000, findings: 100 };

fuzz_target!(|input: &[u8]| {
    let [data, schema] = parts(input);
    let Some(data) = kept(data) else { return };
    for schema in Schema::names().filter_map(Schema::ours) {
        match schema.validate_raw(&data, submitted, LIMITS) {
            Ok(valid) => assert_eq!(schema.validate(valid.clone(), LIMITS).unwrap().to_json(), valid.to_json()),
            Err(findings) => assert!((1..=101).contains(&findings.len())),
        }
    }

    let Some(operators) = std::str::from_utf8(schema).ok().and_then(|text| Document::parse(text).ok()) else {
        return;
    };
    Schema::references(&operators);
    let schema = Schema::new("groups", &operators, &BTreeMap::new());
    if schema.problem().is_some() {
        assert!(schema.validate_raw(&data, submitted, LIMITS).is_err());
    } else {
        drop(schema.validate_raw(&data, submitted, LIMITS));
    }
});
