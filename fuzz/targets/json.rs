//! JSON that a client sent: what is kept of it has its value, whatever is done to its white space.

#![no_main]

use crossbar_groups::document::json::DEEPEST;
use crossbar_groups::document::{Document, cursor, json};
use crossbar_groups_fuzz::kept;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn values(tree: &Value) -> usize {
    1 + match tree {
        Value::Array(items) => items.iter().map(values).sum(),
        Value::Object(fields) => fields.values().map(values).sum(),
        _ => 0,
    }
}

fuzz_target!(|input: &[u8]| {
    let Some(kept) = kept(input) else { return };
    let sent = json::check(input, DEEPEST).unwrap();
    let tree = json::tree(&kept).unwrap();
    assert_eq!(json::canonical(&tree), json::canonical(&json::tree(sent).unwrap()), "kept is what was sent");
    assert_eq!(json::compact(kept.get()).unwrap(), kept.get(), "twice compact is compact");
    assert!(cursor::values(&kept) >= values(&tree));
    assert_eq!(json::tree(&json::raw(&tree)).unwrap(), tree, "written and read again");
    if let Some(pretty) = json::pretty(kept.get(), 0, 1 << 20) {
        assert_eq!(json::compact(&pretty).unwrap(), kept.get(), "indentation is all that is added");
    }
    if let Some(document) = Document::from_raw(&kept) {
        let again = Document::parse(&document.to_json()).unwrap();
        assert_eq!(again.to_json(), document.to_json());
        assert!(again.is_same_as(&document));
    }
});
