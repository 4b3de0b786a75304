//! The accounts that there are, by id, realm and name.

use std::collections::HashMap;

use futures::{TryStreamExt, pin_mut};

use crate::databases::{Error, documents};
use crate::document::DbName;
use crate::kazoo::account::{ACCOUNTS, Account, AccountId, alphanumeric};
use crate::store::{Attachments, Server};

use super::problem::Found;

/// An account as people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: Option<String>,
    /// Its realm.
    pub realm: Option<String>,
}

impl Known {
    /// Its realm or else its name, if it has one, and its id.
    pub fn label(&self) -> String {
        match self.realm.as_ref().or(self.name.as_ref()) {
            Some(name) => format!("{name} ({})", self.id),
            None => self.id.to_string(),
        }
    }
}

/// All accounts that are not deleted.
#[derive(Debug, Default)]
pub struct Accounts {
    /// In the order of their ids.
    pub all: Vec<Known>,
    by_id: HashMap<AccountId, usize>,
    /// Realms in lower case, and names as Kazoo looks them up.
    by_name: HashMap<String, Vec<usize>>,
}

impl Accounts {
    /// Reads `accounts`, 200 documents in a request.
    ///
    /// Errors: it is not there, or the store fails.
    pub async fn read(store: &dyn Server) -> Result<Self, Error> {
        let database = DbName::fixed(ACCOUNTS);
        let documents = documents(store, &database, Attachments::Named);
        pin_mut!(documents);
        let mut accounts = Self::default();
        while let Some(document) = documents.try_next().await? {
            let id = document.id().and_then(|id| id.parse().ok());
            if let Some(account) = id.and_then(|id| Account::of_document(id, &document)) {
                accounts.add(Known { id: account.id, name: account.name, realm: document.text("realm") });
            }
        }
        Ok(accounts)
    }

    fn add(&mut self, account: Known) {
        let at = self.all.len();
        self.by_id.insert(account.id, at);
        let realm = account.realm.as_ref().map(|realm| realm.to_lowercase());
        let name = account.name.as_ref().map(|name| alphanumeric(name)).filter(|name| !name.is_empty());
        for key in [realm, name].into_iter().flatten() {
            let all = self.by_name.entry(key).or_default();
            if all.last() != Some(&at) {
                all.push(at);
            }
        }
        self.all.push(account);
    }

    /// The account of an id, a realm or a name.
    pub fn find(&self, name: &str) -> Found<&Known> {
        if let Some(at) = name.parse().ok().and_then(|id: AccountId| self.by_id.get(&id)) {
            return Found::One(&self.all[*at]);
        }
        let (realm, alphanumeric) = (name.to_lowercase(), alphanumeric(name));
        let mut found: Vec<usize> =
            [&realm, &alphanumeric].into_iter().filter_map(|key| self.by_name.get(key)).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        match found[..] {
            [at] => Found::One(&self.all[at]),
            [] => {
                let names = self.all.iter().flat_map(|account| [&account.realm, &account.name]).flatten();
                Found::missing(name, names.map(String::as_str))
            }
            _ => Found::Many(found.into_iter().map(|at| self.all[at].label()).collect()),
        }
    }
}
