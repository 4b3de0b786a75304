//! What is true of every plan: that of what is there changes nothing, and one that was applied changes nothing more.

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::document::Document;
use crate::document::json::any_tree;
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::Author;
use crate::kazoo::schema::{self, Schema};
use crate::kazoo::{documents, group};

use super::accounts;
use super::changes::{Changes, Rules, changes};
use super::export::Form;
use super::file::PlanFile;
use super::known::Known;
use super::problem::Problem;

const ACCOUNT: &str = "3e30d852896b2a7fd6dd579074f12a3b";

/// What endpoints may name: some are there, some are of one name, some are deleted, some nothing.
const IDS: [&str; 10] = ["u1", "u2", "u3", "d1", "d2", "d3", "g1", "g2", "nobody", ""];

const NAMES: [&str; 4] = ["Sales", "Support", "New", "g2"];

fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

/// An account's users and devices.
fn people() -> Vec<Value> {
    vec![
        json!({"_id": "u1", "pvt_type": "user", "username": "jane@example.com", "presence_id": "1001"}),
        json!({"_id": "u2", "pvt_type": "user", "username": "bob", "first_name": "Bob", "last_name": "Roe \"x\""}),
        json!({"_id": "u3", "pvt_type": "user", "username": "gone", "pvt_deleted": true}),
        json!({"_id": "d1", "pvt_type": "device", "name": "Desk", "owner_id": "u1"}),
        json!({"_id": "d2", "pvt_type": "device", "name": "Desk"}),
        json!({"_id": "d3", "pvt_type": "device", "name": "Lobby"}),
        json!({"_id": "c1", "pvt_type": "callflow", "numbers": ["1002"], "flow": {"module": "user", "data": {"id": "u2"}}}),
    ]
}

fn known(groups: &[Document]) -> Known {
    let people = people().into_iter().map(|tree| Document::parse(&tree.to_string()).unwrap());
    Known::of(account(), people.chain(groups.iter().cloned()))
}

fn planned(text: &str, groups: &[Document]) -> Result<Changes, Vec<Problem>> {
    let file = PlanFile::parse(text).map_err(|problems| problems.problems)?;
    let schema = Schema::ours(schema::GROUPS).unwrap();
    let rules = Rules {
        schema: &schema,
        checked: schema::Limits { values: 10_000, findings: 10 },
        largest: group::Limits { endpoints: 100, rows: 1_000_000 },
    };
    let author =
        Author { account: account(), auth_account: account(), auth_user: None, request_id: "r".to_owned(), now: 1 };
    changes(&file.accounts[0], &known(groups), rules, &author, "")
}

/// The groups once changes are written.
fn applied(groups: &[Document], changes: &Changes) -> Vec<Document> {
    let mut groups = groups.to_vec();
    for change in &changes.changes {
        let mut after = change.after.clone();
        let revision = after.next_revision(after.revision().as_ref());
        after.set_text("_rev", &revision.to_string());
        groups.retain(|group| group.id() != after.id());
        groups.push(after);
    }
    groups
}

fn any_endpoint() -> BoxedStrategy<Value> {
    let kind = prop::sample::select(vec![json!("user"), json!("device"), json!("group"), json!("robot"), Value::Null]);
    let endpoint = (kind, any_tree(), any::<u8>()).prop_map(|(kind, weight, delay)| match kind {
        Value::Null => json!({"weight": weight}),
        kind => json!({"type": kind, "weight": weight, "delay": delay, "name": "x"}),
    });
    prop_oneof![8 => endpoint, 1 => any_tree()].boxed()
}

/// Groups as operators may have them: also such as no schema would take.
fn any_groups() -> BoxedStrategy<Vec<Document>> {
    let endpoints = prop::collection::btree_map(prop::sample::select(IDS.to_vec()), any_endpoint(), 0..6);
    let endpoints = prop_oneof![8 => endpoints.prop_map(|endpoints| json!(endpoints)), 1 => any_tree()];
    let name = prop_oneof![8 => prop::sample::select(NAMES.to_vec()).prop_map(Value::from), 1 => any_tree()];
    let others = prop::collection::btree_map("[a-z_:# {-]{0,4}|members|revision|flags|music_on_hold", any_tree(), 0..3);
    let group = (name, endpoints, others, prop::bool::weighted(0.1));
    let groups = prop::collection::vec(group, 0..4);
    let document = |(at, (name, endpoints, others, is_deleted)): (usize, (Value, Value, _, bool))| {
        let others: std::collections::BTreeMap<String, Value> = others;
        let mut tree = json!(others);
        tree.as_object_mut().unwrap().retain(|key, _| !key.starts_with('_') && !key.starts_with("pvt_"));
        (tree["_id"], tree["_rev"]) = (json!(format!("g{at}")), json!(format!("1-{at}")));
        (tree["pvt_type"], tree["name"], tree["endpoints"]) = (json!("group"), name, endpoints);
        if is_deleted {
            tree["pvt_deleted"] = json!(true);
        }
        Document::parse(&tree.to_string()).unwrap()
    };
    groups.prop_map(move |groups| groups.into_iter().enumerate().map(document).collect()).boxed()
}

/// Plans as operators may write them.
fn any_plan() -> BoxedStrategy<String> {
    let names =
        ["jane@example.com", "1001", "1002", "Bob Roe \"x\"", "Desk", "Lobby", "Sales", "New", "u1", "g1", "nobody"];
    let member = (prop::sample::select(vec!["user", "device", "group", "id"]), prop::sample::select(names.to_vec()));
    let member = (member, prop::option::of(prop_oneof![any::<u8>().prop_map(Value::from), Just(Value::Null)]));
    let member = member.prop_map(|((kind, name), weight)| match weight {
        Some(weight) => json!({kind: name, "weight": weight}),
        None => json!({kind: name}),
    });
    let members = prop::option::of(prop::collection::vec(member, 0..3));
    let music = prop::option::of(prop_oneof![Just(Value::Null), Just(json!({})), Just(json!({"media_id": "m"}))]);
    let id = prop::option::weighted(0.3, prop::sample::select(vec!["g0", "g1", "g2"]));
    let group = (prop::sample::select(NAMES.to_vec()), id, members, music).prop_map(|(name, id, members, music)| {
        let mut group = json!({"name": name});
        let given = [("id", json!(id)), ("members", json!(members))];
        for (key, value) in given.into_iter().filter(|(_, value)| !value.is_null()) {
            group[key] = value;
        }
        if let Some(music) = music {
            group["music_on_hold"] = music;
        }
        group
    });
    let delete = prop::collection::vec(prop::sample::select(NAMES.to_vec()), 0..2);
    let plan = (prop::collection::vec(group, 0..4), delete, any::<bool>());
    let plan = plan.prop_map(|(groups, delete, only)| {
        json!({"accounts": [{"account": ACCOUNT, "groups": groups, "delete": delete, "only": only}]}).to_string()
    });
    plan.boxed()
}

proptest! {
    #[test]
    fn the_plan_of_what_is_there_changes_nothing(groups in any_groups()) {
        let known = known(&groups);
        let account = accounts::Known { id: account(), name: Some("A\nB".to_owned()), realm: None };
        for form in [Form::Yaml, Form::Json] {
            let text = [form.head(), &form.account(&account, &known, true), form.tail(false)].concat();
            let changes = planned(&text, &groups).map_err(|problems| TestCaseError::fail(format!("{problems:?}\n{text}")))?;
            prop_assert!(changes.changes.is_empty(), "{}\n{:?}", text, changes);
            let live = groups.iter().filter(|group| !documents::is_deleted(group)).count();
            prop_assert_eq!(changes.unchanged, live);
        }
    }

    #[test]
    fn a_plan_that_was_applied_changes_nothing_more(groups in any_groups(), plan in any_plan()) {
        if let Ok(first) = planned(&plan, &groups) {
            let again = planned(&plan, &applied(&groups, &first));
            let again = again.map_err(|problems| TestCaseError::fail(format!("{problems:?}\n{plan}")))?;
            prop_assert!(again.changes.is_empty(), "{:?}\n{:?}", first, again);
        }
    }

    #[test]
    fn what_a_plan_does_not_name_stays(groups in any_groups(), plan in any_plan()) {
        if let Ok(changes) = planned(&plan, &groups) {
            for (before, change) in changes.changes.iter().filter_map(|change| Some((change.before.as_ref()?, change))) {
                let told = ["name", "endpoints", "music_on_hold"];
                for (key, value) in before.iter().filter(|(key, _)| !told.contains(key) && !key.starts_with("pvt_")) {
                    prop_assert_eq!(change.after.get(key).map(RawValue::get), Some(value.get()), "{}", key);
                }
            }
        }
    }
}

#[test]
fn members_are_found_by_name_extension_and_id() {
    let plan = |member: Value| {
        let group = json!({"name": "Sales", "members": [member]});
        let file = json!({"accounts": [{"account": ACCOUNT, "groups": [group]}]}).to_string();
        planned(&file, &[]).map(|changes| changes.changes[0].after.get("endpoints").unwrap().get().to_owned())
    };
    for (member, endpoints) in [
        (json!({"user": "jane@example.com", "weight": "1"}), r#"{"u1":{"type":"user","weight":"1"}}"#),
        (json!({"user": "JANE@example.com"}), r#"{"u1":{"type":"user"}}"#),
        (json!({"user": 1001, "delay": 5}), r#"{"u1":{"type":"user","delay":5}}"#),
        (json!({"user": "1002"}), r#"{"u2":{"type":"user"}}"#),
        (json!({"user": "u2"}), r#"{"u2":{"type":"user"}}"#),
        (json!({"device": "Lobby"}), r#"{"d3":{"type":"device"}}"#),
        (json!({"id": "d1"}), r#"{"d1":{"type":"device"}}"#),
    ] {
        assert_eq!(plan(member.clone()).unwrap(), endpoints, "{member}");
    }
    for (member, why) in [
        (json!({"device": "Desk"}), "\"Desk\" is more than one device: Desk (d1), Desk (d2); give the id"),
        (json!({"user": "bobb"}), "there is no user \"bobb\"; the nearest is \"bob\""),
        (json!({"user": "gone"}), "there is no user \"gone\""),
        (json!({"user": "d1"}), "there is no user \"d1\""),
        (json!({"id": "nobody"}), "there is no user, device or group of the id \"nobody\""),
        (json!({"user": "u1", "device": "d1"}), "a member needs one of"),
        (json!({"user": "u1", "type": "user"}), "a member's type"),
        (json!({"user": "u1", "pvt_x": 1}), "not yours to set"),
    ] {
        let problems = plan(member.clone()).unwrap_err();
        assert!(problems[0].text.contains(why), "{member}: {problems:?}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_line() {
    let plan = "accounts:\n- account: x\n  groups:\n  - name: A\n    members:\n    - user: nobody\n    - device: Desk\n  - members: []\n  delete: [Nothing]\n  onli: true\n";
    let of_form: Vec<usize> = PlanFile::parse(plan).unwrap_err().problems.iter().map(|problem| problem.line).collect();
    assert_eq!(of_form, [8, 10]);
    let plan = plan.replace("  - members: []\n", "").replace("  onli: true\n", "");
    let mut of_names: Vec<usize> = planned(&plan, &[]).unwrap_err().iter().map(|problem| problem.line).collect();
    of_names.sort_unstable();
    assert_eq!(of_names, [6, 7, 8]);
}

#[test]
fn a_file_is_about_the_revision_that_it_names() {
    let groups =
        [Document::parse(r#"{"_id": "g0", "_rev": "2-b", "pvt_type": "group", "name": "Sales", "endpoints": {}}"#)
            .unwrap()];
    let plan = |revision: &str, name: &str| {
        let file = format!("accounts:\n- account: x\n  groups:\n  - {{id: g0, revision: {revision}, name: {name}}}\n");
        planned(&file, &groups).unwrap()
    };
    assert_eq!(plan("1-a", "Other").conflicts.len(), 1);
    assert_eq!(plan("2-b", "Other").conflicts.len(), 0);
    // what is as it is to be may have any revision
    assert_eq!(plan("1-a", "Sales").conflicts.len(), 0);
}
