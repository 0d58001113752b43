//! How many steps it takes to hold a value against a schema, before anybody takes them.
//!
//! A validator goes wherever a schema sends it, as often as it does: forty definitions that each refer twice to the one
//! before are a few kilobytes, and 2^40 steps. So a schema is measured when it is read (along its worst path, recursion
//! once) and an answer before it is checked (recursion as deep as it is). Both are upper bounds, never more work than they
//! allow, and know nothing of what fits.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Most steps along one path into a value, recursion aside.
const SCHEMA_STEPS: u64 = 10_000;
/// Most steps for one value: a long answer under a usual schema takes a tenth.
const VALUE_STEPS: u64 = 1 << 19;
/// Most steps that are inside each other: the validator needs stack for each, up to 10 KiB in a build for debugging.
const DEEPEST: usize = 100;
/// Bytes of a text that are one step for a pattern.
const TEXT_STEP: usize = 64;

/// Keywords whose schemas, or lists of schemas, hold for the value itself.
const SAME: [&str; 7] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];
/// Those with a schema by field that holds for the value itself if it has the field.
const SAME_BY_FIELD: [&str; 2] = ["dependentSchemas", "dependencies"];
/// Those that refer.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// Those that hold for every field, and those for every item.
const FIELDS: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];
const ITEMS: [&str; 4] = ["items", "additionalItems", "contains", "unevaluatedItems"];

/// More steps than are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// Why a schema is not measured at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unmeasured {
    /// It sends a validator round more often than is done.
    #[error("takes too many steps to check: its references and alternatives multiply; ask for less at a time")]
    TooMany,
    /// A part of it has an address of its own, so that nobody can see at once what refers to what.
    #[error("is no schema: a part of it has an $id of its own; refer to parts by #/$defs/NAME")]
    Addressed,
    /// It refers to something that is no part of it.
    #[error("is no schema: it refers to something that is no part of it, and nothing is fetched here")]
    Outside,
}

/// A schema, as a graph of its parts.
pub(super) struct Steps<'a> {
    root: &'a Value,
    address: Option<&'a str>,
    anchors: BTreeMap<&'a str, &'a Value>,
}

/// What a part of a schema comes to.
#[derive(Debug, Clone, Copy, Default)]
struct Worst {
    steps: u64,
    /// Steps that are inside each other.
    depth: usize,
}

impl Worst {
    fn and(&mut self, other: Self) {
        self.steps = self.steps.saturating_add(other.steps);
        self.depth = self.depth.max(other.depth);
    }

    fn or(self, other: Self) -> Self {
        Self {
            steps: self.steps.max(other.steps),
            depth: self.depth.max(other.depth),
        }
    }
}

impl<'a> Steps<'a> {
    pub(super) fn of(root: &'a Value) -> Result<Self, Unmeasured> {
        let mut anchors = BTreeMap::new();
        let draft = root.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let keyword = if draft.contains("draft-04") { "id" } else { "$id" };
        let address = root.get(keyword).and_then(Value::as_str);
        for part in inner(Some(root)) {
            collect(part, keyword, &mut anchors)?;
        }
        anchors.extend(names_of(root).map(|name| (name, root)));
        Ok(Self { root, address, anchors })
    }

    /// Refuses a schema that takes too many steps whatever the value is.
    pub(super) fn measure(&self) -> Result<(), Unmeasured> {
        let worst = self.worst(self.root, 0, &mut BTreeMap::new())?;
        if worst.steps > SCHEMA_STEPS || worst.depth > DEEPEST {
            return Err(Unmeasured::TooMany);
        }
        Ok(())
    }

    /// Counts the steps for `value`, as far as they are taken.
    pub(super) fn count(&self, value: &Value) -> Result<u64, TooMany> {
        let mut left = VALUE_STEPS;
        self.spend(self.root, value, 0, &mut left)?;
        Ok(VALUE_STEPS - left)
    }

    /// The worst path that begins at `schema`. What is being looked at already counts as one step. Of fields with names of
    /// their own a path goes into one, as it does of places in a list.
    fn worst(
        &self,
        schema: &'a Value,
        depth: usize,
        known: &mut BTreeMap<usize, Option<Worst>>,
    ) -> Result<Worst, Unmeasured> {
        if depth > DEEPEST {
            return Err(Unmeasured::TooMany);
        }
        let mut all = Worst { steps: 1, depth: 0 };
        let Value::Object(parts) = schema else { return Ok(all) };
        let name = std::ptr::from_ref(schema).addr();
        match known.get(&name) {
            Some(Some(worst)) => return Ok(*worst),
            Some(None) => return Ok(all),
            None => known.insert(name, None),
        };
        for target in self.same(parts)? {
            all.and(self.worst(target, depth + 1, known)?);
        }
        for keyword in ["properties", "prefixItems"] {
            let mut most = Worst::default();
            for part in inner(parts.get(keyword)) {
                most = most.or(self.worst(part, depth + 1, known)?);
            }
            all.and(most);
        }
        let every = FIELDS
            .iter()
            .chain(&ITEMS)
            .chain(&["patternProperties", "contentSchema"]);
        for part in every.flat_map(|keyword| several(keyword, parts)) {
            all.and(self.worst(part, depth + 1, known)?);
        }
        if let Some(part) = parts.get("propertyNames") {
            all.and(self.worst(part, depth + 1, known)?);
        }
        all.depth += 1;
        known.insert(name, Some(all));
        Ok(all)
    }

    /// Takes from `left` what it costs to hold `value` against `schema`.
    fn spend(&self, schema: &'a Value, value: &Value, depth: usize, left: &mut u64) -> Result<(), TooMany> {
        let Value::Object(parts) = schema else {
            *left = left.checked_sub(1).ok_or(TooMany)?;
            return Ok(());
        };
        *left = left.checked_sub(size(parts, value)).ok_or(TooMany)?;
        if depth > DEEPEST {
            return Err(TooMany);
        }
        if ends_here(parts, value) {
            return Ok(());
        }
        for target in self.same(parts).map_err(|_| TooMany)? {
            self.spend(target, value, depth + 1, left)?;
        }
        match value {
            Value::Object(fields) => self.spend_on_fields(parts, fields, depth + 1, left),
            Value::Array(items) => self.spend_on_items(parts, items, depth + 1, left),
            _ => Ok(()),
        }
    }

    fn spend_on_fields(
        &self,
        parts: &'a Map<String, Value>,
        fields: &Map<String, Value>,
        depth: usize,
        left: &mut u64,
    ) -> Result<(), TooMany> {
        let own = parts.get("properties").and_then(Value::as_object);
        for (name, value) in fields {
            let named = own.and_then(|own| own.get(name));
            if let Some(part) = named {
                self.spend(part, value, depth, left)?;
            }
            // Whether a name fits a pattern is not looked at: it may.
            let every = FIELDS.iter().chain(&["patternProperties"]);
            for part in every.flat_map(|keyword| several(keyword, parts)) {
                self.spend(part, value, depth, left)?;
            }
            if let Some(part) = parts.get("propertyNames") {
                self.spend(part, &Value::String(name.clone()), depth, left)?;
            }
        }
        Ok(())
    }

    fn spend_on_items(
        &self,
        parts: &'a Map<String, Value>,
        items: &[Value],
        depth: usize,
        left: &mut u64,
    ) -> Result<(), TooMany> {
        let first = inner(parts.get("prefixItems"));
        for (value, part) in items.iter().zip(first) {
            self.spend(part, value, depth, left)?;
        }
        for value in items {
            for part in ITEMS.iter().flat_map(|keyword| several(keyword, parts)) {
                self.spend(part, value, depth, left)?;
            }
        }
        Ok(())
    }

    /// The schemas that hold for the value itself.
    fn same(&self, parts: &'a Map<String, Value>) -> Result<Vec<&'a Value>, Unmeasured> {
        let lists = SAME.iter().flat_map(|keyword| several_or_one(parts.get(*keyword)));
        let by_field = SAME_BY_FIELD.iter().flat_map(|keyword| inner(parts.get(*keyword)));
        let mut all: Vec<&Value> = lists.chain(by_field).collect();
        for reference in REFERENCES.iter().filter_map(|keyword| parts.get(*keyword)) {
            // One that is no text is refused by the validator.
            if let Some(text) = reference.as_str() {
                all.push(self.target(text).ok_or(Unmeasured::Outside)?);
            }
        }
        Ok(all)
    }

    /// What `reference` refers to.
    fn target(&self, reference: &str) -> Option<&'a Value> {
        let here = self.address.map(|address| address.trim_end_matches('#'));
        let at = match here.and_then(|address| reference.strip_prefix(address)) {
            Some("") => return Some(self.root),
            Some(rest) => rest.strip_prefix('#')?,
            None => reference.strip_prefix('#')?,
        };
        match at {
            "" => Some(self.root),
            at if at.starts_with('/') => self.root.pointer(&decoded(at)?),
            at => self.anchors.get(at).copied(),
        }
    }
}

/// Finds the anchors in a part of a schema, and refuses addresses under `keyword`.
fn collect<'a>(part: &'a Value, keyword: &str, anchors: &mut BTreeMap<&'a str, &'a Value>) -> Result<(), Unmeasured> {
    if part.get(keyword).is_some_and(Value::is_string) {
        return Err(Unmeasured::Addressed);
    }
    anchors.extend(names_of(part).map(|name| (name, part)));
    inner(Some(part)).try_for_each(|part| collect(part, keyword, anchors))
}

/// The anchors that a schema is.
fn names_of(schema: &Value) -> impl Iterator<Item = &str> {
    let anchors = ["$anchor", "$dynamicAnchor"];
    anchors.into_iter().filter_map(|keyword| schema.get(keyword)?.as_str())
}

/// The schemas under a keyword that takes one for all, or a list; or one by pattern.
fn several<'a>(keyword: &str, parts: &'a Map<String, Value>) -> Box<dyn Iterator<Item = &'a Value> + 'a> {
    match parts.get(keyword) {
        Some(by_pattern) if keyword == "patternProperties" => inner(Some(by_pattern)),
        part => several_or_one(part),
    }
}

fn several_or_one(part: Option<&Value>) -> Box<dyn Iterator<Item = &Value> + '_> {
    match part {
        Some(Value::Array(list)) => Box::new(list.iter()),
        one => Box::new(one.into_iter()),
    }
}

/// What is directly inside of a list or a map.
fn inner(value: Option<&Value>) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Some(Value::Array(list)) => Box::new(list.iter()),
        Some(Value::Object(map)) => Box::new(map.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// What the keywords of one schema cost for `value`, other schemas aside.
fn size(parts: &Map<String, Value>, value: &Value) -> u64 {
    let choices = parts.get("enum").and_then(Value::as_array).map_or(0, Vec::len);
    let more = match value {
        Value::Object(fields) => fields.len(),
        Value::Array(items) => items.len(),
        Value::String(text) => text.len() / TEXT_STEP,
        _ => 0,
    };
    (1 + choices + more) as u64
}

/// Whether a value is of another type than the schema wants: no validator looks further then.
fn ends_here(parts: &Map<String, Value>, value: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        _ => value.is_number(),
    };
    match parts.get("type") {
        Some(Value::String(name)) => !is(name),
        Some(Value::Array(names)) => !names.iter().filter_map(Value::as_str).any(is),
        _ => false,
    }
}

/// A pointer out of the fragment of an address, in which some letters may be written in hexadecimal digits.
fn decoded(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn measured(schema: &Value) -> Result<(), Unmeasured> {
        Steps::of(schema)?.measure()
    }

    /// Definitions `a0` to `a<n>`, each made by `part` of references to the one before.
    fn chain(n: usize, part: impl Fn(Value) -> Value) -> Value {
        let mut all = Map::from_iter([("a0".to_owned(), json!({ "type": "string" }))]);
        for at in 1..=n {
            let before = json!({ "$ref": format!("#/$defs/a{}", at - 1) });
            all.insert(format!("a{at}"), part(before));
        }
        json!({ "$defs": all, "$ref": format!("#/$defs/a{n}") })
    }

    #[test]
    fn references_that_double_at_every_step_are_refused_whichever_keyword_doubles_them() {
        type Part = fn(Value) -> Value;
        let doubling: [Part; 6] = [
            |before| json!({ "allOf": [before, before] }),
            |before| json!({ "anyOf": [before, before] }),
            |before| json!({ "not": before, "$ref": before["$ref"] }),
            |before| json!({ "if": before, "then": before }),
            |before| json!({ "properties": { "x": { "allOf": [before, before] } } }),
            |before| json!({ "items": before, "contains": before }),
        ];
        for part in doubling {
            assert_eq!(measured(&chain(40, part)), Err(Unmeasured::TooMany));
            assert_eq!(measured(&chain(5, part)), Ok(()));
        }
        let long = chain(2_000, |before| before);
        assert_eq!(measured(&long), Err(Unmeasured::TooMany), "each inside the one before");
    }

    #[test]
    fn what_is_shared_by_many_fields_is_walked_through_once_on_the_way_to_one_of_them() {
        let shared = chain(
            30,
            |before| json!({ "properties": { "x": before, "y": before, "z": before } }),
        );
        assert_eq!(measured(&shared), Ok(()));
    }

    #[test]
    fn a_recursion_that_doubles_is_counted_as_deep_as_the_value_is() {
        let node = json!({ "$defs": { "node": { "type": "object", "properties": { "next": { "anyOf": [
            { "$ref": "#/$defs/node" }, { "$ref": "#/$defs/node" } ] } } } }, "$ref": "#/$defs/node" });
        let nested = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({ "next": inner }));
        assert_eq!(measured(&node), Ok(()));
        let steps = Steps::of(&node).unwrap();
        assert!(steps.count(&nested(6)).unwrap() < 1_000);
        assert_eq!(steps.count(&nested(40)), Err(TooMany));
    }

    #[test]
    fn a_tree_is_counted_once_for_each_of_its_nodes() {
        let tree = json!({ "type": "object", "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } });
        let full = (0..12).fold(json!({}), |inner, _| json!({ "left": inner, "right": inner }));
        let count = Steps::of(&tree).unwrap().count(&full).unwrap();
        let nodes = (1_u64 << 13) - 1;
        assert!(count < nodes * 5, "{count} for {nodes}");
    }

    #[test]
    fn references_are_followed_by_pointer_anchor_and_own_address_and_nowhere_else() {
        let with = |reference: &str| {
            json!({ "$id": "https://a.example/s.json", "$ref": reference,
            "$defs": { "a b": { "$anchor": "named" } } })
        };
        for known in [
            "#",
            "#named",
            "#/$defs/a%20b",
            "https://a.example/s.json",
            "https://a.example/s.json#named",
        ] {
            assert_eq!(measured(&with(known)), Ok(()), "{known}");
        }
        for other in [
            "#unknown",
            "#/$defs/b",
            "https://b.example/s.json",
            "s.json#/x",
            "#/%zz",
        ] {
            assert_eq!(measured(&with(other)), Err(Unmeasured::Outside), "{other}");
        }
        let addressed = json!({ "$defs": { "a": { "$id": "other.json", "$ref": "#" } } });
        assert_eq!(measured(&addressed), Err(Unmeasured::Addressed));
    }

    proptest! {
        #[test]
        fn whatever_the_pointer_is_it_does_not_panic(fragment in "\\PC{0,20}") {
            let _ = decoded(&fragment);
        }
    }
}
