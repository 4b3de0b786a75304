//! Lists of documents: the rows of a view, whole or in pages, those that a filter accepts.
//!
//! A list holds no more of its documents than the filter looks at, and of its rows nothing but their JSON.

use std::sync::{Arc, LazyLock};

use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::aside::by_size;
use crate::budgets::Budget;
use crate::document::hex;
use crate::kazoo::erlang::Term;
use crate::kazoo::filter::Filter;
use crate::kazoo::kind::Kind;
use crate::kazoo::page::{self, PageSize};
use crate::store::{self, Query, Row};

use super::answer::{Allowance, Answer, Data, List, Paging, Shown};
use super::context::{Api, Authorized};
use super::error::Error;
use super::incoming::Incoming;
use super::pages::{Page, Wanted};

/// How many batches of rows all lists together hold.
pub(super) static BATCHES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(64));

/// As how many batches one counts that comes with its documents: they take several times their bytes.
pub(super) const WEIGHT_OF_DOCUMENTS: u32 = 16;

/// A list that looked at so many rows is a long one.
const LONG: usize = 1_000;

/// How many long lists are read on at a time. Each is read to its end: if all went on in turn, none would be done in time.
static LONG_LISTS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(8));

/// `GET …/{noun}`
pub async fn list(authorized: &Authorized<'_>, kind: &'static Kind) -> Result<Answer, Error> {
    let request = authorized.incoming;
    let filter = filter(authorized.api, request)?;
    let start = match request.has_bare("start_key") {
        true => Some(Term::True),
        false => request.parameter("start_key").map(|text| Term::decode(&text)),
    };
    let size = match authorized.path.has_pages && request.is_true("paginate", true) {
        true => Some(page_size(authorized).await?),
        false => None,
    };
    let version = authorized.api.store.version(&authorized.account.id.database()).filter(|_| filter.is_empty());
    let page = match version {
        Some(version) => {
            let wanted = Wanted {
                account: authorized.account.id,
                noun: kind.noun,
                user: authorized.user.clone(),
                start: start.as_ref().map(Term::encode),
                size: size.map(PageSize::get),
            };
            authorized.api.pages.get(wanted, version, gather(authorized, kind, start, size, filter)).await?
        }
        None => Arc::new(gather(authorized, kind, start, size, filter).await?),
    };
    Ok(Answer {
        revision: match (page.rows.count(), request.only_reads()) {
            (0, _) => Shown::None,
            (_, true) => Shown::Digest(page.digest.clone()),
            (_, false) => Shown::Automatic,
        },
        page: size.map(|_| Paging { size: page.rows.count(), start: page.start.clone(), next: page.next.clone() }),
        table: &kind.table,
        data: Data::List(Arc::clone(&page.rows)),
        ..Answer::default()
    })
}

/// Puts a list together: a page of so many rows from a start on, or without a size all of it.
async fn gather(
    authorized: &Authorized<'_>,
    kind: &'static Kind,
    start: Option<Term>,
    size: Option<PageSize>,
    filter: Filter,
) -> Result<Page, Error> {
    let from = match &start {
        Some(Term::Binary(key)) => Some(key.clone()),
        // it comes before all texts
        Some(Term::True) | None => None,
    };
    let (view, query) = match (&authorized.user, from) {
        (None, None) => (kind.listing, Query::all()),
        (None, Some(id)) => (kind.listing, Query::from_key(id)),
        (Some(user), None) => (kind.listing_by_user, Query::of_key(user)),
        (Some(user), Some(id)) => (kind.listing_by_user, Query::of_key_from(user, id)),
    };
    let query = if filter.is_empty() { query } else { query.with_documents() };
    let database = authorized.account.id.database();
    let mut rows = Rows::new(Allowance::new(&authorized.api.budgets));
    let mut take = |(row, passes): (Row, bool)| {
        if passes {
            rows.push(&row.value)?;
        }
        Ok(passes)
    };
    let page = match size {
        Some(size) => {
            // a page, and the row after it
            let query = if filter.is_empty() { query.batch(size.get().saturating_add(1).min(LONG)) } else { query };
            let seen = judged(authorized.api.store.batches(&database, &view, query), filter);
            // both views' rows are found again by their document's id: it is the key of one, and orders the other
            let key = |(row, _): &(Row, bool)| Term::Binary(row.id.to_string());
            page::walk(seen.map_err(Error::from), size, start, key, take).await?
        }
        None => {
            let seen = judged(authorized.api.store.batches(&database, &view, query.descending()), filter);
            seen.map_err(Error::from).try_for_each(|row| std::future::ready(take(row).map(drop))).await?;
            page::Page { start: None, next: None }
        }
    };
    let (count, next) = (rows.len(), page.next.map(|key| key.encode()));
    // a page is read from its first row, and shown from its last
    let (rows, digest) = rows.into_json(size.is_some(), next.clone()).await?;
    let rows = Arc::new(List::new(rows, count));
    Ok(Page { rows, digest, start: page.start.map(|key| key.encode()), next })
}

/// The filter of a request.
///
/// Errors: it has too many conditions.
pub(super) fn filter(api: &Api, incoming: &Incoming) -> Result<Filter, Error> {
    let query = incoming.query.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
    let most = api.budgets.max_conditions;
    Filter::of_query(query, most).map_err(|_| Error::OverBudget(Budget::Conditions, most))
}

/// How many rows the client asks for, or else the system's configuration.
async fn page_size(authorized: &Authorized<'_>) -> Result<PageSize, Error> {
    let default = authorized.api.auth.system().await?.page_size.unwrap_or(PageSize::DEFAULT);
    Ok(PageSize::of_text(authorized.incoming.parameter("page_size").as_deref(), default))
}

/// The rows without their documents, and whether each passes a filter. They are looked at as they were read, batch by
/// batch; no more are read before that.
fn judged(
    batches: BoxStream<'_, store::Result<Vec<Row>>>,
    filter: Filter,
) -> impl Stream<Item = store::Result<(Row, bool)>> + '_ {
    let filter = Arc::new(filter);
    let weight = if filter.is_empty() { 1 } else { WEIGHT_OF_DOCUMENTS };
    let begun = (batches, 0, None);
    stream::unfold(begun, move |(mut batches, seen, mut long)| {
        let filter = Arc::clone(&filter);
        async move {
            if seen >= LONG && long.is_none() {
                long = Some(LONG_LISTS.acquire().await);
            }
            let place = BATCHES.acquire_many(weight).await;
            let judged: Vec<_> = match batches.next().await? {
                Ok(batch) => {
                    let documents = batch.iter().filter_map(|row| row.document.as_ref());
                    let bytes = documents.map(|document| document.bytes()).sum();
                    let judge = move || batch.into_iter().map(|row| Ok(judge(row, &filter))).collect();
                    by_size(bytes, judge).await
                }
                Err(error) => vec![Err(error)],
            };
            drop(place);
            let seen = seen + judged.len();
            Some((stream::iter(judged), (batches, seen, long)))
        }
    })
    .flatten()
}

/// A row without its document, and whether it is shown. One whose document went away after the row was made passes no
/// filter.
fn judge(row: Row, filter: &Filter) -> (Row, bool) {
    let passes = filter.is_empty() || row.document.as_ref().is_some_and(|document| filter.accepts(document));
    (Row { document: None, ..row }, passes)
}

/// The rows of a list as they are gathered: the JSON of one after the other.
struct Rows {
    json: Vec<u8>,
    lengths: Vec<usize>,
    allowance: Allowance,
}

impl Rows {
    fn new(allowance: Allowance) -> Self {
        Self { json: b"[".to_vec(), lengths: Vec::new(), allowance }
    }

    /// Errors: the list becomes too long.
    fn push(&mut self, row: &RawValue) -> Result<(), Error> {
        let row = row.get().as_bytes();
        self.allowance.grow(row.len() + size_of::<usize>())?;
        if !self.lengths.is_empty() {
            self.json.push(b',');
        }
        self.json.extend_from_slice(row);
        self.lengths.push(row.len());
        Ok(())
    }

    fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The list, on demand from its last row to its first, and a digest of it and of what follows it.
    async fn into_json(mut self, is_reversed: bool, next: Option<String>) -> Result<(Box<RawValue>, String), Error> {
        let made = by_size(self.json.len(), move || {
            if is_reversed {
                self.reverse();
            }
            self.json.push(b']');
            let digest = Md5::new().chain_update(&self.json).chain_update(next.unwrap_or_default()).finalize();
            let json = String::from_utf8(self.json).map_err(|error| error.to_string())?;
            let json = RawValue::from_string(json).map_err(|error| error.to_string())?;
            Ok((json, hex(&digest)))
        });
        made.await.map_err(|error: String| store::Error::Corrupt(error).into())
    }

    /// Turns the order of the rows around where they are: all of it, and then each row back.
    fn reverse(&mut self) {
        let Some((_, rows)) = self.json.split_first_mut() else { return };
        rows.reverse();
        let mut at = 0;
        for length in self.lengths.iter().rev() {
            rows[at..at + length].reverse();
            at += length + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use crate::document::{Document, json};

    use super::*;

    #[test]
    fn a_row_whose_document_went_away_passes_no_filter() {
        let row = |document: Option<&str>| Row {
            id: "g".into(),
            key: "g".into(),
            value: Arc::from(json::raw(&1)),
            document: document.map(|text| Arc::new(Document::parse(text).unwrap())),
        };
        let filter = Filter::of_query([("filter_not_name", Some("x"))], 1).unwrap();
        assert!(judge(row(Some("{}")), &filter).1);
        assert!(!judge(row(None), &filter).1);
        assert!(judge(row(None), &Filter::default()).1);
    }

    #[tokio::test]
    async fn lists_read_no_more_than_there_is_room_for_and_end_one_after_the_other() {
        const LISTS: usize = 40;
        const ROWS: usize = 200;
        let document = Arc::new(Document::parse("{}").unwrap());
        let row = || Row {
            id: "g".into(),
            key: "g".into(),
            value: Arc::from(json::raw(&1)),
            document: Some(Arc::clone(&document)),
        };
        let held = || Arc::strong_count(&document) - 1;
        let (most, long) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let list = async |_| {
            // a store goes on with what it was asked for, whether or not somebody looks on
            let batches = stream::iter(0..10).then(|_| async {
                let batch: Vec<Row> = (0..ROWS).map(|_| row()).collect();
                let batch = tokio::spawn(async { batch }).await.unwrap();
                most.fetch_max(held(), Relaxed);
                Ok(batch)
            });
            let filter = Filter::of_query([("filter_not_name", Some("x"))], 1).unwrap();
            let is_late = |at: usize| usize::from(at + 1 == LONG + ROWS);
            let rows = judged(batches.boxed(), filter).enumerate();
            rows.for_each(async |(at, _)| {
                assert!(long.fetch_add(is_late(at), Relaxed) + is_late(at) <= 8);
            })
            .await;
            long.fetch_sub(1, Relaxed);
        };
        futures::future::join_all((0..LISTS).map(list)).await;
        assert_eq!((most.into_inner(), held(), long.into_inner()), (4 * ROWS, 0, 0));
    }

    fn allowance() -> Allowance {
        #[derive(clap::Parser)]
        struct CommandLine {
            #[command(flatten)]
            budgets: crate::budgets::Budgets,
        }
        Allowance::new(&<CommandLine as clap::Parser>::parse_from(["x", "--max-answer", "100"]).budgets)
    }

    #[test]
    fn rows_are_put_together_in_either_order() {
        let list = |rows: &[&str], is_reversed| {
            let mut gathered = Rows::new(allowance());
            for row in rows {
                gathered.push(serde_json::from_str(row).unwrap()).unwrap();
            }
            let made = gathered.into_json(is_reversed, None);
            let (json, _) = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(made).unwrap();
            json.get().to_owned()
        };
        for (rows, forth, back) in [
            (&[][..], "[]", "[]"),
            (&["1"], "[1]", "[1]"),
            (&[r#"{"a":"é"}"#, "[]", r#""xy""#], r#"[{"a":"é"},[],"xy"]"#, r#"["xy",[],{"a":"é"}]"#),
        ] {
            assert_eq!((list(rows, false).as_str(), list(rows, true).as_str()), (forth, back));
        }
    }
}
