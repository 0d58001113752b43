//! The shortest sensible JSON that is valid under a schema, with a place in it for the words of an answer.
//!
//! All properties are filled, so that a client finds what it declared; what is recursive ends as early as it may. It
//! honours the keywords that callers send in practice, and no others: `not`, `if`, `uniqueItems`, `patternProperties`
//! and the like are passed over, and a string with a `pattern` is left empty. A schema without an instance, or without
//! one within the bounds below, is answered as if it asked for any object.

mod keywords;

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value};

use keywords::{Kind, bound, number};

/// Steps that one instance may take: values, references and alternatives.
const MAX_STEPS: u32 = 16_384;

/// How deep those steps may be nested.
const MAX_DEPTH: u32 = 200;

/// Bytes that an instance may have.
const MAX_BYTES: usize = 256 * 1024;

/// What a value may be of which the schema says nothing.
static ANYTHING: Value = Value::Bool(true);

/// The JSON before the words, the JSON behind them, and whether there is a place for words. Without one, all of it is
/// before.
///
/// The place is the first string that may be anything. A schema that allows any object has it under `answer`.
pub(super) fn around_words(schema: &Value) -> (String, String, bool) {
    let mut writer = Writer {
        root: schema,
        out: String::new(),
        place: None,
        open: vec![schema],
        steps: MAX_STEPS,
        depth: 0,
    };
    if writer.value(&[schema]).is_none() {
        return (r#"{"answer":""#.to_owned(), r#""}"#.to_owned(), true);
    }
    let Writer { mut out, place, .. } = writer;
    let after = place.map(|place| out.split_off(place));
    (out, after.clone().unwrap_or_default(), after.is_some())
}

/// Schemas that one value must be valid under, taken apart.
#[derive(Clone, Default)]
struct Parts<'a> {
    objects: Vec<&'a Map<String, Value>>,
    /// Lists of alternatives; one of each must hold as well.
    choices: Vec<&'a [Value]>,
    /// How many references were open around the value.
    around: usize,
}

/// Writes one instance. Whatever returns `None` may have written a part, which the next [`Writer::attempt`] takes back.
struct Writer<'a> {
    root: &'a Value,
    out: String,
    place: Option<usize>,
    /// What references led to here: to follow one again would never end.
    open: Vec<&'a Value>,
    steps: u32,
    depth: u32,
}

impl<'a> Writer<'a> {
    /// A value that is valid under all of `schemas`.
    fn value(&mut self, schemas: &[&'a Value]) -> Option<()> {
        self.step(|writer| {
            let mut parts = Parts {
                around: writer.open.len(),
                ..Parts::default()
            };
            let around = parts.around;
            let taken_apart = schemas
                .iter()
                .try_for_each(|schema| writer.take_apart(schema, &mut parts));
            let written = taken_apart.and_then(|()| writer.choose(parts));
            writer.open.truncate(around);
            written
        })
    }

    fn take_apart(&mut self, schema: &'a Value, parts: &mut Parts<'a>) -> Option<()> {
        self.step(|writer| {
            let Value::Object(object) = schema else {
                return (schema != &Value::Bool(false)).then_some(());
            };
            parts.objects.push(object);
            if let Some(target) = object.get("$ref").and_then(|reference| writer.target(reference)) {
                match writer.open.iter().position(|open| std::ptr::eq(*open, target)) {
                    Some(at) if at < parts.around => return None,
                    Some(_) => {}
                    None => {
                        writer.open.push(target);
                        writer.take_apart(target, parts)?;
                    }
                }
            }
            for schema in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
                writer.take_apart(schema, parts)?;
            }
            let choices = ["anyOf", "oneOf"]
                .into_iter()
                .filter_map(|key| object.get(key)?.as_array());
            parts.choices.extend(choices.map(Vec::as_slice));
            Some(())
        })
    }

    /// What a reference within the schema leads to; others lead nowhere.
    fn target(&self, reference: &Value) -> Option<&'a Value> {
        self.root.pointer(reference.as_str()?.strip_prefix('#')?)
    }

    /// The first of the alternatives that can be written, null last.
    fn choose(&mut self, mut parts: Parts<'a>) -> Option<()> {
        let Some(alternatives) = parts.choices.pop() else {
            return self.write(&parts.objects);
        };
        let is_null = |schema: &&Value| schema.get("type").is_some_and(|kind| kind == "null");
        let others = alternatives.iter().filter(|schema| !is_null(schema));
        for schema in others.chain(alternatives.iter().filter(is_null)) {
            let written = self.attempt(|writer| {
                writer.step(|writer| {
                    let mut parts = parts.clone();
                    writer.take_apart(schema, &mut parts)?;
                    writer.choose(parts)
                })
            });
            if written.is_some() {
                return written;
            }
        }
        None
    }

    fn write(&mut self, parts: &[&'a Map<String, Value>]) -> Option<()> {
        let find = |key| parts.iter().find_map(|part| part.get(key));
        if let Some(value) = find("const") {
            return self.json(value);
        }
        if let Some(values) = find("enum").and_then(Value::as_array) {
            return self.json(values.first()?);
        }
        match Kind::of(parts)? {
            Kind::Anything if self.out.is_empty() => self.object(parts),
            Kind::Object => self.object(parts),
            Kind::Array => self.array(parts),
            Kind::String | Kind::Anything => self.string(parts),
            Kind::Integer => self.json(&number(parts, true)?),
            Kind::Number => self.json(&number(parts, false)?),
            Kind::Boolean => self.json(&Value::Bool(false)),
            Kind::Null => self.json(&Value::Null),
        }
    }

    fn object(&mut self, parts: &[&'a Map<String, Value>]) -> Option<()> {
        let is_root = self.out.is_empty();
        self.out.push('{');
        let lists = parts.iter().filter_map(|part| part.get("required")?.as_array());
        let required: BTreeSet<&str> = lists.flatten().filter_map(Value::as_str).collect();
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let properties = parts.iter().filter_map(|part| part.get("properties")?.as_object());
        let declared = properties.flat_map(|properties| properties.keys().map(String::as_str));
        for name in declared.chain(required.iter().copied()) {
            if !names.insert(name) {
                continue;
            }
            let written = self.attempt(|writer| {
                writer.separate('{');
                writer.json(&Value::from(name))?;
                writer.out.push(':');
                writer.value(&property(parts, name))
            });
            if written.is_none() && required.contains(name) {
                return None;
            }
        }
        let is_open = parts
            .iter()
            .all(|part| part.get("additionalProperties") != Some(&Value::Bool(false)));
        if is_root && names.is_empty() && is_open {
            self.out.push_str(r#""answer":"#);
            self.string(&[])?;
        }
        self.out.push('}');
        Some(())
    }

    fn array(&mut self, parts: &[&'a Map<String, Value>]) -> Option<()> {
        self.out.push('[');
        let mut lists = ["prefixItems", "items"].into_iter();
        let tuple = lists.find_map(|key| parts.iter().find_map(|part| part.get(key)?.as_array()));
        let tuple = tuple.map_or(&[][..], Vec::as_slice);
        let mut others: Vec<&Value> = parts.iter().filter_map(|part| part.get("items")).collect();
        others.retain(|schema| !schema.is_array());
        let least = bound(parts, "minItems").max().unwrap_or(0);
        let most = bound(parts, "maxItems").min().unwrap_or(u64::MAX);
        // One more than none, because a list shows what it is a list of.
        let wanted = least.max(1).max(tuple.len() as u64).min(most);
        for n in 0..wanted {
            let written = self.attempt(|writer| {
                writer.separate('[');
                match tuple.get(n as usize) {
                    Some(schema) => writer.value(&[schema]),
                    None if others.is_empty() => writer.value(&[&ANYTHING]),
                    None => writer.value(&others),
                }
            });
            if written.is_none() {
                if n < least {
                    return None;
                }
                break;
            }
        }
        self.out.push(']');
        Some(())
    }

    fn string(&mut self, parts: &[&'a Map<String, Value>]) -> Option<()> {
        let find = |key| parts.iter().find_map(|part| part.get(key));
        if let Some(text) = find("format").and_then(Value::as_str).and_then(keywords::example) {
            return self.json(&Value::from(text));
        }
        self.out.push('"');
        let is_free = ["format", "pattern", "maxLength"]
            .into_iter()
            .all(|key| find(key).is_none());
        if is_free && self.place.is_none() {
            self.place = Some(self.out.len());
        } else {
            let length = bound(parts, "minLength").max().unwrap_or(0);
            let length = usize::try_from(length).ok().filter(|length| *length < MAX_BYTES)?;
            self.out.extend(std::iter::repeat_n('x', length));
        }
        self.out.push('"');
        self.within_bounds()
    }

    fn json(&mut self, value: &Value) -> Option<()> {
        write!(self.out, "{value}").ok()?;
        self.within_bounds()
    }

    /// A comma, unless `opening` was the last thing written.
    fn separate(&mut self, opening: char) {
        if !self.out.ends_with(opening) {
            self.out.push(',');
        }
    }

    /// Too much was written: nothing more is tried.
    fn within_bounds(&mut self) -> Option<()> {
        if self.out.len() > MAX_BYTES {
            self.steps = 0;
            return None;
        }
        Some(())
    }

    fn step(&mut self, step: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.steps = self.steps.checked_sub(1)?;
        self.depth += 1;
        let done = step(self);
        self.depth -= 1;
        done
    }

    /// Takes back what was written if it comes to nothing.
    fn attempt(&mut self, attempt: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let (written, place, open) = (self.out.len(), self.place, self.open.len());
        let done = if self.steps > 0 { attempt(self) } else { None };
        if done.is_none() {
            self.out.truncate(written);
            self.place = place;
            self.open.truncate(open);
        }
        done
    }
}

/// All that is said of one property.
fn property<'a>(parts: &[&'a Map<String, Value>], name: &str) -> Vec<&'a Value> {
    let declared = parts.iter().filter_map(|part| part.get("properties")?.get(name));
    let declared: Vec<_> = declared.collect();
    if declared.is_empty() {
        let others = parts.iter().filter_map(|part| part.get("additionalProperties"));
        return others.collect();
    }
    declared
}

#[cfg(test)]
mod tests;
