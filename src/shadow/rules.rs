//! Which of the differences that are written down (`docs/differences.md`) explains one that was found. A rule is named only
//! where both answers show that it is the one; that a token was refused here, say, may have any reason.

use super::Part;
use super::compare::{Answer, Difference};

/// What both sides were asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Whether it is about the groups of a user.
    pub of_user: bool,
    /// The id of the group that it is about; None: about a list.
    pub id: Option<String>,
    /// The path and the query, as they came.
    pub target: String,
    /// The names of the query's parameters, and whether they have a value.
    pub parameters: Vec<(String, bool)>,
    /// What `Accept` says.
    pub accept: String,
    /// Whether `If-None-Match` was sent.
    pub is_conditional: bool,
}

/// A row of *Differences from Kazoo 4.3*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Rule {
    NextPage,
    ExhaustedFilter,
    ListEtag,
    EmptyIfNoneMatch,
    PrivateIds,
    ClientsMistakes,
    MadeUpNames,
    AcceptCharset,
    JsonpNames,
    CsvColumns,
    Bounds,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NextPage,
        Self::ExhaustedFilter,
        Self::ListEtag,
        Self::EmptyIfNoneMatch,
        Self::PrivateIds,
        Self::ClientsMistakes,
        Self::MadeUpNames,
        Self::AcceptCharset,
        Self::JsonpNames,
        Self::CsvColumns,
        Self::Bounds,
    ];

    /// What counts and the log call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NextPage => "next_page",
            Self::ExhaustedFilter => "exhausted_filter",
            Self::ListEtag => "list_etag",
            Self::EmptyIfNoneMatch => "empty_if_none_match",
            Self::PrivateIds => "private_ids",
            Self::ClientsMistakes => "clients_mistakes",
            Self::MadeUpNames => "made_up_names",
            Self::AcceptCharset => "accept_charset",
            Self::JsonpNames => "jsonp_names",
            Self::CsvColumns => "csv_columns",
            Self::Bounds => "bounds",
        }
    }

    /// The beginning of its row.
    pub fn row(self) -> &'static str {
        match self {
            Self::NextPage => "`next_start_key` of a user's groups leads to the next page",
            Self::ExhaustedFilter => "a filtered list that is exhausted has no `next_start_key`",
            Self::ListEtag => "a list's ETag stays while the list and what follows it do",
            Self::EmptyIfNoneMatch => "`If-None-Match` on an empty list gives the list",
            Self::PrivateIds => "ids that begin with `_`, hold a slash or are `.` or `..` are not found",
            Self::ClientsMistakes => "bad percent signs in a path are 400, in a query taken as they are",
            Self::MadeUpNames => "who names many keys or accounts that do not exist is 429",
            Self::AcceptCharset => "`Accept` with a charset is JSON",
            Self::JsonpNames => "`jsonp` takes ASCII names only",
            Self::CsvColumns => "the columns of one group's CSV always stand in the same order",
            Self::Bounds => "what goes over a bound",
        }
    }
}

/// The rule by which two answers differ in a place; None: it is not written down.
pub fn explain(asked: &Question, theirs: &Answer, ours: &Answer, difference: &Difference) -> Option<Rule> {
    match difference.part {
        Part::Status => of_status(asked, theirs.status, ours),
        Part::Header => None,
        Part::Body => of_body(asked, theirs, ours, difference),
    }
}

fn of_status(asked: &Question, theirs: u16, ours: &Answer) -> Option<Rule> {
    let has_mistake = || {
        let has_bare = |wanted: &str| asked.parameters.iter().any(|(name, has_value)| name == wanted && !has_value);
        let has_bad_percent = asked.target.match_indices('%').any(|(at, _)| {
            !asked.target.as_bytes().get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
        });
        let has_size = asked.parameters.iter().any(|(name, _)| name == "page_size");
        let is_long =
            asked.target.split('?').next().is_some_and(|path| path.split('/').count() > 8 || path.contains("/../"));
        has_bad_percent || has_bare("accept") || has_bare("jsonp") || has_size || is_long
    };
    let is_private = |id: &str| id.starts_with('_') || id.contains('/') || matches!(id, "." | "..");
    let message = || ours.envelope().and_then(|(envelope, _)| Some(envelope.get("message")?.as_str()?.to_owned()));
    match (theirs, ours.status) {
        (200, 304) if asked.id.is_none() && asked.is_conditional => Some(Rule::ListEtag),
        (412, 200) if asked.id.is_none() && asked.is_conditional && is_empty_list(ours) => Some(Rule::EmptyIfNoneMatch),
        (_, 404) if asked.id.as_deref().is_some_and(is_private) => Some(Rule::PrivateIds),
        (500, 200 | 400 | 404) if has_mistake() => Some(Rule::ClientsMistakes),
        (401 | 404, 429) | (404, 401) => Some(Rule::MadeUpNames),
        (406, 200) if asked.accept.to_ascii_lowercase().contains("charset") => Some(Rule::AcceptCharset),
        (200, 400) if asked.parameters.iter().any(|(name, _)| name == "jsonp") => Some(Rule::JsonpNames),
        (_, 414 | 413) => Some(Rule::Bounds),
        (_, 400) if message().as_deref() == Some("too_large") => Some(Rule::Bounds),
        (_, 503) if matches!(message().as_deref(), Some("overloaded" | "timeout")) => Some(Rule::Bounds),
        _ => None,
    }
}

fn of_body(asked: &Question, theirs: &Answer, ours: &Answer, difference: &Difference) -> Option<Rule> {
    let is_table = theirs.header("content-type").is_some_and(|kind| kind.starts_with("text/csv"));
    let is_filter = |name: &str| {
        name.starts_with("filter_")
            || ["has_key", "key_missing", "has_value", "value_missing"].contains(&name)
            || ["created_from", "created_to", "modified_from", "modified_to"].contains(&name)
    };
    match difference.place.as_str() {
        "/next_start_key" if asked.of_user => Some(Rule::NextPage),
        "/next_start_key" if difference.ours.is_none() && asked.parameters.iter().any(|(name, _)| is_filter(name)) => {
            Some(Rule::ExhaustedFilter)
        }
        "body" if is_table && asked.id.is_some() && cells(theirs) == cells(ours) => Some(Rule::CsvColumns),
        _ => None,
    }
}

fn is_empty_list(answer: &Answer) -> bool {
    answer.envelope().is_some_and(|(envelope, _)| {
        envelope.get("data").and_then(serde_json::Value::as_array).is_some_and(Vec::is_empty)
    })
}

/// The cells of each line of a table, in an order that does not tell of columns.
fn cells(table: &Answer) -> Vec<Vec<&[u8]>> {
    let lines = table.body.split(|byte| *byte == b'\n');
    lines
        .map(|line| {
            let mut cells: Vec<&[u8]> = line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
            cells.sort_unstable();
            cells
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Compared, Outcome};
    use super::*;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, headers: Vec::new(), body: body.to_string().into() }
    }

    fn outcome(asked: &Question, theirs: &Answer, ours: &Answer) -> Outcome {
        Compared::of(asked, theirs, ours).outcome
    }

    #[test]
    fn every_rule_is_a_row_of_the_differences() {
        let page = include_str!("../../docs/differences.md");
        for rule in Rule::ALL {
            let rows = page.lines().filter(|line| line.starts_with(&format!("| {}", rule.row()))).count();
            assert_eq!(rows, 1, "{rule}");
        }
    }

    #[test]
    fn a_rule_explains_what_it_says_and_nothing_else() {
        let list = |next: Option<&str>| {
            let mut list = json!({"data": [{"id": "a"}], "status": "success"});
            if let Some(next) = next {
                list["next_start_key"] = next.into();
            }
            answer(200, &list)
        };
        let of_user = Question { of_user: true, ..Question::default() };
        let filtered = Question { parameters: vec![("filter_name".to_owned(), true)], ..Question::default() };
        let (some, other, none) = (list(Some("x")), list(Some("y")), list(None));
        assert_eq!(outcome(&of_user, &some, &other), Outcome::Explained(Rule::NextPage));
        assert_eq!(outcome(&filtered, &some, &none), Outcome::Explained(Rule::ExhaustedFilter));
        for (asked, theirs, ours) in
            [(&filtered, &some, &other), (&filtered, &none, &some), (&Question::default(), &some, &none)]
        {
            assert_eq!(outcome(asked, theirs, ours), Outcome::Different(Part::Body));
        }
    }

    #[test]
    fn one_difference_that_is_not_written_down_is_enough() {
        let of_user = Question { of_user: true, ..Question::default() };
        let theirs = answer(200, &json!({"data": [{"id": "a"}], "next_start_key": "x"}));
        let ours = answer(200, &json!({"data": [{"id": "b"}], "next_start_key": "y"}));
        assert_eq!(outcome(&of_user, &theirs, &ours), Outcome::Different(Part::Body));
    }

    #[test]
    fn statuses_are_explained_by_what_was_asked() {
        let empty = json!({"data": []});
        let asked = Question::default();
        let conditional = Question { is_conditional: true, ..Question::default() };
        let private = Question { id: Some("_all_docs".to_owned()), ..Question::default() };
        let named = Question { id: Some("a".to_owned()), ..Question::default() };
        let bad = Question { target: "/v2/accounts/a/groups?x=%zz".to_owned(), ..Question::default() };
        let charset = Question { accept: "application/json; charset=utf-8".to_owned(), ..Question::default() };
        let jsonp = Question { parameters: vec![("jsonp".to_owned(), true)], ..Question::default() };
        for (asked, theirs, ours, rule) in [
            (&conditional, 200, 304, Some(Rule::ListEtag)),
            (&asked, 200, 304, None),
            (&conditional, 412, 200, Some(Rule::EmptyIfNoneMatch)),
            (&private, 200, 404, Some(Rule::PrivateIds)),
            (&named, 200, 404, None),
            (&bad, 500, 200, Some(Rule::ClientsMistakes)),
            (&asked, 500, 200, None),
            (&asked, 404, 429, Some(Rule::MadeUpNames)),
            (&asked, 200, 401, None),
            (&charset, 406, 200, Some(Rule::AcceptCharset)),
            (&asked, 406, 200, None),
            (&jsonp, 200, 400, Some(Rule::JsonpNames)),
            (&asked, 200, 400, None),
            (&asked, 200, 414, Some(Rule::Bounds)),
            (&asked, 200, 503, None),
        ] {
            let expected = rule.map_or(Outcome::Different(Part::Status), Outcome::Explained);
            assert_eq!(outcome(asked, &answer(theirs, &empty), &answer(ours, &empty)), expected, "{theirs} {ours}");
        }
        let too_large = answer(400, &json!({"data": {}, "message": "too_large"}));
        assert_eq!(outcome(&asked, &answer(200, &empty), &too_large), Outcome::Explained(Rule::Bounds));
    }

    #[test]
    fn a_tables_columns_may_stand_in_another_order_and_hold_nothing_else() {
        let table = |body: &'static str| {
            let headers = vec![("content-type".to_owned(), "text/csv".to_owned())];
            Answer { status: 200, headers, body: body.into() }
        };
        let one = Question { id: Some("a".to_owned()), ..Question::default() };
        let theirs = table("id,name\na,x\n");
        assert_eq!(outcome(&one, &theirs, &table("name,id\nx,a\n")), Outcome::Explained(Rule::CsvColumns));
        assert_eq!(outcome(&one, &theirs, &table("name,id\ny,a\n")), Outcome::Different(Part::Body));
    }
}
