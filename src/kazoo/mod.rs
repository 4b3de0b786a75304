//! Kazoo's rules, with no I/O: what an account's database is called, what a group's document holds, which rows the
//! lists show, how a filter compares, where a page ends, what a token claims.

pub mod account;
pub mod filter;
pub mod group;
pub mod notice;
pub mod page;
pub mod schema;
pub mod time;
pub mod token;
pub mod views;
