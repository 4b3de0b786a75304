//! The views that the service reads: their names, and for each the native twin of its map function. The JavaScript
//! of the same views is in `couchdb-views/`; a test holds the two against each other.
//!
//! The twins follow JavaScript where documents are odd: what is truthy, what `for in` walks, and that a document
//! over which a map function stumbles (a property of null) is in no row.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::document::{DbName, Document};
use crate::store::{DesignDocument, Emit, Lookup, View};

use super::account::{ACCOUNTS, AccountId, alphanumeric};
use super::documents;
use super::group;
use super::javascript::{is_listed, is_truthy};
use super::rings;

/// An account's groups, by group id.
pub const GROUPS: View = View {
    design: "groups",
    name: "crossbar_listing",
    version: 1,
    holds: is_account,
    is_kept: true,
    map: |document, emit| {
        if let Some(row) = group::row(document) {
            emit(&document.id().unwrap_or_default(), &row);
        }
    },
};

/// An account's groups, by each user that is an endpoint.
pub const GROUPS_BY_USER: View = View {
    design: "groups",
    name: "crossbar_listing_by_user",
    version: 1,
    holds: is_account,
    is_kept: true,
    map: |document, emit| {
        if let Some(row) = group::row(document) {
            for user in group::users(document) {
                emit(&user, &row);
            }
        }
    },
};

/// The users of an account, by the md5 of `user:password`.
pub const USERS_BY_MD5: View = View {
    design: "users",
    name: "creds_by_md5",
    version: 1,
    holds: is_account,
    is_kept: false,
    map: |document, emit| credentials(document, "pvt_md5_auth", emit),
};

/// The users of an account, by the sha1 of `user:password`.
pub const USERS_BY_SHA: View = View {
    design: "users",
    name: "creds_by_sha",
    version: 1,
    holds: is_account,
    is_kept: false,
    map: |document, emit| credentials(document, "pvt_sha1_auth", emit),
};

/// All accounts, by realm in lower case.
pub const ACCOUNTS_BY_REALM: View = View {
    design: "accounts",
    name: "listing_by_realm",
    version: 1,
    holds: is_accounts,
    is_kept: false,
    map: |document, emit| {
        if let Some(realm) = account(document).and_then(|()| document.text("realm")) {
            emit(&realm.to_lowercase(), &account_and_database(document));
        }
    },
};

/// All accounts, by name as [`alphanumeric`] makes it.
pub const ACCOUNTS_BY_NAME: View = View {
    design: "accounts",
    name: "listing_by_name",
    version: 1,
    holds: is_accounts,
    is_kept: false,
    map: |document, emit| {
        if let Some(name) = account(document).and_then(|()| document.text("name")) {
            emit(&alphanumeric(&name), &account_and_database(document));
        }
    },
};

/// All accounts, by API key.
pub const ACCOUNTS_BY_API_KEY: View = View {
    design: "accounts",
    name: "listing_by_api",
    version: 1,
    holds: is_accounts,
    is_kept: false,
    map: |document, emit| {
        if let Some(key) = account(document).and_then(|()| document.text("pvt_api_key")) {
            emit(&key, &picked(document, &[("account_id", "pvt_account_id")]));
        }
    },
};

/// The devices of an account, by each user whose they are: who is signed in at a device has it, whoever owns it. Kazoo's
/// own view, which a CouchDB has from Kazoo or not at all.
pub const OWNED: Lookup = Lookup {
    view: View {
        design: "attributes",
        name: "owned",
        version: 1,
        holds: is_account,
        is_kept: false,
        map: |document, emit| {
            if is_listed(document, "device") {
                let value = Arc::from(RawValue::NULL.to_owned());
                for owner in rings::owners(document) {
                    emit(&owner, &value);
                }
            }
        },
    },
    word: "device",
};

/// The documents of an account that are not deleted, by their type. Kazoo's own view, too.
pub const BY_TYPE: View = View {
    design: "maintenance",
    name: "listing_by_type",
    version: 1,
    holds: is_account,
    is_kept: false,
    map: |document, emit| {
        let is_deleted = document.get("pvt_deleted").is_some_and(is_truthy);
        if let Some(of) = document.text(documents::TYPE).filter(|_| !is_deleted) {
            emit(&of, &Arc::from(RawValue::NULL.to_owned()));
        }
    },
};

/// Every view that is read, to be handed to a store when it is opened.
pub const ALL: &[View] = &[
    GROUPS,
    GROUPS_BY_USER,
    USERS_BY_MD5,
    USERS_BY_SHA,
    ACCOUNTS_BY_REALM,
    ACCOUNTS_BY_NAME,
    ACCOUNTS_BY_API_KEY,
    OWNED.view,
    BY_TYPE,
];

/// The views whose JavaScript is this crate's ([`DESIGN_DOCUMENTS`]).
pub fn ours() -> impl Iterator<Item = &'static View> {
    ALL.iter().filter(|view| DESIGN_DOCUMENTS.iter().any(|design| design.name == view.design))
}

/// The design documents that hold the views' JavaScript, for a CouchDB in which they are missing.
pub const DESIGN_DOCUMENTS: &[DesignDocument] = &[
    DesignDocument { name: "groups", holds: is_account, json: include_str!("../../couchdb-views/groups.json") },
    DesignDocument { name: "users", holds: is_account, json: include_str!("../../couchdb-views/users.json") },
    DesignDocument { name: "accounts", holds: is_accounts, json: include_str!("../../couchdb-views/accounts.json") },
];

fn is_account(database: &DbName) -> bool {
    AccountId::of_database(database).is_some()
}

fn is_accounts(database: &DbName) -> bool {
    database.as_str() == ACCOUNTS
}

fn credentials(document: &Document, key: &str, emit: &mut Emit<'_>) {
    let enabled = document.get("enabled").is_some_and(is_truthy);
    if let Some(digest) = document.text(key).filter(|digest| !digest.is_empty())
        && enabled
        && is_listed(document, "user")
    {
        emit(&digest, &picked(document, &[("owner_id", "_id"), ("account_id", "pvt_account_id")]));
    }
}

fn account(document: &Document) -> Option<()> {
    is_listed(document, "account").then_some(())
}

fn account_and_database(document: &Document) -> Arc<RawValue> {
    picked(document, &[("account_id", "pvt_account_id"), ("account_db", "pvt_account_db")])
}

/// An object of some of a document's fields under other names.
fn picked(document: &Document, names: &[(&str, &str)]) -> Arc<RawValue> {
    let field = |(name, key): &(&str, &str)| Some(((*name).to_owned(), document.get(key)?.to_owned()));
    Arc::from(names.iter().filter_map(field).collect::<Document>().to_raw())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::document::json;

    use super::*;
    use crate::document::hex;
    use md5::{Digest, Md5};
    use serde_json::json;

    fn rows(view: &View, document: &Value) -> Vec<(String, Value)> {
        let document = Document::parse(&document.to_string()).unwrap();
        let mut rows = Vec::new();
        (view.map)(&document, &mut |key, value| rows.push((key.to_owned(), json::tree(value).unwrap())));
        rows
    }

    /// The rows of made-up documents, as a digest.
    fn digest_of_rows(view: &View) -> String {
        let group = json!({
            "_id": "g", "_rev": "1-a", "name": "Group", "pvt_type": "group", "pvt_account_id": "a",
            "smartpbx": {"a": {"enabled": true}, "2": {"enabled": "x"}, "b": {"enabled": 0}},
            "music_on_hold": {"media_id": "m"}, "endpoints": {"u": {"type": "user"}, "d": {"type": "device"}, "v": {}},
            "flags": ["x"],
        });
        let user = json!({
            "_id": "u", "pvt_type": "user", "enabled": true, "pvt_md5_auth": "md5", "pvt_sha1_auth": "sha",
            "pvt_account_id": "a",
        });
        let account = json!({
            "_id": "a", "pvt_type": "account", "name": "An Account", "realm": "A.Example.com", "pvt_api_key": "key",
            "pvt_account_id": "a", "pvt_account_db": "db",
        });
        let device = json!({"_id": "d", "pvt_type": "device", "owner_id": "u"});
        let shared =
            json!({"_id": "e", "pvt_type": "device", "owner_id": "u", "hotdesk": {"users": {"v": {}, "w": {}}}});
        let mut deleted = group.clone();
        deleted["pvt_deleted"] = json!(true);
        let rows: Vec<_> =
            [group, user, account, device, shared, deleted].iter().flat_map(|document| rows(view, document)).collect();
        assert!(!rows.is_empty());
        hex(&Md5::digest(json!(rows).to_string()))
    }

    #[test]
    fn a_twin_that_gives_other_rows_has_another_version() {
        // where one differs: raise the view's version, and put its new digest here
        let known = [
            ("crossbar_listing", 1, "10022c7e9b5cb17523b439ec4ad43d8b"),
            ("crossbar_listing_by_user", 1, "d072994b66a1318bf2120538f9dc47ef"),
            ("creds_by_md5", 1, "b29968b239e23a0207fcf09e47e6b1ad"),
            ("creds_by_sha", 1, "4596fe5f5be16dc589cd128fb30a7673"),
            ("listing_by_realm", 1, "499033d13a7c1376b62857203f80b63b"),
            ("listing_by_name", 1, "2650988e77ba6a4085e8288855050a27"),
            ("listing_by_api", 1, "ca2029e1446dc0dfe31145503f737f66"),
            ("owned", 1, "8567bb01dfc867c10488b3f3394f0fa1"),
            ("listing_by_type", 1, "b3349ddf873b79b3792a5c32972cccf6"),
        ];
        let found: Vec<_> = ALL.iter().map(|view| (view.name, view.version, digest_of_rows(view))).collect();
        assert_eq!(found, known.map(|(name, version, digest)| (name, version, digest.to_owned())));
    }

    #[test]
    fn a_document_over_which_the_map_function_stumbles_is_in_no_row() {
        let group = json!({"_id": "g", "pvt_type": "group", "smartpbx": {"a": null}});
        assert!(rows(&GROUPS, &group).is_empty());
        let group = json!({"_id": "g", "pvt_type": "group", "endpoints": {"u": {"type": "user"}, "v": null}});
        assert_eq!(rows(&GROUPS, &group).len(), 1);
        assert!(rows(&GROUPS_BY_USER, &group).is_empty());
    }

    #[test]
    fn a_row_has_what_the_document_has() {
        let group = json!({
            "_id": "g", "pvt_type": "group", "name": null, "flags": 0, "music_on_hold": {"media_id": "m"},
            "smartpbx": {"b": {"enabled": 1}, "2": {"enabled": []}, "c": {"enabled": ""}, "1": true},
            "endpoints": ["a", {"type": "user"}],
        });
        let row =
            json!({"id": "g", "name": null, "features": ["2", "b", "music_on_hold"], "endpoints": 2, "flags": []});
        assert_eq!(rows(&GROUPS, &group), [("g".to_owned(), row.clone())]);
        assert_eq!(rows(&GROUPS_BY_USER, &group), [("1".to_owned(), row)]);
    }
}
