//! Reads a chat request.
//!
//! Takes what the simulator needs and ignores the rest, as the real server does.

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::{Value, json};

use crate::dialect::{ChatRequest, Delivery, InvalidRequest, Passage, Problem, Role, Wants};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    model: String,
    messages: Option<Vec<Message>>,
    stream: Option<bool>,
    #[serde(default)]
    format: Value,
    options: Option<Options>,
    tools: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Options {
    /// Numbers come as floating point, which the real server cuts to integers.
    num_predict: Option<f64>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    role: String,
    content: Option<String>,
    tool_calls: Option<Vec<Value>>,
}

impl Message {
    fn passage(&self) -> Passage {
        let calls = self
            .tool_calls
            .iter()
            .flatten()
            .map(|call| call["function"].to_string());
        let said = self.content.iter().filter(|content| !content.is_empty()).cloned();
        let role = match self.role.to_ascii_lowercase().as_str() {
            "system" => Role::System,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            _ => Role::User,
        };
        Passage {
            role,
            text: said.chain(calls).collect::<Vec<_>>().join(" "),
            cache_here: false,
        }
    }
}

/// Reads the body of a chat request.
pub(super) fn read(body: &[u8]) -> Result<ChatRequest, Problem<'static>> {
    if body.is_empty() {
        return Err(invalid("missing request body"));
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => invalid(&error.to_string()),
        _ => Problem::NotJson,
    })?;
    if body.model.is_empty() {
        return Err(invalid("model is required"));
    }
    let (messages, tools) = (body.messages.unwrap_or_default(), body.tools.unwrap_or_default());
    let Some(last) = messages.last() else {
        return Err(invalid("messages are required: this server has no model to load"));
    };
    let result_is_there = last.passage().role == Role::Tool;
    Ok(ChatRequest {
        wants: wants(tool(&tools), schema(&body.format)?, result_is_there),
        passages: tools_text(&tools)
            .into_iter()
            .chain(messages.iter().map(Message::passage))
            .collect(),
        // Zero and below are "as much as it likes".
        max_tokens: body
            .options
            .and_then(|options| options.num_predict)
            .filter(|limit| *limit >= 1.0)
            .map(|limit| limit as u64),
        delivery: if body.stream.unwrap_or(true) {
            Delivery::Lines
        } else {
            Delivery::Whole
        },
        usage_frame: true,
        model: body.model,
    })
}

/// Definitions of tools are read by the model, and paid for.
fn tools_text(tools: &[Value]) -> Option<Passage> {
    (!tools.is_empty()).then(|| Passage {
        role: Role::System,
        text: serde_json::to_string(tools).unwrap_or_default(),
        cache_here: false,
    })
}

/// Tools come before a format, until there is a result: then the format is for the final answer.
fn wants(tool: Option<Wants>, schema: Option<Value>, result_is_there: bool) -> Wants {
    match (tool, schema) {
        (Some(_), Some(schema)) if result_is_there => Wants::Json(schema),
        (Some(tool), _) => tool,
        (None, Some(schema)) => Wants::Json(schema),
        (None, None) => Wants::Text,
    }
}

/// The first tool. Ollama can't force one.
fn tool(tools: &[Value]) -> Option<Wants> {
    tools.iter().find_map(|tool| {
        let function = &tool["function"];
        Some(Wants::Tool {
            name: function["name"].as_str()?.to_owned(),
            parameters: function["parameters"].clone(),
            forced: false,
        })
    })
}

fn schema(format: &Value) -> Result<Option<Value>, Problem<'static>> {
    match format {
        Value::Null => Ok(None),
        Value::String(word) if word.is_empty() => Ok(None),
        Value::String(word) if word == "json" => Ok(Some(json!({}))),
        Value::Object(_) => Ok(Some(format.clone())),
        other => Err(invalid(&format!(
            "invalid format: {other}; expected \"json\" or a valid JSON Schema object"
        ))),
    }
}

fn invalid(message: &str) -> Problem<'static> {
    Problem::Invalid(InvalidRequest {
        message: message.to_owned(),
        param: None,
        code: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(more: &str) -> Result<ChatRequest, Problem<'static>> {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{more}}}"#);
        read(body.as_bytes())
    }

    #[test]
    fn every_message_is_a_passage() {
        let request = read(
            br#"{"model":"llama3.2","keep_alive":"5m","messages":[{"role":"system","content":"be brief"},
            {"role":"User","content":"[prompt 17] a","images":["AA=="]},
            {"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},
            {"role":"tool","tool_name":"f","content":"2"}]}"#,
        )
        .unwrap();
        let said: Vec<_> = request.passages.iter().map(|p| (p.role, p.text.as_str())).collect();
        assert_eq!(said[0], (Role::System, "be brief"));
        assert_eq!(said[1], (Role::User, "[prompt 17] a"));
        assert_eq!((said[2].0, said[2].1.contains(r#"{"a":1}"#)), (Role::Assistant, true));
        assert_eq!(said[3], (Role::Tool, "2"));
        assert_eq!(request.model, "llama3.2");
    }

    #[test]
    fn answers_stream_unless_told_otherwise() {
        let delivery = |more| with(more).unwrap().delivery;
        assert_eq!(delivery(""), Delivery::Lines);
        assert_eq!(delivery(r#","stream":null"#), Delivery::Lines);
        assert_eq!(delivery(r#","stream":true"#), Delivery::Lines);
        assert_eq!(delivery(r#","stream":false"#), Delivery::Whole);
    }

    #[test]
    fn a_limit_below_one_is_none() {
        let max = |limit: &str| {
            with(&format!(r#","options":{{"num_predict":{limit}}}"#))
                .unwrap()
                .max_tokens
        };
        assert_eq!(max("7"), Some(7));
        assert_eq!(max("7.0"), Some(7));
        for none in ["-1", "-2", "0", "null"] {
            assert_eq!(max(none), None, "{none}");
        }
        assert_eq!(with("").unwrap().max_tokens, None);
    }

    #[test]
    fn tools_and_formats_say_what_is_wanted() {
        let wants = |more| with(more).map(|request| request.wants);
        assert_eq!(wants(""), Ok(Wants::Text));
        assert_eq!(wants(r#","format":"""#), Ok(Wants::Text));
        assert_eq!(wants(r#","format":"json""#), Ok(Wants::Json(json!({}))));
        assert_eq!(
            wants(r#","format":{"type":"boolean"}"#),
            Ok(Wants::Json(json!({"type": "boolean"})))
        );
        assert!(matches!(wants(r#","format":"xml""#), Err(Problem::Invalid(_))));
        let tool = Wants::Tool {
            name: "f".to_owned(),
            parameters: json!({"type": "object"}),
            forced: false,
        };
        let tools = r#","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]"#;
        assert_eq!(wants(tools), Ok(tool.clone()));
        assert_eq!(wants(&format!(r#"{tools},"format":"json""#)), Ok(tool));
    }

    #[test]
    fn with_tools_and_a_format_the_format_is_for_the_answer_after_the_result() {
        let body = br#"{"model":"m","messages":[{"role":"tool","content":"2"}],"format":"json",
            "tools":[{"function":{"name":"f"}}]}"#;
        let request = read(body).unwrap();
        assert_eq!(request.wants, Wants::Json(json!({})));
        assert_eq!(request.passages.len(), 2, "the definitions are part of the prompt");
    }

    #[test]
    fn what_is_not_json_and_what_is_no_chat_request_are_told_apart() {
        assert_eq!(read(b"{\"model\":"), Err(Problem::NotJson));
        let message = |body: &[u8]| match read(body) {
            Err(Problem::Invalid(mistake)) => mistake.message,
            other => panic!("{other:?}"),
        };
        assert_eq!(message(b""), "missing request body");
        assert_eq!(message(br#"{"messages":[]}"#), "model is required");
        assert!(message(br#"{"model":"m","messages":[]}"#).starts_with("messages are required"));
        assert!(message(br#"{"model":3}"#).contains("expected a string"));
    }
}
