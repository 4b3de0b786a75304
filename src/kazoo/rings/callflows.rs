//! The elements of callflows that name a group, and whom each of them rings.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::document::Document;

use super::super::documents::Called;
use super::super::used::User;
use super::element::{Element, Module};

/// How many elements of callflows are told of a group.
pub const ELEMENTS: usize = 100;

/// An element of a callflow that names a group.
#[derive(Debug, Clone, Serialize)]
pub struct Named {
    /// The callflow.
    #[serde(flatten)]
    callflow: Arc<Callflow>,
    /// The element's module; None where it has none.
    module: Option<String>,
    /// By which children the flow comes to the element, from the flow's beginning on.
    children: Vec<String>,
    /// What rings; None where the module rings nobody, as `group_pickup`.
    #[serde(skip)]
    pub element: Option<Element>,
}

#[derive(Debug, Serialize)]
struct Callflow {
    id: String,
    /// What people call it.
    name: Option<String>,
    numbers: Vec<String>,
    /// Patterns of numbers.
    patterns: Vec<String>,
}

impl Callflow {
    /// Its numbers, and their patterns.
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.numbers.iter().chain(&self.patterns).map(String::as_str)
    }
}

impl Named {
    /// How many bytes it has, about.
    pub fn bytes(&self) -> usize {
        let texts = self.callflow.texts().chain(self.children.iter().map(String::as_str));
        let data = self.element.as_ref().map_or(0, |element| element.data.bytes());
        size_of::<Self>() + data + texts.map(|text| size_of::<String>() + text.len()).sum::<usize>()
    }
}

/// The elements of a callflow that name a group, in the order in which they stand.
pub fn naming(document: &Document, group: &str) -> Vec<Named> {
    let Some(User { id, name, numbers, patterns, places }) = User::of(document, group) else { return Vec::new() };
    let (numbers, patterns) = (numbers.unwrap_or_default(), patterns.unwrap_or_default());
    let callflow = Arc::new(Callflow { id, name, numbers, patterns });
    let mut all: Vec<Named> = Vec::new();
    for found in places.into_iter().filter_map(|place| place.element) {
        if all.iter().any(|named| named.children == found.children) {
            continue;
        }
        let module = found.module.as_deref().and_then(|module| module.parse::<Module>().ok());
        all.push(Named {
            callflow: Arc::clone(&callflow),
            module: found.module.clone(),
            children: found.children.clone(),
            element: module.zip(found.data.clone()).map(|(module, data)| Element { module, data }),
        });
    }
    all
}

/// An element with whom it rings, in whichever words.
#[derive(Debug, Clone, Serialize)]
pub struct InCallflow<R> {
    /// The element.
    #[serde(flatten)]
    pub named: Named,
    /// Whom it rings; None where its module rings nobody.
    pub rings: Option<R>,
}

/// Whom a group rings and, where that was asked, whom each element of a callflow rings that names it.
#[derive(Debug, Clone, Serialize)]
pub struct WithCallflows<R> {
    /// Whom the group rings.
    #[serde(flatten)]
    pub rings: R,
    /// The elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callflows: Option<Vec<InCallflow<R>>>,
}

impl<R: fmt::Display> fmt::Display for WithCallflows<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rings.fmt(f)?;
        for InCallflow { named, rings } in self.callflows.iter().flatten() {
            let callflow = &named.callflow;
            write!(f, "\ncallflow {}", Called(&callflow.id, callflow.name.as_deref()))?;
            let numbers: Vec<&str> = callflow.texts().collect();
            if !numbers.is_empty() {
                write!(f, " at {}", numbers.join(", "))?;
            }
            let place = if named.children.is_empty() { "its beginning".to_owned() } else { named.children.join("/") };
            writeln!(f, ", {} at {place}", named.module.as_deref().unwrap_or("no module"))?;
            match rings {
                Some(rings) => rings.fmt(f)?,
                None => writeln!(f, "rings nobody by itself")?,
            }
        }
        Ok(())
    }
}
