//! A document and what a client makes of it: no private field is the client's, none is lost, and what is shown has none.

#![no_main]

use std::sync::Arc;

use crossbar_groups::api::fuzzing::{Data, List, TableLimits, table};
use crossbar_groups::document::{Document, json};
use crossbar_groups::kazoo::documents::{Author, create, delete, public, replace, submitted};
use crossbar_groups::kazoo::kind::GROUPS;
use crossbar_groups::kazoo::merge::merge;
use crossbar_groups_fuzz::{object, parts};
use libfuzzer_sys::fuzz_target;

/// What whoever writes a document signs it with.
const SIGNED: [&str; 10] = [
    "pvt_account_db",
    "pvt_account_id",
    "pvt_alphanum_name",
    "pvt_auth_account_id",
    "pvt_auth_user_id",
    "pvt_created",
    "pvt_is_authenticated",
    "pvt_modified",
    "pvt_request_id",
    "pvt_vsn",
];

fn is_private(key: &str) -> bool {
    key.starts_with('_') || key.starts_with("pvt_")
}

/// The private fields that nobody's request changes.
fn kept(document: &Document) -> Vec<(&str, &str)> {
    let mut kept: Vec<_> = document
        .iter()
        .filter(|(key, _)| is_private(key) && !SIGNED.contains(key) && !matches!(*key, "pvt_type" | "pvt_deleted"))
        .map(|(key, value)| (key, value.get()))
        .collect();
    kept.sort_unstable();
    kept
}

/// Every line of a table has as many cells.
fn check_table(data: &Data) {
    let limits = TableLimits { columns: 10_000, bytes: 1 << 20 };
    let Ok(table) = table(data, &GROUPS.table, limits) else { return };
    let mut lines = csv::ReaderBuilder::new().has_headers(false).flexible(false).from_reader(table.as_bytes());
    assert!(lines.records().all(|line| line.is_ok()), "{table}");
}

fuzz_target!(|input: &[u8]| {
    let [existing, sent] = parts(input);
    let (Some(existing), Some(sent)) = (object(existing), object(sent)) else {
        return;
    };
    let author = Author {
        account: "3e30d852896b2a7fd6dd579074f12a3b".parse().unwrap(),
        auth_account: "3b4563ea9f44c060cb5464e76772d7e3".parse().unwrap(),
        auth_user: None,
        request_id: "r".to_owned(),
        now: 63_962_767_634,
    };

    let created = create(&"g".parse().unwrap(), "group", submitted(sent.clone()), &author);
    assert_eq!(kept(&created), [("_id", "\"g\"")]);
    assert_eq!(created.text("pvt_type").unwrap(), "group");
    assert_eq!(created.text("pvt_account_id").unwrap(), author.account.as_str());

    let merged = merge(&existing, &sent);
    assert!(merged.iter().all(|(key, _)| !is_private(key) && key != "id"));
    let twice = merge(&merged, &sent);
    assert_eq!(merge(&twice, &sent).to_json(), twice.to_json());
    for written in [replace(&existing, submitted(sent.clone()), &author), replace(&existing, merged, &author)] {
        assert_eq!(kept(&written), kept(&existing));
        assert_eq!(written.get("pvt_type").map(|raw| raw.get()), existing.get("pvt_type").map(|raw| raw.get()));
        assert_eq!(written.is_true("pvt_deleted"), existing.is_true("pvt_deleted"));
        let shown = public(&written);
        assert!(Document::from_raw(&shown).unwrap().iter().all(|(key, _)| !is_private(key)));
        check_table(&Data::One(shown.clone()));
        check_table(&Data::List(Arc::new(List::new(json::raw(&[shown, public(&created)]), 2))));
    }
    assert_eq!(kept(&delete(&existing, &author)), kept(&existing));
});
