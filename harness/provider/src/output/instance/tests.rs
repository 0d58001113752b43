use serde_json::json;

use super::*;

/// The instance with `words` in their place.
fn instance(schema: &Value) -> String {
    let (before, after, place) = around_words(schema);
    let words = if place { "words" } else { "" };
    let text = format!("{before}{words}{after}");
    assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
    text
}

/// A schema with these properties.
fn object(properties: &Value) -> Value {
    json!({"type": "object", "properties": properties})
}

#[test]
fn any_object_has_the_words_under_answer() {
    for schema in [
        json!({}),
        json!(true),
        json!({"type": "object"}),
        json!({"type": "object", "properties": {}}),
        json!({"type": "OBJECT"}),
    ] {
        assert_eq!(instance(&schema), r#"{"answer":"words"}"#, "{schema}");
    }
    let empty = json!({"type": "object", "properties": {}, "additionalProperties": false});
    assert_eq!(instance(&empty), "{}");
}

#[test]
fn the_words_stand_in_the_first_string_that_may_be_anything() {
    let schema = object(&json!({
        "a": {"enum": ["red", "green"]}, "b": {"const": "fixed"}, "c": {"type": "string", "format": "date"},
        "d": {"type": "string", "pattern": "^x*$"}, "e": {"type": "string", "maxLength": 3},
        "f": {"type": "string", "minLength": 2}, "g": {"type": "string", "minLength": 2}, "h": {"type": "string"},
    }));
    assert_eq!(
        instance(&schema),
        r#"{"a":"red","b":"fixed","c":"2024-01-01","d":"","e":"","f":"words","g":"xx","h":""}"#
    );
    assert_eq!(instance(&json!({"type": "string"})), r#""words""#);
}

#[test]
fn every_type_has_its_shortest_value() {
    let schema = object(&json!({
        "a": {"type": "boolean"}, "b": {"type": "null"}, "c": {"type": "integer"}, "d": {"type": "number"},
        "e": {"type": "array", "items": {"type": "integer"}}, "f": {"type": "object"}, "g": {"type": ["null", "boolean"]},
        "h": {},
    }));
    assert_eq!(
        instance(&schema),
        r#"{"a":false,"b":null,"c":0,"d":0,"e":[0],"f":{},"g":false,"h":"words"}"#
    );
}

#[test]
fn numbers_keep_to_their_bounds() {
    for (bounds, value) in [
        (json!({"minimum": 3}), "3"),
        (json!({"minimum": 2.5}), "3"),
        (json!({"exclusiveMinimum": 3}), "4"),
        (json!({"minimum": -9, "maximum": -3}), "-9"),
        (json!({"maximum": -3}), "-3"),
        (json!({"exclusiveMaximum": 0}), "-1"),
        (json!({"minimum": 7, "multipleOf": 5}), "10"),
        (json!({"allOf": [{"minimum": 3}, {"minimum": 8}]}), "8"),
    ] {
        let mut schema = bounds.clone();
        schema["type"] = json!("integer");
        assert_eq!(instance(&schema), value, "{bounds}");
    }
    let ratio = json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1});
    assert_eq!(instance(&ratio), "0.5");
    let price = json!({"type": "number", "minimum": 0.25, "maximum": 0.75});
    assert_eq!(instance(&price), "0.25");
}

#[test]
fn lists_are_as_long_as_they_must_be() {
    let list = |bounds: Value| {
        let mut schema = bounds;
        schema["type"] = json!("array");
        instance(&schema)
    };
    assert_eq!(list(json!({"items": {"type": "string"}})), r#"["words"]"#);
    assert_eq!(
        list(json!({"items": {"type": "null"}, "minItems": 3})),
        "[null,null,null]"
    );
    assert_eq!(list(json!({"items": {"type": "null"}, "minItems": "2"})), "[null,null]");
    assert_eq!(list(json!({"maxItems": 0})), "[]");
    assert_eq!(list(json!({"items": false})), "[]");
    let pair = json!({"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false});
    assert_eq!(list(pair), r#"[0,"words"]"#);
}

#[test]
fn alternatives_are_tried_in_order_and_null_last() {
    let maybe = json!({"anyOf": [{"type": "null"}, {"type": "integer"}, {"type": "string"}]});
    assert_eq!(instance(&object(&json!({"a": maybe}))), r#"{"a":0}"#);
    let second = json!({"oneOf": [{"type": "integer", "enum": []}, {"type": "string"}]});
    assert_eq!(instance(&second), r#""words""#);
    let narrowed = json!({"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}},
        "anyOf": [{"properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}}]});
    assert_eq!(instance(&narrowed), r#"{"kind":"cat","lives":0}"#);
}

#[test]
fn all_of_several_schemas_hold() {
    let schema = json!({"allOf": [
        {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a", "z"]},
        {"properties": {"a": {"type": "integer", "minimum": 2}, "b": {"type": "string"}}},
    ]});
    assert_eq!(instance(&schema), r#"{"a":2,"b":"words","z":""}"#);
}

#[test]
fn references_are_followed_and_siblings_may_share_one() {
    let schema = json!({"$ref": "#/$defs/Trip", "$defs": {
        "Trip": {"type": "object", "properties": {"from": {"$ref": "#/$defs/City"}, "to": {"$ref": "#/$defs/City"}}},
        "City": {"type": "object", "properties": {"name": {"type": "string"}}}}});
    assert_eq!(instance(&schema), r#"{"from":{"name":"words"},"to":{"name":""}}"#);
    let old = json!({"definitions": {"n": {"type": "integer"}}, "allOf": [
        {"$ref": "#/definitions/n"}, {"$ref": "#/definitions/n", "minimum": 4}]});
    assert_eq!(instance(&old), "4");
}

#[test]
fn what_is_recursive_ends_as_early_as_it_may() {
    let tree = json!({"type": "object", "required": ["next"], "properties": {
        "children": {"type": "array", "items": {"$ref": "#"}}, "left": {"$ref": "#"}, "name": {"type": "string"},
        "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}});
    assert_eq!(instance(&tree), r#"{"children":[],"name":"words","next":null}"#);
}

#[test]
fn what_has_no_instance_is_answered_as_any_object() {
    let list = object(&json!({"a": {"type": "array", "minItems": 4_000_000_000_u64}}));
    let mut endless = json!({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}});
    assert_eq!(instance(&endless), r#"{"answer":"words"}"#);
    endless["required"] = json!([]);
    assert_eq!(instance(&endless), "{}", "what may be missing is left out");
    assert_eq!(instance(&list), "{}");
    assert_eq!(
        instance(&json!({"type": "array", "minItems": 9_000_000})),
        r#"{"answer":"words"}"#
    );
    assert_eq!(instance(&json!(false)), r#"{"answer":"words"}"#);
    assert_eq!(
        instance(&json!({"allOf": [{"type": "string"}, {"type": "null"}]})),
        r#"{"answer":"words"}"#
    );
}

#[test]
fn a_small_schema_of_a_huge_instance_stays_within_bounds() {
    let mut definitions = Map::new();
    for n in 0..40 {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        definitions.insert(format!("d{n}"), object(&json!({"a": next, "b": next})));
    }
    definitions.insert("d40".to_owned(), json!({"const": "x".repeat(100_000)}));
    let schema = json!({"$ref": "#/$defs/d0", "$defs": definitions});
    assert!(instance(&schema).len() <= MAX_BYTES);
    let chain: Map<_, _> = (0..100_000)
        .map(|n| (format!("d{n}"), json!({"$ref": format!("#/$defs/d{}", n + 1)})))
        .collect();
    assert_eq!(
        instance(&json!({"$ref": "#/$defs/d0", "$defs": chain})),
        r#"{"answer":"words"}"#
    );
    let choices = vec![json!({"anyOf": [{}, {}]}); 20_000];
    assert_eq!(instance(&json!({"allOf": choices})), r#"{"answer":"words"}"#);
}
