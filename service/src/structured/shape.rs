//! The form that an answer is to have, and what about an answer does not fit it.
//!
//! A schema comes from whoever asks, so it is bounded in bytes, depth and steps, may refer to nothing outside itself, and its
//! patterns are matched in linear time. What is told of an answer never quotes it.

use std::collections::BTreeSet;
use std::error::Error;

use boon::{
    Compiler, Draft, ErrorKind, InstanceLocation, InstanceToken, SchemaIndex, Schemas, UrlLoader, ValidationError,
};
use serde_json::Value;

use super::steps::{Steps, TooMany, Unmeasured};
use crate::error::shortened;

/// Longest schema that is taken, in bytes of JSON without spaces.
const SCHEMA_BYTES: usize = 64 << 10;
/// Deepest schema that is taken, in brackets that are open at once.
const SCHEMA_DEPTH: usize = 32;
/// Things that are named of an answer that does not fit: a model that is told all of a hundred gets none of them right.
const VIOLATIONS: usize = 8;
/// Where a schema without a name of its own is taken to be. Nothing is ever fetched from there.
const HERE: &str = "https://schema.invalid/asked.json";

/// What an answer is to look like.
pub(crate) enum Shape {
    /// Any text.
    Text,
    /// Any JSON object.
    Object,
    /// JSON that is valid under a schema.
    Schema(Box<Compiled>),
}

/// A schema, ready for use.
pub(crate) struct Compiled {
    schema: Value,
    schemas: Schemas,
    root: SchemaIndex,
}

/// A form that no answer can be held against.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadShape(String);

/// An answer does not fit: what about it, in a fixed order, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit(pub(crate) Vec<String>);

impl Shape {
    /// The form that a `response_format` asks for.
    pub(crate) fn of(format: Option<&Value>) -> Result<Self, BadShape> {
        let Some(format) = format else { return Ok(Self::Text) };
        match format["type"].as_str() {
            Some("json_object") => Ok(Self::Object),
            Some("json_schema") => match &format["json_schema"]["schema"] {
                Value::Null => Ok(Self::Object),
                schema => compile(schema).map(|compiled| Self::Schema(Box::new(compiled))),
            },
            _ => Ok(Self::Text),
        }
    }

    /// Whether any answer fits.
    pub(crate) const fn is_free(&self) -> bool {
        matches!(self, Self::Text)
    }

    /// Holds a whole answer against it.
    pub(crate) fn check(&self, answer: &str) -> Result<(), Misfit> {
        if self.is_free() {
            return Ok(());
        }
        let value: Value = serde_json::from_str(answer)
            .map_err(|error| Misfit(vec![format!("it is no JSON: {}", shortened(&error.to_string()))]))?;
        match self {
            Self::Text => Ok(()),
            Self::Object if value.is_object() => Ok(()),
            Self::Object => Err(Misfit(vec!["it is JSON, but no object".to_owned()])),
            Self::Schema(compiled) => compiled.check(&value),
        }
    }
}

impl Compiled {
    fn check(&self, value: &Value) -> Result<(), Misfit> {
        if Steps::of(&self.schema).is_ok_and(|steps| steps.count(value) == Err(TooMany)) {
            return Err(Misfit(vec![
                "it takes too many steps to check: it is nested too deep, or too long".to_owned(),
            ]));
        }
        self.schemas.validate(value, self.root).map_err(|error| {
            let mut names = BTreeSet::new();
            named(&self.schema, &mut names);
            let mut found = Vec::new();
            leaves(&error, &names, &mut found);
            // The validator keeps properties in no order; what is said has one.
            found.sort_unstable();
            found.dedup();
            found.truncate(VIOLATIONS);
            Misfit(found)
        })
    }
}

/// Refuses a schema that is more than is taken, before anything is done for it. Whatever else is wrong with it a provider
/// may know better.
pub(crate) fn bounded(schema: &Value) -> Result<(), BadShape> {
    sized(schema)?;
    match measured(schema) {
        Err(why @ Unmeasured::TooMany) => Err(BadShape(why.to_string())),
        _ => Ok(()),
    }
}

fn sized(schema: &Value) -> Result<(), BadShape> {
    if schema.to_string().len() > SCHEMA_BYTES || depth(schema) > SCHEMA_DEPTH {
        return Err(BadShape(format!(
            "is longer than {} KiB or nested more than {SCHEMA_DEPTH} deep: ask for less at a time",
            SCHEMA_BYTES >> 10
        )));
    }
    Ok(())
}

fn measured(schema: &Value) -> Result<(), Unmeasured> {
    Steps::of(schema)?.measure()
}

fn compile(schema: &Value) -> Result<Compiled, BadShape> {
    sized(schema)?;
    measured(schema).map_err(|why| BadShape(why.to_string()))?;
    let bad = |error: &dyn Error| BadShape(format!("is no schema: {}", shortened(&error.to_string())));
    let mut compiler = Compiler::new();
    compiler.set_default_draft(Draft::V2020_12);
    compiler.use_loader(Box::new(Nothing));
    compiler
        .add_resource(HERE, schema.clone())
        .map_err(|error| bad(&error))?;
    let mut schemas = Schemas::new();
    let root = compiler.compile(HERE, &mut schemas).map_err(|error| bad(&error))?;
    Ok(Compiled {
        schema: schema.clone(),
        schemas,
        root,
    })
}

/// What schemas may refer to besides themselves.
struct Nothing;

impl UrlLoader for Nothing {
    fn load(&self, _: &str) -> Result<Value, Box<dyn Error>> {
        Err("it refers to something outside itself, and nothing is fetched here".into())
    }
}

/// Brackets that are open at once.
fn depth(value: &Value) -> usize {
    let deepest = |inner: &mut dyn Iterator<Item = &Value>| 1 + inner.map(depth).max().unwrap_or(0);
    match value {
        Value::Array(values) => deepest(&mut values.iter()),
        Value::Object(fields) => deepest(&mut fields.values()),
        _ => 0,
    }
}

/// The names of fields that a schema brings.
fn named<'a>(schema: &'a Value, names: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Array(parts) => parts.iter().for_each(|part| named(part, names)),
        Value::Object(parts) => {
            if let Some(Value::Object(fields)) = parts.get("properties") {
                names.extend(fields.keys().map(String::as_str));
            }
            parts.values().for_each(|part| named(part, names));
        }
        _ => {}
    }
}

/// The innermost things that are wrong.
fn leaves(error: &ValidationError<'_, '_>, names: &BTreeSet<&str>, found: &mut Vec<String>) {
    let at = place(&error.instance_location, names);
    match &error.kind {
        // What is below is about the name alone, and quotes it.
        ErrorKind::PropertyName { .. } => found.push(format!("{at}: a field has a name that it may not have")),
        _ if error.causes.is_empty() => found.push(format!("{at}: {}", shortened(&what(&error.kind)))),
        _ => error.causes.iter().for_each(|cause| leaves(cause, names, found)),
    }
}

/// Where something is wrong, without the names that the answer made up.
fn place(location: &InstanceLocation<'_>, names: &BTreeSet<&str>) -> String {
    if location.tokens.is_empty() {
        return "all of it".to_owned();
    }
    let segments = location.tokens.iter().map(|token| match token {
        InstanceToken::Item(at) => format!("/{at}"),
        InstanceToken::Prop(name) if names.contains(name.as_ref()) => format!("/{name}"),
        InstanceToken::Prop(_) => "/*".to_owned(),
    });
    segments.collect()
}

/// What is wrong, always in the same words, with what was wanted and without what was found.
fn what(kind: &ErrorKind<'_, '_>) -> String {
    match kind {
        ErrorKind::AdditionalProperties { got } => format!("{} fields that the schema does not have", got.len()),
        ErrorKind::Pattern { want, .. } => format!("want a text that matches {want}"),
        ErrorKind::Format { want, .. } => format!("want a valid {want}"),
        ErrorKind::ContentMediaType { want, .. } | ErrorKind::ContentEncoding { want, .. } => format!("want {want}"),
        ErrorKind::Minimum { want, .. } => format!("want {want} or more"),
        ErrorKind::Maximum { want, .. } => format!("want {want} or less"),
        ErrorKind::ExclusiveMinimum { want, .. } => format!("want more than {want}"),
        ErrorKind::ExclusiveMaximum { want, .. } => format!("want less than {want}"),
        ErrorKind::MultipleOf { want, .. } => format!("want a multiple of {want}"),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn asked(schema: &Value) -> Value {
        json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": schema } })
    }

    fn shape(schema: &Value) -> Shape {
        Shape::of(Some(&asked(schema))).unwrap()
    }

    fn refused(schema: &Value) -> String {
        match Shape::of(Some(&asked(schema))) {
            Err(bad) => bad.to_string(),
            Ok(_) => panic!("{schema} was taken"),
        }
    }

    fn trip() -> Value {
        json!({
            "type": "object", "required": ["city", "days", "by"], "additionalProperties": false,
            "properties": {
                "city": { "type": "string" },
                "days": { "type": "integer", "minimum": 1 },
                "by": { "enum": ["train", "plane"] },
            },
        })
    }

    #[test]
    fn what_fits_passes_and_what_does_not_is_named_in_a_fixed_order() {
        let trip = shape(&trip());
        assert_eq!(trip.check(r#"{"city":"t1.0 t1.1","days":3,"by":"train"}"#), Ok(()));
        let Err(Misfit(found)) = trip.check(r#"{"days":0,"by":"foot","x":1,"y":2}"#) else {
            panic!("it does not fit");
        };
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found.is_sorted(), "{found:#?}");
        for _ in 0..20 {
            assert_eq!(
                trip.check(r#"{"days":0,"by":"foot","x":1,"y":2}"#),
                Err(Misfit(found.clone()))
            );
        }
    }

    #[test]
    fn bare_words_are_no_json_and_an_object_is_more_than_json() {
        let object = Shape::of(Some(&json!({ "type": "json_object" }))).unwrap();
        assert!(object.check("t17.0 t17.1").is_err());
        assert!(object.check("[1]").is_err());
        assert!(object.check(r#"{"a":"#).is_err(), "half of one");
        assert_eq!(object.check(r#"{"a":1}"#), Ok(()));
        for free in [None, Some(json!({ "type": "text" }))] {
            assert_eq!(Shape::of(free.as_ref()).unwrap().check("anything"), Ok(()));
        }
    }

    #[test]
    fn a_schema_that_reaches_out_or_is_none_is_refused() {
        for outside in ["https://example.com/a.json", "file:///etc/passwd", "other.json"] {
            assert!(
                refused(&json!({ "$ref": outside })).starts_with("is no schema"),
                "{outside}"
            );
        }
        assert!(refused(&json!({ "type": "wizard" })).starts_with("is no schema"));
        assert!(refused(&json!({ "type": "string", "pattern": "(" })).starts_with("is no schema"));
    }

    #[test]
    fn a_schema_that_is_too_large_or_too_deep_is_refused_and_one_at_the_bound_is_not() {
        let nested = |levels: usize| (0..levels).fold(json!({ "type": "string" }), |inner, _| json!({ "not": inner }));
        assert!(Shape::of(Some(&asked(&nested(SCHEMA_DEPTH - 1)))).is_ok());
        assert!(refused(&nested(SCHEMA_DEPTH)).contains("nested"));
        let long = |bytes: usize| json!({ "description": "x".repeat(bytes) });
        assert!(Shape::of(Some(&asked(&long(SCHEMA_BYTES - 20)))).is_ok());
        assert!(refused(&long(SCHEMA_BYTES)).contains("longer"));
    }

    #[test]
    fn a_schema_that_refers_to_itself_for_ever_ends() {
        let shape = shape(&json!({ "$ref": "#" }));
        assert!(shape.check("{}").is_err());
        let tree = self::shape(&json!({ "properties": { "next": { "$ref": "#" } }, "type": "object" }));
        assert_eq!(tree.check(r#"{"next":{"next":{}}}"#), Ok(()));
        assert!(tree.check(r#"{"next":{"next":3}}"#).is_err());
    }

    #[test]
    fn a_schema_that_sends_its_checker_round_for_ever_is_refused_before_anything_is_done_for_it() {
        let part = |n: usize| json!({ "$ref": format!("#/$defs/a{n}") });
        let doubled = |n: usize| (format!("a{n}"), json!({ "allOf": [part(n - 1), part(n - 1)] }));
        let mut all: serde_json::Map<String, Value> = (1..=40).map(doubled).collect();
        all.insert("a0".to_owned(), json!({ "type": "string" }));
        let schema = json!({ "$defs": all, "$ref": "#/$defs/a40" });
        assert!(refused(&schema).starts_with("takes too many steps"));
        assert!(bounded(&schema).is_err(), "when it is read");
    }

    #[test]
    fn an_answer_that_a_recursive_schema_doubles_at_every_level_is_not_checked_but_misfits() {
        let shape = shape(
            &json!({ "$defs": { "node": { "type": "object", "properties": { "next": { "anyOf": [
            { "$ref": "#/$defs/node" }, { "$ref": "#/$defs/node" } ] } } } }, "$ref": "#/$defs/node" }),
        );
        let nested = |levels: usize| (0..levels).fold("1".to_owned(), |inner, _| format!("{{\"next\":{inner}}}"));
        for levels in [4, 30, 60] {
            assert!(shape.check(&nested(levels)).is_err(), "{levels}");
        }
        assert_eq!(shape.check(r#"{"next":{"next":{}}}"#), Ok(()));
    }

    #[test]
    fn an_answer_as_deep_as_is_checked_needs_no_more_stack_than_there_is() {
        let list = shape(
            &json!({ "$defs": { "list": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/link" }] },
            "link": { "type": "object", "properties": { "next": { "$ref": "#/$defs/list" } } } },
            "$ref": "#/$defs/list" }),
        );
        let nested = |levels: usize| (0..levels).fold("null".to_owned(), |inner, _| format!("{{\"next\":{inner}}}"));
        assert_eq!(list.check(&nested(24)), Ok(()));
        assert!(list.check(&nested(120)).is_err());
    }

    #[test]
    fn what_is_told_never_quotes_the_answer() {
        let text = json!({ "type": "string", "pattern": "^x$" });
        let shape = shape(&json!({ "type": "object", "additionalProperties": false,
            "properties": { "a": { "const": 1 }, "b": { "type": "integer" }, "c": text, "d": { "maximum": 3 },
                "e": { "additionalProperties": text }, "f": { "propertyNames": text, "items": text } } }));
        for answer in [
            r#"{"a":"SECRET","b":"SECRET","SECRET":1}"#,
            r#"{"c":"SECRET","d":900700,"e":{"SECRET":"SECRET"},"f":{"SECRET":1}}"#,
            r#"{"f":["SECRET"]}"#,
        ] {
            let Err(Misfit(found)) = shape.check(answer) else {
                panic!("it does not fit");
            };
            assert!(!found.is_empty());
            let quotes = |text: &String| text.contains("SECRET") || text.contains("900700");
            assert!(!found.iter().any(quotes), "{found:?}");
        }
        let Err(Misfit(found)) = shape.check(r#"{"e":{"SECRET":"y"},"f":["y"]}"#) else {
            panic!("it does not fit");
        };
        assert_eq!(
            found,
            [
                "/e/*: want a text that matches ^x$",
                "/f/0: want a text that matches ^x$"
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = shape(&trip()).check(&text);
        }
    }
}
