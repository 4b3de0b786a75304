//! Paging: which rows of a view a page shows, and where the next page starts.
//!
//! A page takes rows in key order from its start until it is full, and shows them in descending order. Where a
//! filter leaves rows out, Kazoo refills the page in rounds: a round examines as many rows as the page still lacks.
//! The start of the last round is what the answer calls `start_key`, and the row after it gives `next_start_key`.

use futures::{Stream, StreamExt, pin_mut};

use super::erlang::integer;

/// A page's size: at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(usize);

impl PageSize {
    /// The size where neither the client nor the system's configuration names one.
    pub const DEFAULT: Self = Self(50);

    /// A size of so many rows; None if there are none.
    pub fn new(rows: i64) -> Option<Self> {
        usize::try_from(rows).ok().filter(|rows| *rows > 0).map(Self)
    }

    /// The size that a client asks for; the default if it asks for none, or for what is no size (`0`, `-1`, `abc`).
    pub fn of_text(text: Option<&str>, default: Self) -> Self {
        // more rows than there can be are all rows
        let asked = text.and_then(|text| match text.parse::<u128>() {
            Ok(size) => Some(usize::try_from(size).unwrap_or(usize::MAX)),
            Err(_) => integer(text).and_then(|size| usize::try_from(size).ok()),
        });
        asked.filter(|size| *size > 0).map_or(default, Self)
    }

    /// The size as a number.
    pub fn get(self) -> usize {
        self.0
    }
}

/// Where a page is among the rows of its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<K> {
    /// Where the last round started, if a start was asked for or a filter made a second round needful.
    pub start: Option<K>,
    /// Where the next page starts, if there is one.
    pub next: Option<K>,
}

/// Fills a page from `rows`, which come in key order from `start` on. `key` is where a page that starts at a row
/// starts; `take` takes a row into the page, unless the filter leaves it out, and says whether it did.
///
/// Errors: the first that `rows` or `take` gives.
pub async fn walk<R, K, E>(
    rows: impl Stream<Item = Result<R, E>>,
    size: PageSize,
    start: Option<K>,
    key: impl Fn(&R) -> K,
    mut take: impl FnMut(R) -> Result<bool, E>,
) -> Result<Page<K>, E> {
    pin_mut!(rows);
    let mut page = Page { start, next: None };
    let mut lacking = size.get();
    let mut left_in_round = lacking;
    while let Some(row) = rows.next().await {
        let row = row?;
        if left_in_round == 0 {
            if lacking == 0 {
                page.next = Some(key(&row));
                break;
            }
            page.start = Some(key(&row));
            left_in_round = lacking;
        }
        left_in_round -= 1;
        lacking -= usize::from(take(row)?);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            (None, 50),
            (Some(""), 50),
            (Some("abc"), 50),
            (Some("0"), 50),
            (Some("-1"), 50),
            (Some("1.5"), 2),
            (Some("7"), 7),
            (Some("99999999999999999999"), usize::MAX),
        ] {
            assert_eq!(PageSize::of_text(text, PageSize::DEFAULT), PageSize(size), "{text:?}");
        }
    }
}
