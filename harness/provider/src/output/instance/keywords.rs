//! What the keywords of a schema say of one value, taken together over all schemas that it must be valid under.
//!
//! Nothing in here writes.

use serde_json::{Map, Number, Value};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    Null,
    /// The schema does not say.
    Anything,
}

impl Kind {
    /// The first type that all parts allow, null last; `None` if there is none. Without a type the other keywords tell.
    pub(super) fn of(parts: &[&Map<String, Value>]) -> Option<Self> {
        let typed = parts.iter().filter_map(|part| part.get("type"));
        let mut lists = typed.map(Self::named).filter(|kinds| !kinds.is_empty());
        let Some(first) = lists.next() else {
            return Some(Self::implied(parts));
        };
        let allowed = lists.fold(first, |allowed, list| {
            let narrowed = allowed.iter().filter_map(|kind| kind.within(&list));
            narrowed.collect()
        });
        let rest = || allowed.iter().copied();
        rest().find(|kind| *kind != Self::Null).or(rest().next())
    }

    /// The types that a `type` names, in lower or upper case.
    fn named(types: &Value) -> Vec<Self> {
        let list = types.as_array().map_or(std::slice::from_ref(types), Vec::as_slice);
        let named = list.iter().filter_map(Value::as_str).filter_map(|name| {
            Some(match name.to_ascii_lowercase().as_str() {
                "object" => Self::Object,
                "array" => Self::Array,
                "string" => Self::String,
                "integer" => Self::Integer,
                "number" => Self::Number,
                "boolean" => Self::Boolean,
                "null" => Self::Null,
                _ => return None,
            })
        });
        named.collect()
    }

    /// What of this type a list of types allows.
    fn within(self, list: &[Self]) -> Option<Self> {
        match self {
            _ if list.contains(&self) => Some(self),
            Self::Integer if list.contains(&Self::Number) => Some(self),
            Self::Number if list.contains(&Self::Integer) => Some(Self::Integer),
            _ => None,
        }
    }

    fn implied(parts: &[&Map<String, Value>]) -> Self {
        let says = |keys: &[&str]| parts.iter().any(|part| keys.iter().any(|key| part.contains_key(*key)));
        if says(&["properties", "required", "additionalProperties"]) {
            Self::Object
        } else if says(&["items", "prefixItems", "minItems", "maxItems"]) {
            Self::Array
        } else if says(&["format", "pattern", "minLength", "maxLength"]) {
            Self::String
        } else if says(&[
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ]) {
            Self::Number
        } else {
            Self::Anything
        }
    }
}

/// A value for a format that has a form of its own.
pub(super) fn example(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "2024-01-01",
        "time" => "00:00:00Z",
        "date-time" => "2024-01-01T00:00:00Z",
        "duration" => "PT1S",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        "email" => "someone@example.com",
        "hostname" => "example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" => "https://example.com/",
        _ => return None,
    })
}

/// Counts that parts give under `key`. Some callers write them as strings.
pub(super) fn bound(parts: &[&Map<String, Value>], key: &str) -> impl Iterator<Item = u64> {
    let values = parts.iter().filter_map(move |part| part.get(key));
    values.filter_map(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()))
}

/// A number within its bounds, zero if it may be, a whole one if it can be.
pub(super) fn number(parts: &[&Map<String, Value>], whole: bool) -> Option<Value> {
    let limits = |key| parts.iter().filter_map(move |part| part.get(key)?.as_f64());
    let least = limits("minimum").reduce(f64::max);
    let above = limits("exclusiveMinimum").reduce(f64::max);
    let most = limits("maximum").reduce(f64::min);
    let below = limits("exclusiveMaximum").reduce(f64::min);
    let multiple = limits("multipleOf").find(|step| *step > 0.0);
    let fits = |value: &f64| {
        least.is_none_or(|least| *value >= least)
            && above.is_none_or(|above| *value > above)
            && most.is_none_or(|most| *value <= most)
            && below.is_none_or(|below| *value < below)
            && (!whole || value.fract() == 0.0)
    };
    let step = multiple.unwrap_or(1.0);
    let on_grid = [
        Some(0.0),
        least.map(|least| (least / step).ceil() * step),
        above.map(|above| ((above / step).floor() + 1.0) * step),
        most.map(|most| (most / step).floor() * step),
        below.map(|below| ((below / step).ceil() - 1.0) * step),
    ];
    let middle = least
        .or(above)
        .zip(most.or(below))
        .map(|(low, high)| low + (high - low) / 2.0);
    let between = [least, most, middle].into_iter().filter(|_| multiple.is_none());
    let value = on_grid.into_iter().chain(between).flatten().find(fits)?;
    // Up to here every whole number is a float, and is written without a fraction.
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}
