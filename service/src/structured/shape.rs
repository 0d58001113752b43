//! The form that an answer is to have, and what about an answer does not fit it.
//!
//! A schema comes from whoever asks, so it is bounded in bytes and depth, may refer to nothing outside itself, and its
//! patterns are matched in linear time. What is told of an answer never quotes it.

use std::borrow::Cow;
use std::error::Error;

use boon::{Compiler, Draft, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

use crate::error::shortened;

/// Longest schema that is taken, in bytes of JSON without spaces.
pub(crate) const SCHEMA_BYTES: usize = 64 << 10;
/// Deepest schema that is taken, in brackets that are open at once.
pub(crate) const SCHEMA_DEPTH: usize = 32;
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
        self.schemas.validate(value, self.root).map_err(|error| {
            let mut found = Vec::new();
            leaves(&error, &mut found);
            // The validator keeps properties in no order; what is said has one.
            found.sort_unstable();
            found.dedup();
            found.truncate(VIOLATIONS);
            Misfit(found)
        })
    }
}

fn compile(schema: &Value) -> Result<Compiled, BadShape> {
    if schema.to_string().len() > SCHEMA_BYTES || depth(schema) > SCHEMA_DEPTH {
        return Err(BadShape(format!(
            "is longer than {} KiB or nested more than {SCHEMA_DEPTH} deep: ask for less at a time",
            SCHEMA_BYTES >> 10
        )));
    }
    let bad = |error: &dyn Error| BadShape(format!("is no schema: {}", shortened(&error.to_string())));
    let mut compiler = Compiler::new();
    compiler.set_default_draft(Draft::V2020_12);
    compiler.use_loader(Box::new(Nothing));
    compiler
        .add_resource(HERE, schema.clone())
        .map_err(|error| bad(&error))?;
    let mut schemas = Schemas::new();
    let root = compiler.compile(HERE, &mut schemas).map_err(|error| bad(&error))?;
    Ok(Compiled { schemas, root })
}

/// What schemas may refer to besides themselves.
struct Nothing;

impl UrlLoader for Nothing {
    fn load(&self, _: &str) -> Result<Value, Box<dyn Error>> {
        Err("it refers to something outside itself, and nothing is fetched here".into())
    }
}

/// Brackets that are open at once.
pub(crate) fn depth(value: &Value) -> usize {
    let deepest = |inner: &mut dyn Iterator<Item = &Value>| 1 + inner.map(depth).max().unwrap_or(0);
    match value {
        Value::Array(values) => deepest(&mut values.iter()),
        Value::Object(fields) => deepest(&mut fields.values()),
        _ => 0,
    }
}

/// The innermost things that are wrong.
fn leaves(error: &ValidationError<'_, '_>, found: &mut Vec<String>) {
    if error.causes.is_empty() {
        let at = error.instance_location.to_string();
        let at = if at.is_empty() { "all of it".to_owned() } else { at };
        found.push(format!("{at}: {}", shortened(&what(&error.kind))));
    }
    for cause in &error.causes {
        leaves(cause, found);
    }
}

/// What is wrong, always in the same words.
fn what(kind: &ErrorKind<'_, '_>) -> String {
    match kind {
        ErrorKind::AdditionalProperties { got } => {
            let mut names: Vec<&str> = got.iter().map(Cow::as_ref).collect();
            names.sort_unstable();
            format!("{} fields that the schema does not have", names.len())
        }
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
    fn what_is_told_never_quotes_the_answer() {
        let shape = shape(&json!({ "type": "object", "additionalProperties": false,
            "properties": { "a": { "const": 1 }, "b": { "type": "integer" } } }));
        let Err(Misfit(found)) = shape.check(r#"{"a":"SECRET","b":"SECRET","SECRET":1}"#) else {
            panic!("it does not fit");
        };
        assert!(found.iter().all(|text| !text.contains("SECRET")), "{found:?}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = shape(&trip()).check(&text);
        }
    }
}
