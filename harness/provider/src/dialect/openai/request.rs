//! Reads a chat request.
//!
//! Takes what the simulator needs and ignores the rest, as the real endpoint ignores nothing: unknown fields pass.

use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::{Value, json};

use crate::dialect::{ChatRequest, Delivery, InvalidRequest, Passage, Problem, Role, Wants};

#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    messages: Vec<Message>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(default, deserialize_with = "nullable")]
    tools: Vec<Tool>,
    tool_choice: Option<Value>,
    response_format: Option<ResponseFormat>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
    #[serde(default, deserialize_with = "nullable")]
    tool_calls: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(default, deserialize_with = "nullable")]
    text: String,
}

#[derive(Deserialize)]
struct Tool {
    function: Option<Function>,
}

#[derive(Deserialize, serde::Serialize)]
struct Function {
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    description: String,
    #[serde(default)]
    parameters: Value,
}

#[derive(Deserialize)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
    json_schema: Option<Schema>,
}

#[derive(Deserialize)]
struct Schema {
    #[serde(default)]
    schema: Value,
}

/// What clients write as `null` is left out.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Message {
    fn passage(&self) -> Passage {
        let mut text = match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => {
                let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
                texts.join(" ")
            }
        };
        for call in &self.tool_calls {
            text.push_str(&call["function"].to_string());
        }
        let role = match self.role.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" | "function" => Role::Tool,
            _ => Role::System,
        };
        Passage {
            role,
            text,
            cache_here: false,
        }
    }
}

/// Reads the body of a chat request.
pub(super) fn read(body: &[u8]) -> Result<ChatRequest, Problem<'static>> {
    let body: Body = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => invalid(format!("Invalid request body: {error}"), None, None),
        _ => Problem::NotJson,
    })?;
    if body.model.is_none() {
        return Err(invalid("you must provide a model parameter".to_owned(), None, None));
    }
    if body.messages.is_empty() {
        return Err(invalid(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
                .to_owned(),
            Some("messages"),
            Some("empty_array"),
        ));
    }
    for (position, message) in body.messages.iter().enumerate() {
        check_role(position, &message.role)?;
    }
    check_choice(&body)?;
    let max_tokens = match body.max_completion_tokens {
        Some(limit) => positive("max_completion_tokens", Some(limit))?,
        None => positive("max_tokens", body.max_tokens)?,
    };
    let (stream, usage) = (body.stream, &body.stream_options);
    Ok(ChatRequest {
        passages: tools_text(&body.tools)
            .into_iter()
            .chain(body.messages.iter().map(Message::passage))
            .collect(),
        max_tokens,
        delivery: if stream.unwrap_or(false) {
            Delivery::Events
        } else {
            Delivery::Whole
        },
        usage_frame: usage.as_ref().and_then(|o| o.include_usage).unwrap_or(false),
        wants: wants(&body),
        model: body.model.unwrap_or_default(),
    })
}

fn check_role(position: usize, role: &str) -> Result<(), Problem<'static>> {
    const ROLES: [&str; 6] = ["system", "assistant", "user", "function", "tool", "developer"];
    if ROLES.contains(&role) {
        return Ok(());
    }
    let supported = ROLES.map(|role| format!("'{role}'")).join(", ");
    let message = format!("Invalid value: '{role}'. Supported values are: {supported} (messages[{position}].role).");
    Err(invalid(message, Some("messages"), Some("invalid_value")))
}

/// A tool that must be called has to be there.
fn check_choice(body: &Body) -> Result<(), Problem<'static>> {
    let Some(name) = body
        .tool_choice
        .as_ref()
        .and_then(|choice| choice["function"]["name"].as_str())
    else {
        return Ok(());
    };
    let mut functions = body.tools.iter().filter_map(|tool| tool.function.as_ref());
    if functions.any(|function| function.name == name) {
        return Ok(());
    }
    let message = format!("Tool choice '{name}' not found in 'tools' parameter.");
    Err(invalid(message, Some("tool_choice"), None))
}

/// Definitions of tools are read by the model, and paid for.
fn tools_text(tools: &[Tool]) -> Option<Passage> {
    let functions: Vec<&Function> = tools.iter().filter_map(|tool| tool.function.as_ref()).collect();
    (!functions.is_empty()).then(|| Passage {
        role: Role::System,
        text: serde_json::to_string(&functions).unwrap_or_default(),
        cache_here: false,
    })
}

fn wants(body: &Body) -> Wants {
    if let Some(tool) = tool(body) {
        return tool;
    }
    match &body.response_format {
        Some(format) if format.kind == "json_schema" => {
            Wants::Json(format.json_schema.as_ref().map_or(json!({}), |s| s.schema.clone()))
        }
        Some(format) if format.kind == "json_object" => Wants::Json(json!({})),
        _ => Wants::Text,
    }
}

fn tool(body: &Body) -> Option<Wants> {
    let choice = body.tool_choice.as_ref();
    let word = choice.and_then(Value::as_str);
    if word == Some("none") {
        return None;
    }
    let named = choice.and_then(|choice| choice["function"]["name"].as_str());
    let mut functions = body.tools.iter().filter_map(|tool| tool.function.as_ref());
    let function = functions.find(|f| named.is_none_or(|name| f.name == name))?;
    Some(Wants::Tool {
        name: function.name.clone(),
        parameters: function.parameters.clone(),
        forced: named.is_some() || word == Some("required"),
    })
}

fn positive(param: &'static str, limit: Option<i64>) -> Result<Option<u64>, Problem<'static>> {
    match limit {
        Some(limit) if limit < 1 => Err(invalid(
            format!("Invalid '{param}': integer below minimum value. Expected a value >= 1, but got {limit} instead."),
            Some(param),
            Some("integer_below_min_value"),
        )),
        limit => Ok(limit.map(i64::unsigned_abs)),
    }
}

fn invalid(message: String, param: Option<&'static str>, code: Option<&'static str>) -> Problem<'static> {
    Problem::Invalid(InvalidRequest { message, param, code })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_a_passage_and_parts_are_joined() {
        let request = read(
            br#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":9,"temperature":1,
            "messages":[{"role":"system","content":"be brief"},{"role":"user","content":"[prompt 1] a"},
            {"role":"assistant","content":null},
            {"role":"user","content":[{"type":"text","text":"[prompt 17]"},{"type":"text","text":"w2 w3"}]},
            {"role":"assistant","content":"so far"}]}"#,
        )
        .unwrap();
        let said: Vec<_> = request.passages.iter().map(|p| (p.role, p.text.as_str())).collect();
        assert_eq!(
            said,
            [
                (Role::System, "be brief"),
                (Role::User, "[prompt 1] a"),
                (Role::Assistant, ""),
                (Role::User, "[prompt 17] w2 w3"),
                (Role::Assistant, "so far"),
            ]
        );
        assert_eq!((request.model.as_str(), request.max_tokens), ("m", Some(9)));
        assert_eq!((request.delivery, request.usage_frame), (Delivery::Events, true));
    }

    #[test]
    fn tools_and_formats_say_what_is_wanted() {
        let wants = |more: &str| {
            let tools = r#""tools":[{"type":"function","function":{"name":"a","parameters":{"type":"object"}}},
                {"type":"function","function":{"name":"b"}}]"#;
            let more = more.replace("TOOLS", tools);
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{more}}}"#);
            read(body.as_bytes()).unwrap().wants
        };
        let tool = |name: &str, parameters, forced| Wants::Tool {
            name: name.to_owned(),
            parameters,
            forced,
        };
        assert_eq!(wants(""), Wants::Text);
        assert_eq!(wants(",TOOLS"), tool("a", json!({"type": "object"}), false));
        assert_eq!(wants(r#",TOOLS,"tool_choice":"none""#), Wants::Text);
        assert_eq!(
            wants(r#",TOOLS,"tool_choice":"required""#),
            tool("a", json!({"type": "object"}), true)
        );
        let named = r#",TOOLS,"tool_choice":{"type":"function","function":{"name":"b"}}"#;
        assert_eq!(wants(named), tool("b", Value::Null, true));
        assert_eq!(
            wants(r#","response_format":{"type":"json_object"}"#),
            Wants::Json(json!({}))
        );
        let schema =
            r#","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"boolean"}}}"#;
        assert_eq!(wants(schema), Wants::Json(json!({"type": "boolean"})));
    }

    #[test]
    fn null_is_as_good_as_nothing_and_nonsense_is_refused() {
        let body = |more: &str| {
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"text","text":null}}]}},
                {{"role":"assistant","content":null,"tool_calls":null}}],"stream_options":null{more}}}"#
            )
        };
        assert_eq!(
            read(body(r#","tools":null,"tool_choice":null"#).as_bytes())
                .unwrap()
                .wants,
            Wants::Text
        );
        let wizard = body("").replace("assistant", "wizard");
        let nobody = body(r#","tools":[],"tool_choice":{"type":"function","function":{"name":"b"}}"#);
        for refused in [wizard, nobody] {
            assert!(
                matches!(read(refused.as_bytes()), Err(Problem::Invalid(_))),
                "{refused}"
            );
        }
    }

    #[test]
    fn definitions_of_tools_are_part_of_the_prompt() {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}],
            "tools":[{"type":"function","function":{"name":"weather","description":"of a city"}}]}"#;
        let passages = read(body).unwrap().passages;
        assert_eq!(passages.len(), 2);
        assert!(passages[0].text.contains("of a city"), "{passages:?}");
    }

    #[test]
    fn the_newer_name_of_the_limit_wins() {
        let max = |limits: &str| {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{limits}}}"#);
            read(body.as_bytes()).map(|r| r.max_tokens)
        };
        assert_eq!(max(""), Ok(None));
        assert_eq!(max(r#","max_tokens":5,"max_completion_tokens":7"#), Ok(Some(7)));
        assert!(matches!(max(r#","max_tokens":0"#), Err(Problem::Invalid(_))));
    }

    #[test]
    fn what_is_not_json_and_what_is_no_chat_request_are_told_apart() {
        assert_eq!(read(b"{\"model\":"), Err(Problem::NotJson));
        assert!(matches!(read(br#"{"model":3}"#), Err(Problem::Invalid(_))));
        assert!(matches!(
            read(br#"{"model":"m","messages":[]}"#),
            Err(Problem::Invalid(_))
        ));
        assert!(matches!(read(br#"{"messages":[]}"#), Err(Problem::Invalid(_))));
    }
}
