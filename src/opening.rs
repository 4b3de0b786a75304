//! A store, opened by what operators call it: a CouchDB's URL, or a folder.

use std::sync::Arc;

use crate::config::StoreLocation;
use crate::kazoo::views;
use crate::store::couch::{Couch, CouchOptions, NoClient};
use crate::store::embedded::{CannotOpen, Embedded, Making};
use crate::store::{self, SharedServer};

/// Why a store can't be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// What is wrong with its URL.
    #[error(transparent)]
    NoClient(#[from] NoClient),
    /// What is wrong with the server.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What is wrong with the folder.
    #[error(transparent)]
    Folder(#[from] CannotOpen),
}

impl OpenError {
    /// What an operator does about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NoClient(_) => None,
            Self::Store(error) => error.remedy(),
            Self::Folder(cannot) => cannot.remedy(),
        }
    }
}

/// Opens a store that is there, and sees that it answers. A CouchDB is asked as the options say.
///
/// Errors: [`OpenError`]; nothing was made.
pub async fn open_store(location: &StoreLocation, options: &CouchOptions) -> Result<SharedServer, OpenError> {
    open(location, options, Making::Refused, Embedded::MEMORY).await
}

/// The same; an embedded store that is not there is made, in a folder that is empty or not there either. So many bytes of
/// it may be kept in memory.
///
/// Errors: [`OpenError`]; nothing was made then.
pub async fn open_or_make_store(
    location: &StoreLocation,
    options: &CouchOptions,
    memory: usize,
) -> Result<SharedServer, OpenError> {
    open(location, options, Making::Allowed, memory).await
}

async fn open(
    location: &StoreLocation,
    options: &CouchOptions,
    making: Making,
    memory: usize,
) -> Result<SharedServer, OpenError> {
    match location {
        StoreLocation::Couch(urls) => {
            let couch = Couch::new(urls, options)?;
            couch.check().await?;
            Ok(Arc::new(couch))
        }
        StoreLocation::Folder(folder) => Ok(Arc::new(Embedded::open_keeping(folder, views::ALL, making, memory)?)),
    }
}
