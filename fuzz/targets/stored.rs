//! A document as a store may hold it, whoever wrote it: what views, notices, accounts, configurations and restrictions
//! make of it.

#![no_main]

use std::collections::{BTreeMap, HashMap};

use crossbar_groups::document::{DbName, Document};
use crossbar_groups::kazoo::account::{Account, AccountId};
use crossbar_groups::kazoo::notice::Notice;
use crossbar_groups::kazoo::profile::{self, Ui};
use crossbar_groups::kazoo::restrictions::{Access, Restrictions, Whose, allow};
use crossbar_groups::kazoo::sign_in::{Config, Method, Settings};
use crossbar_groups::kazoo::verb::Verb;
use crossbar_groups::kazoo::{group, views};
use crossbar_groups_fuzz::parts;
use libfuzzer_sys::fuzz_target;

fn rows(document: &Document) -> Vec<(&'static str, String, String)> {
    let mut rows = Vec::new();
    for view in views::ALL {
        (view.map)(document, &mut |key, value| rows.push((view.name, key.to_owned(), value.get().to_owned())));
    }
    rows
}

fuzz_target!(|input: &[u8]| {
    let [document, parameters] = parts(input);
    let document = std::str::from_utf8(document).ok().and_then(|text| Document::parse(text).ok());
    let Some(document) = document else { return };
    let id: AccountId = "3e30d852896b2a7fd6dd579074f12a3b".parse().unwrap();
    let database: DbName = id.database();

    let found = rows(&document);
    assert_eq!(rows(&Document::parse(&document.to_json()).unwrap()), found);
    for (_, _, row) in &found {
        assert!(Document::parse(row).is_ok());
    }
    let endpoints: Vec<String> = group::endpoints(&document).map(|(id, _)| id).collect();
    assert_eq!(group::endpoints(&group::mended(&document, &endpoints, &BTreeMap::new(), 0)).count(), 0);
    let revision = document.next_revision(document.revision().as_ref());
    if let Some(notice) = Notice::of(&database, &document, &revision, "node", "message") {
        assert!(notice.routing_key.len() <= 255 && Document::parse(&notice.body).is_ok());
    }

    let config = Config::of_document(&document);
    let settings = Settings::new(&config, [&config].into_iter(), Some(&config));
    assert!(settings.token_lifetime(Method::Credentials) > 0);
    settings.asks_for_second_factor(Method::ApiKey, id, false);
    let ui = Ui::of_configs(&HashMap::from([("cluster", document.clone()), ("callflow", document.clone())]));
    if let Some(account) = Account::of_document(id, &document) {
        assert!(account.may_act_on(&account));
        profile::of(&account, None, None, Some(id), &ui);
    }

    let own = Restrictions::of_account(&document).unwrap_or_default();
    let system = Restrictions::of_system(&document);
    let parameters: Vec<String> = String::from_utf8_lossy(parameters).split('/').map(str::to_owned).collect();
    for account in [Whose::Nobody, Whose::Own(id), Whose::Descendant(id), Whose::Other(id)] {
        let access = Access { noun: "groups", parameters: &parameters, account, verb: Verb::Get };
        drop(allow(&own, &system, "cb_user_auth", own.default_priv_level(), &access));
    }
});
