//! Why somebody may not do something.

use std::time::Duration;

use crate::kazoo::account::AccountId;
use crate::store;

/// Why a request may not be done, or it can't be found out whether it may.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such account.
    #[error("there is no account {0}")]
    UnknownAccount(AccountId),
    /// No credentials, or some that are not believed.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// The account was a trial, which ended at this time (gregorian seconds).
    #[error("the account has expired")]
    AccountExpired(i64),
    /// The account is switched off.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The credentials of a sign-in are nobody's.
    #[error("nobody has these credentials")]
    UnknownCredentials,
    /// The API key of a sign-in is nobody's.
    #[error("nobody has this API key")]
    UnknownApiKey(String),
    /// The account's configuration has switched this way of signing in off.
    #[error("this way of signing in is switched off")]
    SignInDisabled,
    /// The account asks for a second factor, of which we know nothing: one signs in at Kazoo.
    #[error("the account asks for a second factor: sign in at Kazoo")]
    SecondFactor,
    /// The account is not the token's, nor one below it.
    #[error("forbidden")]
    Forbidden,
    /// The token's restrictions don't name what is asked for.
    #[error("denied by token restrictions")]
    Restricted,
    /// There is more to be looked for, or to be looked at again, than reads for it; after so long there is one.
    #[error("too much to be read")]
    Busy(Duration),
    /// What a decision rests on could not be read.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether somebody tried to sign in with what lets nobody in: a guess.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::InvalidCredentials | Self::UnknownCredentials | Self::UnknownApiKey(_))
    }

    /// Whether it is a refusal: a fault below is none.
    pub(super) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Busy(_) | Self::Store(_))
    }
}
