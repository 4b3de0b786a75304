//! CSV as Kazoo writes it: objects flattened, a column for each path (its keys joined with `_`), every cell in quotes
//! and a missing value without.

use std::sync::Arc;

use indexmap::IndexSet;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::document::json;
use crate::kazoo::erlang::as_text;
use crate::kazoo::kind::Table;

/// A path's column. Ids are headed `ID`.
fn heading(path: &[String]) -> String {
    let heading = path.join("_");
    if heading == "id" { "ID".to_owned() } else { heading }
}

/// The table of one group.
pub fn of_document(document: &RawValue, shown: &Table) -> String {
    table(&[in_columns(json::tree(document).unwrap_or_default(), shown.first_columns)])
}

/// The table of a list; nothing at all of an empty one.
pub fn of_rows(rows: &[Arc<RawValue>]) -> String {
    table(&rows.iter().map(|row| json::tree(row).unwrap_or_default()).collect::<Vec<_>>())
}

fn table(rows: &[Value]) -> String {
    let mut columns = IndexSet::new();
    for row in rows {
        add_columns(row, &mut Vec::new(), &mut columns);
    }
    if rows.is_empty() {
        return String::new();
    }
    let mut table = line(columns.iter().map(|path| Some(heading(path))));
    for row in rows {
        table.push_str(&line(columns.iter().map(|path| {
            let value = path.iter().try_fold(row, |value, key| value.get(key))?;
            cell(value)
        })));
    }
    table
}

/// A document's fields in the order of its table's columns.
fn in_columns(document: Value, first: &[&str]) -> Value {
    let Value::Object(fields) = document else { return document };
    let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
    let place = |key: &str| match first.iter().position(|first| *first == key) {
        Some(place) => place,
        None => first.len() + usize::from(key == "id"),
    };
    fields.sort_by(|(a, _), (b, _)| place(a).cmp(&place(b)).then_with(|| b.cmp(a)));
    Value::Object(fields.into_iter().collect())
}

fn add_columns(value: &Value, path: &mut Vec<String>, columns: &mut IndexSet<Vec<String>>) {
    let Value::Object(fields) = value else {
        columns.insert(path.clone());
        return;
    };
    for (key, value) in fields {
        path.push(key.clone());
        add_columns(value, path, columns);
        path.pop();
    }
}

/// A list's items are joined with commas.
fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(as_text).collect();
            items.map(|items| items.join(","))
        }
        value => as_text(value),
    }
}

/// One line. csv_core writes the cells; its caller decides which of them are there at all.
fn line(cells: impl Iterator<Item = Option<String>>) -> String {
    let mut writer = csv_core::WriterBuilder::new()
        .quote_style(csv_core::QuoteStyle::Always)
        .terminator(csv_core::Terminator::Any(b'\n'))
        .build();
    let mut line = Vec::new();
    for (column, cell) in cells.enumerate() {
        if column > 0 {
            write(&mut line, 4, |out| writer.delimiter(out).1);
        }
        if let Some(cell) = cell {
            // at most every byte is a quote to be doubled, between two quotes of the cell's own
            write(&mut line, 2 * cell.len() + 4, |out| writer.field(cell.as_bytes(), out).2);
        }
    }
    write(&mut line, 4, |out| writer.terminator(out).1);
    String::from_utf8_lossy(&line).into_owned()
}

fn write(line: &mut Vec<u8>, most: usize, write: impl FnOnce(&mut [u8]) -> usize) {
    let start = line.len();
    line.resize(start + most, 0);
    let written = write(&mut line[start..]);
    line.truncate(start + written);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    #[test]
    fn cells_are_quoted_and_missing_ones_are_not() {
        let row = |text: &str| Arc::from(Document::parse(text).unwrap().to_raw());
        let rows = vec![row(r#"{"id":"1","o":{"a":"x\"y","b":[]},"l":["p","q"]}"#), row(r#"{"id":"2","n":1.5}"#)];
        assert_eq!(
            of_rows(&rows),
            "\"ID\",\"o_a\",\"o_b\",\"l\",\"n\"\n\"1\",\"x\"\"y\",\"\",\"p,q\",\n\"2\",,,,\"1.5\"\n"
        );
        assert_eq!(of_rows(&[]), "");
    }
}
