//! Turns a schema of the API's own kind into a JSON schema.
//!
//! Keeps what it does not know.

use serde_json::{Map, Value, json};

/// A schema of the API's own kind (types in upper case, long integers as strings) as a JSON schema.
pub(super) fn json_schema(schema: &Value) -> Value {
    let Value::Object(keys) = schema else {
        return schema.clone();
    };
    let each = |values: &Map<String, Value>| {
        values
            .iter()
            .map(|(name, of)| (name.clone(), json_schema(of)))
            .collect()
    };
    let translated = keys.iter().map(|(key, value)| match (key.as_str(), value) {
        ("type", Value::String(kind)) => ("type".to_owned(), json!(kind.to_ascii_lowercase())),
        ("properties", Value::Object(properties)) => (key.clone(), Value::Object(each(properties))),
        ("items", item) => (key.clone(), json_schema(item)),
        ("anyOf" | "any_of", Value::Array(options)) => ("anyOf".to_owned(), options.iter().map(json_schema).collect()),
        (_, value) => match bound(key) {
            Some(name) => (name.to_owned(), number(value)),
            None => (key.clone(), value.clone()),
        },
    });
    Value::Object(translated.collect())
}

/// The JSON schema's name of a bound that comes as a long integer.
fn bound(key: &str) -> Option<&'static str> {
    Some(match key {
        "minItems" | "min_items" => "minItems",
        "maxItems" | "max_items" => "maxItems",
        "minLength" | "min_length" => "minLength",
        "maxLength" | "max_length" => "maxLength",
        "minProperties" | "min_properties" => "minProperties",
        "maxProperties" | "max_properties" => "maxProperties",
        _ => return None,
    })
}

fn number(value: &Value) -> Value {
    let parsed = value.as_str().and_then(|text| text.parse::<i64>().ok());
    parsed.map_or_else(|| value.clone(), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_of_the_api_becomes_a_json_schema_and_property_names_stay() {
        let own = json!({"type": "OBJECT", "required": ["type"], "properties": {
            "type": {"type": "STRING", "enum": ["OBJECT", "ARRAY"]},
            "min_items": {"type": "ARRAY", "min_items": "2", "items": {"any_of": [{"type": "INTEGER"}]}}}});
        let plain = json!({"type": "object", "required": ["type"], "properties": {
            "type": {"type": "string", "enum": ["OBJECT", "ARRAY"]},
            "min_items": {"type": "array", "minItems": 2, "items": {"anyOf": [{"type": "integer"}]}}}});
        assert_eq!(json_schema(&own), plain);
    }
}
