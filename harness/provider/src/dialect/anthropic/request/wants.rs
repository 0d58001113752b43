//! Reads what kind of answer is wanted: text, JSON of a schema, the call of a tool.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::invalid;
use crate::dialect::{Problem, Wants};

/// The definition of a tool; as JSON it is what the model reads of it.
#[derive(Deserialize, Serialize)]
pub(super) struct Tool {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Tools that the provider itself runs have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    input_schema: Option<Value>,
    /// Not part of the text, so that a mark which moves on leaves the prompt as it was.
    #[serde(skip_serializing)]
    pub(super) cache_control: Option<IgnoredAny>,
}

/// Which tool, if any.
#[derive(Deserialize)]
pub(super) struct ToolChoice {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
}

/// What the text must be.
#[derive(Deserialize)]
pub(super) struct Format {
    #[serde(rename = "type")]
    kind: String,
    schema: Option<Value>,
}

/// What is wanted. Where both count, a tool goes before a format, unless the call was `answered` already.
pub(super) fn wants(
    tools: Vec<Tool>,
    choice: Option<ToolChoice>,
    format: Option<Format>,
    answered: bool,
) -> Result<Wants, Problem<'static>> {
    let called = tool(tools, choice)?;
    let format = format.filter(|format| format.kind == "json_schema");
    let json = format.map(|format| Wants::Json(format.schema.unwrap_or_else(|| json!({}))));
    let first_choice = if answered { json.or(called) } else { called.or(json) };
    Ok(first_choice.unwrap_or(Wants::Text))
}

/// The tool to call, if one is on offer. Tools that the provider itself runs are nothing to call.
fn tool(tools: Vec<Tool>, choice: Option<ToolChoice>) -> Result<Option<Wants>, Problem<'static>> {
    let (kind, name) = choice.map_or_else(|| ("auto".to_owned(), None), |choice| (choice.kind, choice.name));
    let forced = match kind.as_str() {
        "none" => return Ok(None),
        "auto" => false,
        "any" | "tool" if tools.is_empty() => {
            return Err(invalid("tool_choice may only be specified while providing tools."));
        }
        "any" | "tool" => true,
        _ => {
            return Err(invalid(
                "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'",
            ));
        }
    };
    let name = match kind.as_str() {
        "tool" => Some(name.ok_or_else(|| invalid("tool_choice.name: Field required"))?),
        _ => None,
    };
    let mut callable = tools
        .into_iter()
        .filter_map(|tool| Some((tool.name, tool.input_schema?)));
    let found = callable.find(|(offered, _)| name.as_ref().is_none_or(|name| name == offered));
    if let (None, Some(name)) = (&found, &name) {
        return Err(invalid(format!("Tool '{name}' not found in provided tools")));
    }
    Ok(found.map(|(name, parameters)| Wants::Tool {
        name,
        parameters,
        forced,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(choice: &str, format: &str) -> Result<Wants, Problem<'static>> {
        let tools = r#"[{"type":"web_search_20250305","name":"web_search"},
            {"name":"a","description":"of a city","input_schema":{"type":"object"}},
            {"name":"b","input_schema":{"type":"boolean"}}]"#;
        let (tools, choice) = (serde_json::from_str(tools), serde_json::from_str(choice));
        wants(
            tools.unwrap(),
            choice.unwrap(),
            serde_json::from_str(format).unwrap(),
            false,
        )
    }

    fn call(name: &str, parameters: Value, forced: bool) -> Wants {
        let name = name.to_owned();
        Wants::Tool {
            name,
            parameters,
            forced,
        }
    }

    const FORMAT: &str = r#"{"type":"json_schema","schema":{"type":"boolean"}}"#;

    #[test]
    fn the_tool_is_the_one_named_or_the_first_that_the_caller_runs() {
        let object = || json!({"type": "object"});
        assert_eq!(asked("null", "null"), Ok(call("a", object(), false)));
        assert_eq!(asked(r#"{"type":"auto"}"#, FORMAT), Ok(call("a", object(), false)));
        assert_eq!(asked(r#"{"type":"any"}"#, "null"), Ok(call("a", object(), true)));
        let named = asked(r#"{"type":"tool","name":"b"}"#, "null");
        assert_eq!(named, Ok(call("b", json!({"type": "boolean"}), true)));
    }

    #[test]
    fn without_a_tool_to_call_the_format_counts() {
        let json = || Ok(Wants::Json(json!({"type": "boolean"})));
        let none = r#"{"type":"none"}"#;
        assert_eq!(asked(none, FORMAT), json());
        assert_eq!(asked(none, r#"{"type":"json_schema"}"#), Ok(Wants::Json(json!({}))));
        assert_eq!(asked(none, r#"{"type":"text"}"#), Ok(Wants::Text));
        assert_eq!(
            wants(Vec::new(), None, serde_json::from_str(FORMAT).unwrap(), false),
            json()
        );
    }

    #[test]
    fn a_choice_that_can_not_be_is_refused() {
        let told = |asked| match asked {
            Err(Problem::Invalid(mistake)) => mistake.message,
            other => format!("{other:?}"),
        };
        let any = serde_json::from_str(r#"{"type":"any"}"#).unwrap();
        let missing = "tool_choice may only be specified while providing tools.";
        assert_eq!(told(wants(Vec::new(), Some(any), None, false)), missing);
        for (choice, message) in [
            (r#"{"type":"tool"}"#, "tool_choice.name: Field required"),
            (r#"{"type":"tool","name":"c"}"#, "Tool 'c' not found in provided tools"),
            (
                r#"{"type":"maybe"}"#,
                "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'",
            ),
        ] {
            assert_eq!(told(asked(choice, "null")), message);
        }
    }
}
