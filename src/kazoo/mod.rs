//! Kazoo's rules, with no I/O: what an account's database is called, what a group's document holds, which rows the
//! lists show, how a filter compares, where a page ends, what a token claims and may do, how one may sign in.

pub mod account;
mod account_id;
pub mod documents;
pub mod erlang;
pub mod filter;
pub mod group;
pub mod javascript;
pub mod kind;
pub mod login_attempt;
pub mod merge;
pub mod notice;
pub mod owners;
pub mod page;
pub mod profile;
pub mod restrictions;
pub mod rings;
pub mod schema;
pub mod sign_in;
pub mod time;
pub mod token;
pub mod used;
pub mod verb;
pub mod views;
