//! The catalogue of errors as clients see them, in Kazoo's words (`cb_context`'s system errors
//! and validation errors). Every failed request ends in one of these.

mod body;

use std::time::Duration;

use serde_json::value::RawValue;

use crate::auth;
use crate::budgets::Budget;
use crate::kazoo::rings::{MEMBERS, TooLarge};
use crate::kazoo::schema::ValidationErrors;
use crate::kazoo::used::UsedBy;
use crate::relay;
use crate::store;
use crate::using::{self, TooMany};

pub use body::{ErrorBody, echo};

/// After how many seconds a client may ask again that found the store out of reach, or full.
const STORE_PAUSE_S: u64 = 2;

/// Why a request was not answered as it asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The path names nothing here.
    #[error("not found")]
    NotFound,
    /// The path can't be read: a bad percent sign, or bytes that are no text.
    #[error("the path is not percent-encoded text")]
    BadPath,
    /// There is no such document, or none that is shown.
    #[error("bad identifier {0}")]
    BadIdentifier(String),
    /// What stands where an account's id should is none.
    #[error("invalid account id {0}")]
    InvalidAccountId(String),
    /// The method, or the verb that stands for it, is not for this path.
    #[error("method not allowed")]
    InvalidMethod,
    /// The path is about the token's own account, and there is no token that is believed.
    #[error("no token says whose account is meant: {0}")]
    NoOwnAccount(auth::Error),
    /// Whoever asks may not, or it can't be found out whether they may.
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// The client asks too often; after so many seconds it may ask again.
    #[error("too many requests")]
    TooManyRequests(u64),
    /// The body is not what it must be.
    #[error("invalid body: {0}")]
    InvalidBody(#[from] InvalidBody),
    /// The data are not what the schema asks for.
    #[error("validation error")]
    Validation(ValidationErrors),
    /// The client accepts no form that the answer has.
    #[error("not acceptable")]
    NotAcceptable,
    /// The body's form can't be taken.
    #[error("unsupported media type")]
    UnsupportedMediaType,
    /// A condition of the request (`If-Match`) does not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// It would cost more than it may: the bound, and how much that is.
    #[error("over the budget of {0}: {1}")]
    OverBudget(Budget, usize),
    /// What was to be deleted only unless something names it is named.
    #[error("it is used in {} places", .0.places())]
    InUse(Box<UsedBy>),
    /// The upstream did not answer what was relayed to it.
    #[error(transparent)]
    Relay(#[from] relay::Failure),
    /// A websocket was asked for, or a tunnel, of the upstream.
    #[error("no protocol but HTTP is relayed")]
    NotRelayed,
    /// The store failed, or found a conflict.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What is wrong with a request's body, before anyone looks at its data.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidBody {
    /// It is not a JSON object, or not one that is taken.
    #[error("{0}")]
    Json(String),
    /// It has no `data`.
    #[error("no data")]
    NoData(Box<RawValue>),
    /// Its `data` is neither an object nor an array.
    #[error("data of another type")]
    DataType(Box<RawValue>),
    /// It did not arrive whole.
    #[error("cut off: {0}")]
    CutOff(String),
    /// `jsonp` is no name of a function.
    #[error("jsonp is no name")]
    Jsonp(String),
}

impl Error {
    /// The client may ask again after so long.
    pub fn too_many(wait: Duration) -> Self {
        let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::TooManyRequests(whole.max(1))
    }

    /// Whether the fault is below, so that an operator should know of it.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Store(error) | Self::Auth(auth::Error::Store(error)) => !matches!(error, store::Error::Conflict),
            Self::OverBudget(budget, _) => *budget == Budget::Deadline,
            Self::Relay(failure) => {
                use relay::Failure::{Broken, Late, Unreachable};
                matches!(failure, Unreachable(_) | Broken(_) | Late(_))
            }
            _ => false,
        }
    }

    /// Whether somebody is kept out, so that an operator may ask why. Who asks for an account that is not there is not.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NoOwnAccount(_) => true,
            Self::Auth(error) => error.is_refusal() && !matches!(error, auth::Error::UnknownAccount(_)),
            _ => false,
        }
    }

    /// The bound that the request went over.
    pub fn budget(&self) -> Option<Budget> {
        match self {
            Self::OverBudget(budget, _) => Some(*budget),
            Self::Relay(relay::Failure::Busy(_)) => Some(Budget::Relayed),
            Self::Relay(relay::Failure::ClientIsLate(_)) => Some(Budget::BodyTime),
            _ => None,
        }
    }

    /// After how many seconds the client may ask again, where that is known.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::OverBudget(Budget::Requests | Budget::Listeners | Budget::InFlight, _)
            | Self::Relay(relay::Failure::Busy(_)) => Some(1),
            Self::Auth(auth::Error::Busy(wait)) => Self::too_many(*wait).retry_after(),
            Self::OverBudget(Budget::Deadline, _) | Self::Relay(relay::Failure::Unreachable(_)) => Some(STORE_PAUSE_S),
            Self::TooManyRequests(seconds) => Some(*seconds),
            Self::Store(error) | Self::Auth(auth::Error::Store(error)) if self.is_fault() => match error {
                store::Error::Unreachable(_)
                | store::Error::UnknownHost(_)
                | store::Error::Untrusted(_)
                | store::Error::TimedOut(_)
                | store::Error::Busy(_)
                | store::Error::Full(_)
                | store::Error::Nonsense(_) => Some(STORE_PAUSE_S),
                _ => None,
            },
            _ => None,
        }
    }

    /// How many rows a sign-in's view had: Kazoo tells that of one that was refused after it was asked.
    pub fn rows_found(&self) -> Option<usize> {
        match self {
            Self::Auth(auth::Error::UnknownCredentials | auth::Error::UnknownApiKey(_)) => Some(0),
            Self::Auth(auth::Error::SignInDisabled | auth::Error::SecondFactor) => Some(1),
            _ => None,
        }
    }

    /// Whether the body was not read to its end, so that nothing else can be asked on its connection.
    pub fn leaves_body_unread(&self) -> bool {
        use Budget::{Body, BodyTime, InFlight, Requests, Url};
        match self {
            Self::OverBudget(budget, _) => matches!(budget, Body | BodyTime | InFlight | Requests | Url),
            Self::InvalidBody(invalid) => matches!(invalid, InvalidBody::CutOff(_)),
            Self::Relay(_) | Self::NotRelayed => true,
            _ => false,
        }
    }

    /// Whether the body was what was wrong: Kazoo finds that before it reads the token.
    pub fn is_of_body(&self) -> bool {
        matches!(self, Self::InvalidBody(_) | Self::OverBudget(Budget::Body, _))
    }
}

impl From<TooLarge> for Error {
    fn from(_: TooLarge) -> Self {
        Self::OverBudget(Budget::Rings, MEMBERS)
    }
}

impl From<TooMany> for Error {
    fn from(_: TooMany) -> Self {
        Self::OverBudget(Budget::Uses, using::DOCUMENTS)
    }
}

impl From<ValidationErrors> for Error {
    fn from(errors: ValidationErrors) -> Self {
        Self::Validation(errors)
    }
}
