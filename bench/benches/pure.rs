//! The rules that requests spend their time in, without I/O: `cargo bench --manifest-path bench/Cargo.toml`.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use crossbar_groups::document::Document;
use crossbar_groups::kazoo::erlang::Term;
use crossbar_groups::kazoo::filter::Filter;
use crossbar_groups::kazoo::schema::{Limits, Schema};
use crossbar_groups::kazoo::{documents, merge, schema, views};

/// A group of so many users, as CouchDB gives it.
fn group(endpoints: usize) -> String {
    let mut users = String::new();
    for number in 0..endpoints {
        let comma = if number > 0 { "," } else { "" };
        let _ = write!(users, r#"{comma}"{number:032x}":{{"type":"user","weight":{number},"delay":"5"}}"#);
    }
    format!(
        r#"{{"_id":"0a000000000000000000000000000001","_rev":"1-967a00dff5e02add41819138abb3284d","name":"Sales",
        "flags":["crm"],"music_on_hold":{{"media_id":"x"}},"endpoints":{{{users}}},"pvt_type":"group",
        "pvt_account_id":"3b4563ea9f44c060cb5464e76772d7e3","pvt_created":63869000000,"pvt_modified":63869000000,
        "pvt_vsn":"1"}}"#
    )
}

fn rules(criterion: &mut Criterion) {
    for endpoints in [10, 1_000] {
        let json = group(endpoints);
        let document = Document::parse(&json).expect("a document");
        let mut of = criterion.benchmark_group(format!("a group of {endpoints}"));
        of.bench_function("parse", |bench| bench.iter(|| Document::parse(black_box(&json))));
        of.bench_function("write", |bench| bench.iter(|| black_box(&document).to_json()));
        of.bench_function("show", |bench| bench.iter(|| documents::public(black_box(&document))));
        of.bench_function("rows", |bench| {
            bench.iter(|| {
                for view in [views::GROUPS, views::GROUPS_BY_USER] {
                    (view.map)(black_box(&document), &mut |key, value| {
                        black_box((key, Arc::clone(value)));
                    });
                }
            });
        });
        let changes = Document::parse(r#"{"name":"Support","music_on_hold":{"media_id":null}}"#).expect("a document");
        of.bench_function("merge", |bench| bench.iter(|| merge::merge(black_box(&document), &changes)));
        let conditions = [("filter_name", Some("Sales")), ("has_key", Some("flags"))];
        let filter = Filter::of_query(conditions, 10).expect("a filter");
        of.bench_function("filter", |bench| bench.iter(|| filter.accepts(black_box(&document))));
        let schema = Schema::ours(schema::GROUPS).expect("the schema of groups");
        let limits = Limits { values: 100_000, findings: 100 };
        let fields = documents::submitted(document.clone());
        of.bench_function("validate", |bench| bench.iter(|| schema.validate(black_box(fields.clone()), limits)));
        of.finish();
    }
    let key = Term::decode("g20AAAAgMmMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDM");
    criterion.bench_function("a page's next key", |bench| bench.iter(|| Term::decode(&black_box(&key).encode())));
}

criterion_group!(pure, rules);
criterion_main!(pure);
