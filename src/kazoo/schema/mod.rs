//! JSON schemas: the groups schema and those of the two sign-ins, or what an operator's `system_schemas` has in their
//! place. They are checked by valico, whose findings are put into Kazoo's words (`findings`).

mod findings;
mod tree;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use url::Url;
use valico::json_schema::{SchemaVersion, Scope};

use crate::document::{Document, Revision, cursor, json};

use super::documents;

use findings::rule_and_detail;
use tree::with_defaults;

/// The database of an operator's schemas.
pub const SYSTEM_SCHEMAS: &str = "system_schemas";

/// The schema of a group's public fields.
pub const GROUPS: &str = "groups";

/// The schema of `PUT /v2/user_auth`.
pub const USER_AUTH: &str = "user_auth";

/// The schema of `PUT /v2/api_auth`.
pub const API_AUTH: &str = "api_auth";

/// The schemas of this crate, by name.
static OURS: LazyLock<[Arc<Schema>; 3]> = LazyLock::new(|| {
    let sources = [
        (API_AUTH, include_str!("../schemas/api_auth.json")),
        (GROUPS, include_str!("../schemas/groups.json")),
        (USER_AUTH, include_str!("../schemas/user_auth.json")),
    ];
    sources.map(|(name, source)| {
        let document = Document::parse(source).unwrap_or_else(|error| unreachable!("schema {name}: {error}"));
        Arc::new(Schema::new(name, &document, &BTreeMap::new()))
    })
});

/// How much of a client's data is checked, and how much is told of what is wrong.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many values the data may hold. A group of 100,000 would have some 20,000 endpoints.
    pub values: usize,
    /// How many properties are named in which something is wrong.
    pub findings: usize,
}

/// How many compiled schemas a thread keeps.
const COMPILED: usize = 16;

/// What is wrong with a client's data: by property (a path with dots), by rule (`required`, `type`, …).
pub type ValidationErrors = Map<String, Value>;

/// One finding about one property.
pub fn validation_error(property: &str, rule: &str, detail: Value) -> ValidationErrors {
    Map::from_iter([(property.to_owned(), json!({ rule: detail }))])
}

/// A schema.
pub struct Schema {
    /// Its name: its id in Kazoo's `system_schemas`, and in `/v2/schemas/…`.
    pub name: String,
    /// Its revision, if it is an operator's.
    revision: Option<Revision>,
    public: Document,
    tree: Value,
    /// Which of all schemas of this process it is.
    number: u64,
}

/// A schema that valico has read. It can't be shared between threads.
struct Compiled {
    scope: Scope,
    url: Url,
}

impl Schema {
    /// The names of this crate's schemas.
    pub fn names() -> impl Iterator<Item = &'static str> {
        OURS.iter().map(|schema| schema.name.as_str())
    }

    /// This crate's schema of a name.
    pub fn ours(name: &str) -> Option<Arc<Self>> {
        OURS.iter().find(|schema| schema.name == name).cloned()
    }

    /// A schema by its document, and the documents of those that it refers to, by their names.
    pub fn new(name: &str, document: &Document, others: &BTreeMap<String, Arc<Document>>) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let mut public = Document::from_raw(&documents::public(document)).unwrap_or_default();
        public.set_text("id", name);
        let tree = tree::whole(document, others);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Self { name: name.to_owned(), revision: document.revision(), public, tree, number }
    }

    /// The names of the schemas that a document refers to.
    pub fn references(document: &Document) -> BTreeSet<String> {
        tree::references(document)
    }

    /// The schema as it is shown, and its revision.
    pub fn document(&self) -> (&Document, Revision) {
        (&self.public, self.revision.clone().unwrap_or_else(|| self.public.next_revision(None)))
    }

    /// Fills in the defaults of missing properties and checks the whole.
    ///
    /// Errors: every finding at once. Properties that the schema does not name are taken as they are.
    pub fn validate(&self, data: Document, limits: Limits) -> Result<Document, ValidationErrors> {
        let data = with_defaults(data, &self.tree);
        // what no rule looks at is not parsed
        let looks_at_all = [
            "additionalProperties",
            "patternProperties",
            "propertyNames",
            "minProperties",
            "maxProperties",
            "allOf",
            "anyOf",
            "oneOf",
            "not",
            "$ref",
            "dependencies",
        ]
        .iter()
        .any(|keyword| self.tree.get(keyword).is_some());
        let properties = self.tree["properties"].as_object();
        let is_known = |name: &str| looks_at_all || properties.is_some_and(|known| known.contains_key(name));
        let known = || data.iter().filter(|(name, _)| is_known(name));
        let values: usize = known().map(|(_, raw)| cursor::values(raw)).sum();
        must_be_few(values.max(data.len()), limits)?;
        let is_open =
            |name: &str| !looks_at_all && properties.and_then(|known| known.get(name)).is_some_and(takes_any_object);
        let looked_at = |name: &str, raw: &RawValue| match raw.get().starts_with('{') && is_open(name) {
            true => json!({}),
            false => json::tree(raw).unwrap_or_default(),
        };
        let tree = known().map(|(name, raw)| (name.to_owned(), looked_at(name, raw))).collect();
        let errors = self.errors(&Value::Object(tree), limits.findings);
        if errors.is_empty() { Ok(data) } else { Err(errors) }
    }

    /// The same for what `fields` makes of data as a client can send them, which may be no object.
    pub fn validate_raw(
        &self,
        data: &RawValue,
        fields: impl FnOnce(Document) -> Document,
        limits: Limits,
    ) -> Result<Document, ValidationErrors> {
        must_be_few(cursor::fields(data), limits)?;
        match Document::from_raw(data) {
            Some(document) => self.validate(fields(document), limits),
            None => {
                must_be_few(cursor::values(data), limits)?;
                Err(self.errors(&json::tree(data).unwrap_or_default(), limits.findings))
            }
        }
    }

    /// Why no data can be checked by it, if it is no schema.
    pub fn problem(&self) -> Option<String> {
        self.compile().err()
    }

    /// Why data are not what the schema asks for: so many of the findings, and how many more there are.
    fn errors(&self, data: &Value, most: usize) -> ValidationErrors {
        let invalid = |problem: String| {
            validation_error("schema", "schema", json!({ "message": "schema is invalid", "schema": problem }))
        };
        let compiled = match self.compile() {
            Ok(compiled) => compiled,
            Err(problem) => return invalid(problem),
        };
        let Some(schema) = compiled.scope.resolve(&compiled.url) else {
            return invalid("it is not there".to_owned());
        };
        let state = schema.validate(data);
        // what a part that is not there would ask for, nobody knows
        if let Some(missing) = state.missing.first() {
            return invalid(format!("it refers to #{}, which is not there", missing.fragment().unwrap_or_default()));
        }
        let mut errors = ValidationErrors::new();
        let mut more = 0;
        for finding in state.errors {
            let path = finding.get_path();
            let property = path.trim_start_matches('/').replace('/', ".");
            if errors.len() >= most && !errors.contains_key(&property) {
                more += 1;
                continue;
            }
            let (rule, detail) = rule_and_detail(finding.get_code(), path, &self.tree, data);
            errors.entry(property).or_insert_with(|| json!({}))[rule] = detail;
        }
        if more > 0 {
            errors.extend(validation_error(
                "data",
                "more",
                json!({ "message": format!("and {more} more"), "value": more }),
            ));
        }
        errors
    }

    /// The compiled schema, which this thread compiles once.
    fn compile(&self) -> Result<Rc<Compiled>, String> {
        thread_local! {
            static ALL: RefCell<HashMap<u64, Rc<Compiled>>> = RefCell::default();
        }
        ALL.with_borrow_mut(|all| {
            if let Some(compiled) = all.get(&self.number) {
                return Ok(Rc::clone(compiled));
            }
            let mut scope = Scope::without_formats(SchemaVersion::Draft7);
            let url = scope.compile(self.tree.clone(), false).map_err(|error| error.to_string())?;
            let compiled = Rc::new(Compiled { scope, url });
            if all.len() >= COMPILED {
                all.clear();
            }
            all.insert(self.number, Rc::clone(&compiled));
            Ok(compiled)
        })
    }
}

/// Whether rules ask for an object, and do not look into it.
fn takes_any_object(rules: &Value) -> bool {
    let says_nothing =
        |keyword: &str| matches!(keyword, "type" | "default" | "description" | "title" | "support_level");
    rules["type"] == "object"
        && rules.as_object().is_some_and(|rules| rules.keys().all(|keyword| says_nothing(keyword)))
}

/// Errors: there are more values than are checked.
fn must_be_few(values: usize, Limits { values: most, .. }: Limits) -> Result<(), ValidationErrors> {
    if values <= most {
        return Ok(());
    }
    let message = format!("The data must not hold more than {most} values");
    Err(validation_error("data", "maxValues", json!({ "message": message, "target": most })))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { values: 100, findings: 10 };

    fn groups() -> Arc<Schema> {
        Schema::ours(GROUPS).unwrap()
    }

    fn findings(data: &str) -> Value {
        let errors = groups().validate(Document::parse(data).unwrap(), LIMITS).err().unwrap_or_default();
        Value::Object(errors)
    }

    #[test]
    fn defaults_are_filled_in_where_a_property_is_missing() {
        let valid = groups().validate(Document::parse(r#"{"name":"a","x":1}"#).unwrap(), LIMITS).unwrap();
        assert_eq!(valid.to_json(), r#"{"name":"a","x":1,"endpoints":{},"music_on_hold":{}}"#);
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert_eq!(findings(&format!(r#"{{"name":"{}"}}"#, "é".repeat(128))), json!({}));
        let message = &findings(&format!(r#"{{"name":"{}"}}"#, "é".repeat(129)))["name"]["maxLength"]["message"];
        assert_eq!(message, "String must not be more than 128 characters");
    }

    #[test]
    fn each_finding_is_told() {
        assert_eq!(
            findings(r#"{"flags":["a",1],"music_on_hold":{"media_id":7}}"#),
            json!({
                "name": {"required": {"message": "Field is required but missing", "value": "name"}},
                "flags.1": {"type": {"message": "Value did not match type(s): string", "target": "string", "value": 1}},
                "music_on_hold.media_id":
                    {"type": {"message": "Value did not match type(s): string", "target": "string", "value": 7}},
            })
        );
    }

    #[test]
    fn what_an_object_holds_is_looked_at_where_a_rule_does() {
        let endpoints = |rules: &str| {
            let schema = format!(r#"{{"properties":{{"endpoints":{{"type":"object"{rules}}}}}}}"#);
            let schema = Schema::new(GROUPS, &Document::parse(&schema).unwrap(), &BTreeMap::new());
            move |endpoints: &str| {
                let data = Document::parse(&format!(r#"{{"endpoints":{endpoints}}}"#)).unwrap();
                schema.validate(data, LIMITS).is_ok()
            }
        };
        let any = endpoints(r#","default":{},"description":"x""#);
        assert!(any("{}") && any(r#"{"a":{"type":7}}"#) && !any("[]") && !any("null"));
        let few = endpoints(r#","maxProperties":1"#);
        assert!(few(r#"{"a":1}"#) && !few(r#"{"a":1,"b":2}"#));
        let typed = endpoints(r#","additionalProperties":{"type":"object"}"#);
        assert!(typed(r#"{"a":{}}"#) && !typed(r#"{"a":1}"#));
    }

    #[test]
    fn an_operators_schema_is_checked_by_its_own_rules() {
        let document = |text: &str| Document::parse(text).unwrap();
        let schema = document(
            r#"{"_id":"groups","_rev":"3-a","$schema":"http://json-schema.org/draft-04/schema#","type":"object",
                "properties":{"name":{"type":"string","maxLength":3,"pattern":"^[a-z]+$"},
                "n":{"type":"integer","minimum":1,"maximum":5,"exclusiveMaximum":true},"o":{"$ref":"other"},
                "l":{"type":"array","maxItems":1},"music_on_hold":{"default":{},"properties":{"m":{"default":7}}}},
                "additionalProperties":false,"required":["name"],"pvt_type":"schema"}"#,
        );
        assert_eq!(Schema::references(&schema).into_iter().collect::<Vec<_>>(), ["other"]);
        let other = document(r#"{"_id":"other","type":"object","required":["x"]}"#);
        let schema = Schema::new(GROUPS, &schema, &BTreeMap::from([("other".to_owned(), Arc::new(other))]));
        assert_eq!(schema.problem(), None);
        assert_eq!(schema.document().1.to_string(), "3-a");
        assert!(!schema.document().0.contains("pvt_type"));
        let valid = schema.validate(document(r#"{"name":"abc","n":4,"o":{"x":1}}"#), LIMITS).unwrap();
        assert_eq!(valid.to_json(), r#"{"name":"abc","n":4,"o":{"x":1},"music_on_hold":{"m":7}}"#);
        let findings =
            schema.validate(document(r#"{"name":"ABCD","n":5,"o":{},"l":[1,2],"z":0}"#), LIMITS).unwrap_err();
        let message = |property: &str, rule: &str| findings[property][rule]["message"].as_str().unwrap().to_owned();
        assert_eq!(message("name", "maxLength"), "String must not be more than 3 characters");
        assert_eq!(message("name", "pattern"), "Failed to match pattern '^[a-z]+$'");
        assert_eq!(message("n", "maximum"), "Value must be at most 5");
        assert_eq!(message("l", "maxItems"), "The list is more than 1 items");
        assert_eq!(message("o.x", "required"), "Field is required but missing");
        assert!(findings.values().any(|of| of.get("additionalProperties").is_some()), "{findings:?}");
    }

    #[test]
    fn what_is_no_schema_lets_nothing_through() {
        let schema = Schema::new(GROUPS, &Document::parse(r#"{"type":"nothing"}"#).unwrap(), &BTreeMap::new());
        assert!(schema.problem().is_some());
        let findings = schema.validate(Document::parse(r#"{"name":"a"}"#).unwrap(), LIMITS).unwrap_err();
        assert_eq!(findings["schema"]["schema"]["message"], "schema is invalid");
    }

    #[test]
    fn what_refers_to_nothing_lets_nothing_through() {
        let schema = r##"{"properties":{"flags":{"items":{"$ref":"#/definitions/flag"}}}}"##;
        let schema = Schema::new(GROUPS, &Document::parse(schema).unwrap(), &BTreeMap::new());
        let check = |data: &str| schema.validate(Document::parse(data).unwrap(), LIMITS);
        let findings = check(r#"{"flags":[1]}"#).unwrap_err();
        assert_eq!(findings["schema"]["schema"]["schema"], "it refers to #/definitions/flag, which is not there");
        assert!(check(r#"{"flags":[]}"#).is_ok());
    }

    #[test]
    fn what_stands_beside_a_reference_is_never_looked_at() {
        let schema = r##"{"definitions":{"a":{}},"$ref":"#/definitions/a","type":"nothing","pattern":"("}"##;
        for _ in 0..20 {
            let schema = Schema::new(GROUPS, &Document::parse(schema).unwrap(), &BTreeMap::new());
            assert_eq!(schema.problem(), None);
        }
    }
}
