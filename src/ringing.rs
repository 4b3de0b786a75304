//! The documents that say whom a group rings, read from a store: level by level, each in as few requests as the store can.

use std::sync::Arc;

use crate::aside::by_size;
use crate::document::{DocId, Document};
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::CALLFLOW;
use crate::kazoo::rings::{
    self, Call, DEPTH, ELEMENTS, Element, InCallflow, Named, Reading, Rings, TooLarge, WithCallflows, rings_of,
};
use crate::kazoo::views::OWNED;
use crate::store::{self, Store};
use crate::using::{TooMany, looked_at};

/// How often is read at the most: for the groups of each level, then for devices, for their owners, and to see that it is all.
const ROUNDS: usize = DEPTH + 4;

/// How many documents are asked for first, and at the most at a time; and how many bytes they should have.
const FIRST: usize = 8;
const AT_ONCE: usize = 1_000;
const BYTES: usize = 8 * 1024 * 1024;

/// How many documents are read at the most.
const DOCUMENTS: usize = 50_000;

/// Reads all that an element of an account's callflow needs. `grow` is told how many more bytes are held, and may refuse.
///
/// Errors: the store fails, `grow` refuses, or [`TooLarge`].
pub async fn read<E: From<store::Error> + From<TooLarge>>(
    store: &dyn Store,
    account: AccountId,
    element: Element,
    grow: impl FnMut(usize) -> Result<(), E>,
) -> Result<Reading, E> {
    read_all(store, account, vec![element], grow).await
}

/// The same for many elements, in no more requests than for one.
///
/// Errors: those of [`read`].
pub async fn read_all<E: From<store::Error> + From<TooLarge>>(
    store: &dyn Store,
    account: AccountId,
    elements: Vec<Element>,
    mut grow: impl FnMut(usize) -> Result<(), E>,
) -> Result<Reading, E> {
    let mut reading = Reading::of_all(elements, account);
    let database = account.database();
    // nobody knows how large they are before they are there
    let mut size = FIRST;
    for _ in 0..ROUNDS {
        let wanted = reading.wanted().clone();
        if wanted.is_empty() {
            return Ok(reading);
        }
        if reading.len() + wanted.documents.len() > DOCUMENTS {
            break;
        }
        // what is no id names nothing
        let ids: Vec<DocId> = wanted.documents.iter().filter_map(|id| id.parse().ok()).collect();
        // devices lead to no further groups: they are looked for once, when all groups are known
        let users: Vec<String> = if ids.is_empty() { wanted.owned.iter().cloned().collect() } else { Vec::new() };
        let get = async |ids: &[DocId]| store.get_many(&database, ids).await;
        let documents = in_pieces(&ids, &mut size, get, |document| document.bytes(), &mut grow).await?;
        let find = async |users: &[String]| store.find(&database, &OWNED, users).await;
        let devices = in_pieces(&users, &mut size, find, |(_, device)| device.bytes(), &mut grow).await?;
        reading.take(documents, devices);
    }
    Err(TooLarge.into())
}

/// Reads what is wanted, `size` at a time at first, and then as many as have [`BYTES`] by what the last ones were.
async fn in_pieces<W, T, E: From<store::Error>>(
    wanted: &[W],
    size: &mut usize,
    read: impl AsyncFn(&[W]) -> store::Result<Vec<T>>,
    bytes: impl Fn(&T) -> usize,
    grow: &mut impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<T>, E> {
    let (mut found, mut left) = (Vec::new(), wanted);
    while !left.is_empty() {
        let (some, rest) = left.split_at((*size).min(left.len()));
        let piece = read(some).await?;
        let held: usize = piece.iter().map(&bytes).sum();
        grow(held)?;
        *size = (BYTES.saturating_mul(some.len()) / held.max(1)).clamp(1, AT_ONCE);
        found.extend(piece);
        left = rest;
    }
    Ok(found)
}

/// The elements of an account's callflows that name a group, in the order of the callflows' ids.
///
/// `grow` is told how many more bytes are held, and may refuse.
///
/// Errors: the store fails, `grow` refuses, [`TooMany`], or [`TooLarge`] where there are more than [`ELEMENTS`].
pub async fn naming<E: From<store::Error> + From<TooLarge> + From<TooMany>>(
    store: &dyn Store,
    account: AccountId,
    group: &str,
    grow: impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<Named>, E> {
    let group = group.to_owned();
    let look_at = move |named: &mut Vec<Named>, callflow: &Document| {
        if named.len() <= ELEMENTS {
            named.extend(rings::naming(callflow, &group));
        }
    };
    let bytes = |named: &Vec<Named>| named.iter().map(Named::bytes).sum();
    let named = looked_at(store, account, &[CALLFLOW], Vec::new(), look_at, bytes, grow).await?;
    if named.len() > ELEMENTS { Err(TooLarge.into()) } else { Ok(named) }
}

/// Says whom each element of a reading rings, the first of which is the group's own, and the others those of `named`: one
/// element after the other, and `grow` is told how many bytes one has before it is told in words, and may refuse.
///
/// Errors: `grow` refuses, or [`TooLarge`].
pub async fn tell<R: Send + 'static, E: From<TooLarge>>(
    reading: Arc<Reading>,
    named: Option<Vec<Named>>,
    call: Call,
    told: impl Fn(&Reading, Rings) -> R + Clone + Send + 'static,
    mut grow: impl FnMut(usize) -> Result<(), E>,
) -> Result<WithCallflows<R>, E> {
    let call = Arc::new(call);
    let mut at = 0..;
    let mut next = async || {
        let (reading, call, at) = (Arc::clone(&reading), Arc::clone(&call), at.next().unwrap_or_default());
        let bytes = reading.bytes();
        let rung = move || {
            let element = reading.elements().get(at);
            let rings = element.map_or_else(|| Ok(Rings::default()), |element| rings_of(&reading, element, &call));
            rings.map(|rings| (reading, rings))
        };
        // a callflow's element may ring the same documents in many ways
        let size = if at == 0 { bytes } else { usize::MAX };
        let (reading, rings) = by_size(size, rung).await?;
        let (bytes, told) = (rings.bytes(), told.clone());
        grow(bytes)?;
        Ok::<R, E>(by_size(bytes, move || told(&reading, rings)).await)
    };
    let rings = next().await?;
    let Some(named) = named else { return Ok(WithCallflows { rings, callflows: None }) };
    let mut callflows = Vec::new();
    for named in named {
        let rings = if named.element.is_some() { Some(next().await?) } else { None };
        callflows.push(InCallflow { named, rings });
    }
    Ok(WithCallflows { rings, callflows: Some(callflows) })
}
