//! Who may do what, below HTTP: whom a request's credentials speak for, which account a path means, what a token may
//! do there, and signing in. It is the one place where that is decided.
//!
//! A decision rests on documents: signing keys, secrets, accounts, restrictions. They are read from the store and
//! remembered for a few seconds (`cache`), what is not there too. **Nothing remembered may refuse**: before a
//! decision that rests on what was remembered refuses, it is made again on what is read anew ([`Auth::decide`]),
//! bounded so that a flood of bad tokens is no flood of reads; nor is one of made-up names, of keys and accounts, for which
//! each who asks has an allowance (`names`). Nothing is ever written for a token that comes in.

mod attempts;
mod cache;
mod decision;
mod door;
mod error;
mod evidence;
mod identity;
mod names;
mod network;
mod owners;
mod profile;
mod secrets;
mod sign_in;
mod token_cache;

pub use decision::Auth;
pub use door::Door;
pub use error::{Disbelief, Error};
pub use evidence::{Evidence, Owner, System};
pub use identity::{Credentials, Identity};
pub use names::Asker;
pub use network::Network;
pub use owners::Wanted;
pub use sign_in::{ApiKey, Entrant, SignedIn, UserCredentials};
