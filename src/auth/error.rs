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
    #[error("invalid credentials: {0}")]
    InvalidCredentials(Disbelief),
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
        matches!(self, Self::InvalidCredentials(_) | Self::UnknownCredentials | Self::UnknownApiKey(_))
    }

    /// Whether it is a refusal: a fault below is none.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Busy(_) | Self::Store(_))
    }
}

/// Why credentials are not believed. The log says it; a client is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Disbelief {
    #[error("there are none")]
    None,
    #[error("Authorization is not Basic, and a token is taken from X-Auth-Token or auth_token alone")]
    NotFromAuthorization,
    #[error("it is no token of Kazoo's (a JWT signed by RSA that names its key)")]
    NoToken,
    #[error("system_auth has no key that the token names")]
    UnknownKey,
    #[error("the token's signature does not hold")]
    Signature,
    #[error("the signature of the token's identity does not hold: its owner's secret is another, or there is none")]
    IdentitySignature,
    #[error("the token has expired, or does not hold yet")]
    NotCurrent,
    #[error("X-Auth-Account-ID is not the token's account")]
    OtherAccount,
    #[error("the user is not there, deleted or switched off")]
    NoUser,
    #[error("the account is not there, or deleted")]
    NoAccount,
    #[error("Basic is not base64 of an account's id, a colon and credentials")]
    NoBasic,
    #[error("no user of the account has these credentials, or several have")]
    NobodyHas,
    #[error("the account's configuration does not let one sign in like this")]
    SwitchedOff,
}

impl From<Disbelief> for Error {
    fn from(disbelief: Disbelief) -> Self {
        Self::InvalidCredentials(disbelief)
    }
}
