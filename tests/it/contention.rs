//! Many who change one group at the same time: each change is wanted, and none is lost.

use std::collections::BTreeSet;

use serde_json::json;

use crate::common::{Kind, TestApp, TestStore};

const CLIENTS: usize = 16;
const CHANGES: usize = 10;

/// Has clients patch endpoints of their own into one group, each by the next of the services. Gives how many were refused
/// for a conflict; of the others every endpoint must be there at the end.
fn refused(test: &TestStore, services: usize) -> usize {
    let account = test.account();
    let apps: Vec<TestApp> = (0..services).map(|_| TestApp::unlimited(test.store())).collect();
    let group = apps[0].create(&account, json!({"name": "wanted", "endpoints": {}}));
    let path = account.path(&format!("groups/{group}"));
    let patch = |client: usize, change: usize| {
        let endpoint = format!("{client}-{change}");
        let body = json!({"data": {"endpoints": {endpoint.clone(): {"type": "user"}}}});
        let answer = apps[client % services].send("PATCH", &path, &account.token, Some(body));
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text());
        (answer.status == 200).then_some(endpoint)
    };
    let changed: BTreeSet<String> = std::thread::scope(|scope| {
        let patch = &patch;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || (0..CHANGES).filter_map(|change| patch(client, change)).collect::<Vec<_>>())
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let there = apps[0].get(&path, &account.token).json();
    let there: BTreeSet<String> = there["data"]["endpoints"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(there, changed);
    CLIENTS * CHANGES - changed.len()
}

#[test]
fn who_patches_one_group_by_one_service_is_never_refused() {
    for kind in Kind::all() {
        assert_eq!(refused(&TestStore::new(kind), 1), 0);
    }
}

#[test]
fn by_two_services_at_most_one_in_a_hundred_is_refused() {
    for kind in Kind::all() {
        let refused = refused(&TestStore::new(kind), 2);
        assert!(refused * 100 <= CLIENTS * CHANGES, "{refused} of {}", CLIENTS * CHANGES);
    }
}
