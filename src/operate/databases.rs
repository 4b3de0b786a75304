//! `databases`: what databases a store has, and whose they are.

use std::collections::HashMap;
use std::fmt;

use futures::{TryStreamExt, pin_mut};
use serde::Serialize;

use crate::databases::{Error, documents};
use crate::document::DbName;
use crate::kazoo::account::{ACCOUNTS, Account, AccountId};
use crate::store::{Attachments, Server};

use super::migrate;

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub database: DbName,
    /// The account whose database it is, if it is one's.
    pub account: Option<String>,
    /// The account's name.
    pub name: Option<String>,
}

/// The databases, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each database.
    pub databases: Vec<Listed>,
}

/// Lists the databases of a store. It costs a reading of `accounts`.
///
/// Errors: the store fails, or does not tell its databases to this user.
pub async fn list(store: &dyn Server) -> Result<Report, Error> {
    let names = names(store).await?;
    let listed = |database: DbName| {
        let account = AccountId::of_database(&database);
        let name = account.and_then(|account| names.get(&account).cloned());
        Listed { database, account: account.map(|account| account.to_string()), name }
    };
    Ok(Report { databases: migrate::databases(store).await?.into_iter().map(listed).collect() })
}

/// The names of the accounts that `accounts` holds; of none where it is not there.
async fn names(store: &dyn Server) -> Result<HashMap<AccountId, String>, Error> {
    let database = DbName::fixed(ACCOUNTS);
    let documents = documents(store, &database, Attachments::Named);
    pin_mut!(documents);
    let mut names = HashMap::new();
    loop {
        match documents.try_next().await {
            Ok(Some(document)) => {
                let account = document.id().and_then(|id| Account::of_document(id.parse().ok()?, &document));
                names.extend(account.and_then(|account| Some((account.id, account.name?))));
            }
            Ok(None) | Err(Error::NotThere(_)) => return Ok(names),
            Err(error) => return Err(error),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.databases.iter().map(|listed| listed.database.as_str().len()).max().unwrap_or_default();
        self.databases.iter().try_for_each(|Listed { database, name, .. }| match name {
            Some(name) => writeln!(f, "{:width$}  {name}", database.as_str()),
            None => writeln!(f, "{database}"),
        })
    }
}
