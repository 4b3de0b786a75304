//! CSV as Kazoo writes it: objects flattened, a column for each path (its keys joined with `_`), every cell in quotes
//! and a missing value without. A table is made from JSON as it stands: what is held in memory is the table itself.

use std::borrow::Cow;

use indexmap::IndexSet;
use serde_json::value::RawValue;

use crate::budgets::Budget;
use crate::document::Document;
use crate::document::cursor::Cursor;
use crate::document::json::DEEPEST;
use crate::kazoo::erlang::{NoText, text_within};
use crate::kazoo::kind::Table;

use super::answer::Data;
use super::error::Error;

/// How large a table may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many columns it may have.
    pub columns: usize,
    /// How many bytes.
    pub bytes: usize,
}

/// The table of one document, or of a list; nothing at all of an empty list.
///
/// Errors: [`Error::OverBudget`], it would be larger than it may be.
pub fn table(data: &Data, shown: &Table, limits: Limits) -> Result<String, Error> {
    match data {
        Data::One(document) => write(&[in_columns(document, shown.first_columns).get()], limits),
        Data::List(rows) => write(&items(rows.json()), limits),
    }
}

fn items(list: &RawValue) -> Vec<&str> {
    let mut cursor = Cursor::new(list.get());
    cursor.token();
    std::iter::from_fn(|| cursor.item().then(|| cursor.value())).collect()
}

/// A document's fields in the order of its table's columns.
fn in_columns(document: &RawValue, first: &[&str]) -> Box<RawValue> {
    let Some(fields) = Document::from_raw(document) else { return document.to_owned() };
    let mut fields: Vec<(String, Box<RawValue>)> = fields.into_iter().collect();
    let place = |key: &str| match first.iter().position(|first| *first == key) {
        Some(place) => place,
        None => first.len() + usize::from(key == "id"),
    };
    fields.sort_by(|(a, _), (b, _)| place(a).cmp(&place(b)).then_with(|| b.cmp(a)));
    fields.into_iter().collect::<Document>().to_raw()
}

fn write(rows: &[&str], limits: Limits) -> Result<String, Error> {
    if rows.is_empty() {
        return Ok(String::new());
    }
    let mut columns = Columns::default();
    for row in rows {
        columns.add(row, limits.columns)?;
    }
    let mut lines = Lines { table: String::new(), most: limits.bytes };
    columns.write_headings(&mut lines)?;
    let mut cells = Vec::new();
    for row in rows {
        columns.cells(row, &mut cells);
        for (column, cell) in cells.iter().enumerate() {
            lines.separate(column)?;
            if let Some(cell) = cell {
                lines.write_cell(cell)?;
            }
        }
        lines.push("\n")?;
    }
    Ok(lines.table)
}

/// The columns of a table: paths, each as its last key below the path of the others.
#[derive(Default)]
struct Columns<'t> {
    paths: IndexSet<Path<'t>>,
    /// The paths that are columns, in the order in which they were found.
    columns: IndexSet<Option<usize>>,
}

/// A key below another path, which is known by its number; below none, it is a document's own.
#[derive(PartialEq, Eq, Hash)]
struct Path<'t> {
    above: Option<usize>,
    key: Cow<'t, str>,
}

impl<'t> Columns<'t> {
    /// Adds the columns of a row that are not there yet.
    ///
    /// Errors: there are more than `most`, or more objects that they lie in.
    fn add(&mut self, row: &'t str, most: usize) -> Result<(), Error> {
        walk(&mut Cursor::new(row), None, 1, &mut |step| match step {
            Step::Into(above, _) if self.paths.len() > most => above,
            Step::Into(above, key) => Some(self.paths.insert_full(Path { above, key }).0),
            Step::At(path, _) => {
                self.columns.insert(path);
                path
            }
        });
        if self.paths.len() > most { Err(Error::OverBudget(Budget::Columns, most)) } else { Ok(()) }
    }

    /// What a row has in each column.
    fn cells(&self, row: &'t str, cells: &mut Vec<Option<&'t str>>) {
        cells.clear();
        cells.resize(self.columns.len(), None);
        walk(&mut Cursor::new(row), None, 1, &mut |step| match step {
            Step::Into(above, key) => self.paths.get_index_of(&Path { above, key }),
            Step::At(path, value) => {
                if let Some(cell) = self.columns.get_index_of(&path).and_then(|column| cells.get_mut(column)) {
                    *cell = Some(value);
                }
                path
            }
        });
    }

    /// Writes the first line: each column's keys, joined. Ids are headed `ID`.
    fn write_headings(&self, lines: &mut Lines) -> Result<(), Error> {
        for (column, path) in self.columns.iter().enumerate() {
            let mut keys = Vec::new();
            let mut at = *path;
            while let Some(path) = at.and_then(|path| self.paths.get_index(path)) {
                keys.push(&*path.key);
                at = path.above;
            }
            keys.reverse();
            lines.separate(column)?;
            lines.push("\"")?;
            match keys.as_slice() {
                ["id"] => lines.push("ID")?,
                keys => {
                    for (number, key) in keys.iter().enumerate() {
                        lines.push(if number > 0 { "_" } else { "" })?;
                        lines.push_quoted(key)?;
                    }
                }
            }
            lines.push("\"")?;
        }
        lines.push("\n")
    }
}

/// What is found on a walk through a row.
enum Step<'t> {
    /// A key below a path.
    Into(Option<usize>, Cow<'t, str>),
    /// A value at a path that is no object.
    At(Option<usize>, &'t str),
}

/// Walks through a row, and tells each step; what it is answered is the path that the walk is at then. An object that is
/// nested too deep is a value.
fn walk<'t>(
    cursor: &mut Cursor<'t>,
    path: Option<usize>,
    depth: usize,
    step: &mut impl FnMut(Step<'t>) -> Option<usize>,
) {
    if cursor.peek() != Some(b'{') || depth > DEEPEST {
        step(Step::At(path, cursor.value()));
        return;
    }
    cursor.token();
    while let Some(key) = cursor.key() {
        let path = step(Step::Into(path, key));
        walk(cursor, path, depth + 1, step);
    }
}

/// The lines of a table, as they are written.
struct Lines {
    table: String,
    most: usize,
}

impl Lines {
    /// Errors: the table becomes too long.
    fn push(&mut self, text: &str) -> Result<(), Error> {
        if self.table.len().saturating_add(text.len()) > self.most {
            return Err(Error::OverBudget(Budget::Answer, self.most));
        }
        self.table.push_str(text);
        Ok(())
    }

    fn separate(&mut self, column: usize) -> Result<(), Error> {
        self.push(if column > 0 { "," } else { "" })
    }

    /// A text within quotes: those of its own are doubled.
    fn push_quoted(&mut self, text: &str) -> Result<(), Error> {
        let mut pieces = text.split('"');
        self.push(pieces.next().unwrap_or_default())?;
        pieces.try_for_each(|piece| {
            self.push("\"\"")?;
            self.push(piece)
        })
    }

    /// A cell, unless the value has no text. A list's items are joined with commas.
    fn write_cell(&mut self, value: &str) -> Result<(), Error> {
        let start = self.table.len();
        self.push("\"")?;
        let mut cursor = Cursor::new(value);
        let mut written = Ok(());
        if cursor.peek() == Some(b'[') {
            cursor.token();
            let mut separator = "";
            while written.is_ok() && cursor.item() {
                self.push(separator)?;
                separator = ",";
                written = self.write_text(cursor.value())?;
            }
        } else {
            written = self.write_text(value)?;
        }
        match written {
            Ok(()) => self.push("\""),
            Err(NotAText) => {
                self.table.truncate(start);
                Ok(())
            }
        }
    }

    fn write_text(&mut self, value: &str) -> Result<Result<(), NotAText>, Error> {
        match text_within(value, self.most - self.table.len()) {
            Ok(text) => self.push_quoted(&text).map(Ok),
            Err(NoText::NotAText) => Ok(Err(NotAText)),
            Err(NoText::TooLong) => Err(Error::OverBudget(Budget::Answer, self.most)),
        }
    }
}

/// A value has no text.
struct NotAText;

#[cfg(test)]
mod tests {
    use crate::document::json;
    use crate::kazoo::kind::GROUPS;

    use std::sync::Arc;

    use super::super::answer::List;
    use super::*;

    const LIMITS: Limits = Limits { columns: 6, bytes: 90 };

    fn list(rows: &str) -> Result<String, Error> {
        let rows = RawValue::from_string(rows.to_owned()).unwrap();
        let number = items(&rows).len();
        table(&Data::List(Arc::new(List::new(rows, number))), &GROUPS.table, LIMITS)
    }

    #[test]
    fn cells_are_quoted_and_missing_ones_are_not() {
        assert_eq!(
            list(r#"[{"id":"1","o":{"a":"x\"y","b":[]},"l":["p","q"]},{"id":"2","n":1.5,"o":7,"l":[{}]}]"#).unwrap(),
            "\"ID\",\"o_a\",\"o_b\",\"l\",\"n\",\"o\"\n\"1\",\"x\"\"y\",\"\",\"p,q\",,\n\"2\",,,,\"1.5\",\"7\"\n"
        );
        assert_eq!(list(r#"["a","b"]"#).unwrap(), "\"\"\n\"a\"\n\"b\"\n");
        assert_eq!(list("[]").unwrap(), "");
    }

    #[test]
    fn the_columns_of_one_document_always_stand_the_same() {
        let document = json::raw(&serde_json::json!({"a": 1, "id": "x", "flags": [], "b": {"c": null}, "name": "n"}));
        let table = table(&Data::One(document), &GROUPS.table, LIMITS).unwrap();
        assert_eq!(table, "\"name\",\"flags\",\"b_c\",\"a\",\"ID\"\n\"n\",\"\",\"null\",\"1\",\"x\"\n");
    }

    #[test]
    fn a_table_has_a_bound() {
        let budget = |rows: &str| list(rows).unwrap_err().budget();
        assert_eq!(budget(r#"[{"a":1,"b":2,"c":3,"d":{"e":4}},{"f":1,"g":2}]"#), Some(Budget::Columns));
        assert_eq!(budget(&format!(r#"["{}"]"#, "x".repeat(90))), Some(Budget::Answer));
        assert_eq!(budget(&format!(r#"[{{"{}":{{"a":1,"b":1}}}}]"#, "k".repeat(45))), Some(Budget::Answer));
        assert_eq!(budget(&format!("[{}1]", r#"{"a":1,"b":1},"#.repeat(20))), Some(Budget::Answer));
    }
}
