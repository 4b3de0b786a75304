//! Pages: whatever their size, walking them gives each row once, in order, and ends.

use std::collections::BTreeMap;

use futures::stream;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::common::{Kind, TestAccount, TestApp, TestStore, block_on, couchdb_url, document};
use crossbar_groups::kazoo::page::{self, PageSize};

#[derive(Debug, Clone)]
struct Group {
    has_flags: bool,
    users: Vec<u8>,
}

fn groups() -> impl Strategy<Value = BTreeMap<u16, Group>> {
    let group =
        (any::<bool>(), prop::collection::vec(0u8..3, 0..3)).prop_map(|(has_flags, users)| Group { has_flags, users });
    prop::collection::btree_map(any::<u16>(), group, 0..24)
}

fn id(number: u16) -> String {
    format!("{number:032x}")
}

fn user(number: u8) -> String {
    format!("{number:032x}").replace('0', "a")
}

fn load(test: &TestStore, groups: &BTreeMap<u16, Group>) -> TestAccount {
    let account = test.account();
    let users = (0..3).map(|number| document(json!({"_id": user(number), "pvt_type": "user"})));
    let groups = groups.iter().map(|(number, group)| {
        let endpoints: serde_json::Map<String, Value> =
            group.users.iter().map(|number| (user(*number), json!({"type": "user"}))).collect();
        let mut tree = json!({"_id": id(*number), "pvt_type": "group", "endpoints": endpoints});
        if group.has_flags {
            tree["flags"] = json!(["x"]);
        }
        document(tree)
    });
    block_on(test.store().load(&account.database(), users.chain(groups).collect())).unwrap();
    account
}

/// The ids that walking the pages of a list gives, in key order.
fn walk(app: &TestApp, account: &TestAccount, list: &str, size: usize) -> Vec<String> {
    let (mut ids, mut start) = (Vec::new(), String::new());
    for _ in 0..100 {
        let separator = if list.contains('?') { '&' } else { '?' };
        let path = account.path(&format!("{list}{separator}page_size={size}{start}"));
        let page = app.get(&path, &account.token).json();
        let rows = page["data"].as_array().unwrap_or_else(|| panic!("{page}"));
        assert!(rows.len() <= size, "{page}");
        assert_eq!(page["page_size"], rows.len());
        ids.extend(rows.iter().rev().map(|row| row["id"].as_str().unwrap().to_owned()));
        match page["next_start_key"].as_str() {
            Some(next) => start = format!("&start_key={next}"),
            None => return ids,
        }
    }
    panic!("the pages of {list} don't end: {ids:?}");
}

fn check(cases: u32, kind: Kind) {
    let test = TestStore::new(kind);
    let app = TestApp::unlimited(test.store());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let tried = runner.run(&(groups(), 1usize..=7), |(groups, size)| {
        let account = load(&test, &groups);
        let all: Vec<String> = groups.keys().map(|number| id(*number)).collect();
        let of = |accepts: &dyn Fn(&Group) -> bool| -> Vec<String> {
            groups.iter().filter(|(_, group)| accepts(group)).map(|(number, _)| id(*number)).collect()
        };
        prop_assert_eq!(walk(&app, &account, "groups", size), all);
        prop_assert_eq!(walk(&app, &account, "groups?has_key=flags", size), of(&|group| group.has_flags));
        for number in 0..3 {
            let list = format!("users/{}/groups", user(number));
            prop_assert_eq!(walk(&app, &account, &list, size), of(&|group| group.users.contains(&number)));
            let with_flags = of(&|group| group.users.contains(&number) && group.has_flags);
            prop_assert_eq!(walk(&app, &account, &format!("{list}?has_key=flags"), size), with_flags);
        }
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn walking_pages_on_the_embedded_store() {
    check(60, Kind::Embedded);
}

#[test]
fn walking_pages_on_couchdb() {
    if let Some(url) = couchdb_url() {
        check(6, Kind::Couch(url));
    }
}

proptest! {
    #[test]
    fn a_walk_over_any_rows_gives_each_once(rows in prop::collection::btree_map(0u32..500, any::<bool>(), 0..60), size in 1usize..9) {
        let rows: Vec<(u32, bool)> = rows.into_iter().collect();
        let wanted: Vec<u32> = rows.iter().filter(|(_, accepted)| *accepted).map(|(row, _)| *row).collect();
        let size = PageSize::of_text(Some(&size.to_string()), PageSize::DEFAULT);
        let (mut found, mut start) = (Vec::new(), None::<String>);
        loop {
            let from = start.as_deref().map_or(0, |start| start.parse::<u32>().unwrap());
            let from_start = rows.iter().filter(|(row, _)| *row >= from).map(|row| Ok::<_, ()>(*row));
            let before = found.len();
            let take = |row: (u32, bool)| {
                found.extend(row.1.then_some(row.0));
                Ok(row.1)
            };
            let page = page::walk(stream::iter(from_start), size, start.clone(), |row| row.0.to_string(), take);
            let page = block_on(page).unwrap();
            prop_assert!(found.len() - before == size.get() || page.next.is_none());
            match page.next {
                Some(next) => start = Some(next),
                None => break,
            }
        }
        prop_assert_eq!(found, wanted);
    }
}
