//! What a plan's file holds, YAML or JSON, as a tree that knows its lines. A value keeps the form that it was written in: a
//! number its digits, and what is a text in the file is a text in the document.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::value::RawValue;

use crate::document::json::{self, DEEPEST};
use crate::document::{Document, cursor};

use super::problem::Problem;

/// How many values a file may hold, those that stand in it again by an alias counted again.
const VALUES: usize = 5_000_000;

/// A value of a file.
#[derive(Debug, Clone)]
pub struct Node {
    /// The line that it begins in, from 1; 0 if it stands in no file.
    pub line: usize,
    /// What it is.
    pub content: Content,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Content {
    /// Fields, in order.
    Map(Vec<(String, Node)>),
    /// Items.
    List(Vec<Node>),
    /// Anything else, as JSON has it. What is made here may hold any JSON.
    Value(Box<RawValue>),
}

impl Node {
    /// Reads a file: JSON if it begins with a brace, else YAML.
    ///
    /// Errors: it is neither.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        match text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
            true => of_json(text.trim_start_matches('\u{feff}')),
            false => Yaml::default().read(text),
        }
    }

    /// A value that stands in no file.
    pub fn value(raw: Box<RawValue>) -> Self {
        Self { line: 0, content: Content::Value(raw) }
    }

    /// A text that stands in no file.
    pub fn text(text: &str) -> Self {
        Self::value(json::raw(text))
    }

    /// A list that stands in no file.
    pub fn list(items: Vec<Self>) -> Self {
        Self { line: 0, content: Content::List(items) }
    }

    /// Fields that stand in no file.
    pub fn map(fields: Vec<(String, Self)>) -> Self {
        Self { line: 0, content: Content::Map(fields) }
    }

    /// The value as JSON.
    pub fn to_raw(&self) -> Box<RawValue> {
        match &self.content {
            Content::Value(raw) => raw.clone(),
            Content::List(items) => json::raw(&items.iter().map(Self::to_raw).collect::<Vec<_>>()),
            Content::Map(fields) => {
                fields.iter().map(|(key, node)| (key.clone(), node.to_raw())).collect::<Document>().to_raw()
            }
        }
    }

    /// What it calls something: a text, or a number, which is the text of its digits (`1001`).
    pub fn name(&self) -> Option<String> {
        let Content::Value(raw) = &self.content else { return None };
        json::text(raw).or_else(|| is_number(raw.get()).then(|| raw.get().to_owned()))
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Value(raw) if raw.get() == "null")
    }
}

fn of_json(text: &str) -> Result<Node, Problem> {
    // how serde_json says where
    let root: &RawValue = serde_json::from_str(text).map_err(|error| Problem::new(error.line(), error.to_string()))?;
    json::check(text.as_bytes(), DEEPEST).map_err(|refused| Problem::new(0, refused.to_string()))?;
    if cursor::values(root) > VALUES {
        return Err(Problem::new(0, format!("more than {VALUES} values")));
    }
    let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
    Json { start: text.as_ptr() as usize, breaks }.node(root)
}

/// JSON whose values know where they stand in the text.
struct Json {
    start: usize,
    breaks: Vec<usize>,
}

impl Json {
    fn node(&self, raw: &RawValue) -> Result<Node, Problem> {
        let at = (raw.get().as_ptr() as usize).saturating_sub(self.start);
        let line = self.breaks.partition_point(|line_end| *line_end < at) + 1;
        let content = match raw.get().as_bytes().first() {
            Some(b'{') => {
                let fields =
                    json::fields(raw).into_iter().map(|(key, value)| Ok((key.into_owned(), self.node(value)?)));
                let fields: Vec<_> = fields.collect::<Result<_, Problem>>()?;
                must_differ(line, fields.iter().map(|(key, _)| key.as_str()))?;
                Content::Map(fields)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
                Content::List(items.into_iter().map(|item| self.node(item)).collect::<Result<_, _>>()?)
            }
            _ => Content::Value(compact(raw.get(), line)?),
        };
        Ok(Node { line, content })
    }
}

/// A scalar as a store has it.
fn compact(text: &str, line: usize) -> Result<Box<RawValue>, Problem> {
    let compact = json::compact(text).map_err(|refused| Problem::new(line, refused.to_string()))?;
    RawValue::from_string(compact).map_err(|error| Problem::new(line, error.to_string()))
}

/// Errors: a key stands twice.
fn must_differ<'k>(line: usize, keys: impl Iterator<Item = &'k str>) -> Result<(), Problem> {
    let mut seen = HashSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(Problem::new(line, format!("{key:?} stands here twice")));
        }
    }
    Ok(())
}

/// The values that are open while a file is read.
#[derive(Default)]
struct Yaml {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    values: usize,
}

struct Open {
    line: usize,
    anchor: usize,
    content: Content,
    /// The key whose value comes next.
    key: Option<String>,
}

impl Yaml {
    fn read(mut self, text: &str) -> Result<Node, Problem> {
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| Problem::new(error.marker().line(), error.info()))?;
            self.take(event, span)?;
        }
        self.root.ok_or_else(|| Problem::new(1, "the file is empty"))
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let line = span.start.line();
        match event {
            Event::DocumentStart(_) if self.root.is_some() => Err(Problem::new(line, "a second document")),
            Event::MappingStart(_, Some(_)) | Event::SequenceStart(_, Some(_)) => Err(Problem::new(line, NO_TAGS)),
            Event::MappingStart(anchor, None) => self.begin(line, anchor, Content::Map(Vec::new())),
            Event::SequenceStart(anchor, None) => self.begin(line, anchor, Content::List(Vec::new())),
            Event::MappingEnd | Event::SequenceEnd => match self.open.pop() {
                Some(Open { line, anchor, content, .. }) => self.add(anchor, Node { line, content }),
                None => Ok(()),
            },
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = match &tag {
                    None => false,
                    Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => true,
                    Some(_) => return Err(Problem::new(line, NO_TAGS)),
                };
                let raw = match style {
                    ScalarStyle::Plain if !is_text => plain(&text, line)?,
                    _ => json::raw(text.as_ref()),
                };
                // as a key a plain scalar is the text that it is
                let is_key = self.open.last().is_some_and(Open::is_at_key);
                let raw = if is_key { json::raw(text.as_ref()) } else { raw };
                self.add(anchor, Node { line, content: Content::Value(raw) })
            }
            Event::Alias(anchor) => {
                let mut node = self.anchors.get(&anchor).cloned();
                node = node.inspect(|node| self.values += size(node));
                let node = node.ok_or_else(|| Problem::new(line, "an alias of something that holds it"))?;
                self.add(0, Node { line, ..node })
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, content: Content) -> Result<(), Problem> {
        if self.open.len() == DEEPEST {
            return Err(Problem::new(line, format!("more than {DEEPEST} levels")));
        }
        self.open.push(Open { line, anchor, content, key: None });
        Ok(())
    }

    /// Puts a value that is whole where it belongs.
    fn add(&mut self, anchor: usize, node: Node) -> Result<(), Problem> {
        self.values += 1;
        if self.values > VALUES {
            return Err(Problem::new(node.line, format!("more than {VALUES} values")));
        }
        if anchor > 0 {
            self.values += size(&node);
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.content, open.key.take()) {
            (Content::List(items), _) => items.push(node),
            (Content::Map(fields), Some(key)) => fields.push((key, node)),
            (Content::Map(fields), None) => {
                let key = node.name().ok_or_else(|| Problem::new(node.line, "a key that is no text"))?;
                if key == "<<" {
                    return Err(Problem::new(node.line, "YAML 1.2 has no merge keys"));
                }
                if fields.iter().any(|(other, _)| *other == key) {
                    return Err(Problem::new(node.line, format!("{key:?} stands here twice")));
                }
                open.key = Some(key);
            }
            (Content::Value(_), _) => {}
        }
        Ok(())
    }
}

impl Open {
    fn is_at_key(&self) -> bool {
        self.key.is_none() && matches!(self.content, Content::Map(_))
    }
}

const NO_TAGS: &str = "tags are not understood";

/// How many values a value holds, itself included.
fn size(node: &Node) -> usize {
    match &node.content {
        Content::Map(fields) => 1 + fields.iter().map(|(_, node)| size(node)).sum::<usize>(),
        Content::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Content::Value(_) => 1,
    }
}

/// A plain scalar: null, true, false and numbers as JSON writes them; everything else is a text, also `0101` and `yes`.
fn plain(text: &str, line: usize) -> Result<Box<RawValue>, Problem> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Ok(RawValue::NULL.to_owned()),
        "true" | "True" | "TRUE" => Ok(RawValue::TRUE.to_owned()),
        "false" | "False" | "FALSE" => Ok(RawValue::FALSE.to_owned()),
        number if is_number(number) => compact(number, line),
        text => Ok(json::raw(text)),
    }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(text: &str) -> String {
        Node::parse(text).unwrap().to_raw().get().to_owned()
    }

    #[test]
    fn values_keep_the_form_that_they_are_written_in() {
        let yaml =
            "a: 1.50\nb: '1'\nc: 0101\nd: yes\ne: ~\nf: {\"x\":[1e3,-0,true],\"y\": \"\\u00e9\\/\"}\ng: !!str 5\n1: x";
        let json =
            r#"{"a":1.50,"b":"1","c":"0101","d":"yes","e":null,"f":{"x":[1e3,-0,true],"y":"é/"},"g":"5","1":"x"}"#;
        assert_eq!(json_of(yaml), json);
        assert_eq!(json_of(json), json);
    }

    #[test]
    fn an_alias_is_what_it_names() {
        assert_eq!(json_of("a: &x [1, 2]\nb: *x"), r#"{"a":[1,2],"b":[1,2]}"#);
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned()
            + &('a'..'i')
                .map(|c| {
                    let n = (c as u8 + 1) as char;
                    format!("{n}: &{n} [{}]\n", vec![format!("*{c}"); 10].join(","))
                })
                .collect::<String>();
        assert!(Node::parse(&bomb).unwrap_err().text.contains("values"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, why) in [
            ("a: 1\nb: [", 3, ""),
            ("a: 1\na: 2", 2, "twice"),
            ("a: 1\n<<: {}", 2, "merge"),
            ("a: !x 1", 1, "tags"),
            ("a: 1\n---\nb: 1", 2, "second"),
            ("{\"a\": 1,\n \"b\": }", 2, ""),
            ("{\"a\": 1,\n \"a\": 2}", 1, "twice"),
            ("a: 1e999", 1, "too large"),
            ("", 1, "empty"),
        ] {
            let problem = Node::parse(text).unwrap_err();
            assert_eq!(problem.line, line, "{text}: {problem}");
            assert!(problem.text.contains(why), "{text}: {problem}");
        }
        assert!(Node::parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn json_knows_its_lines() {
        let node = Node::parse("{\n\"a\": [1,\n 2]}").unwrap();
        let Content::Map(fields) = node.content else { panic!() };
        let Content::List(items) = &fields[0].1.content else { panic!() };
        assert_eq!((fields[0].1.line, items[0].line, items[1].line), (2, 2, 3));
    }
}
