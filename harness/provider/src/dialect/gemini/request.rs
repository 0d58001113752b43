//! Reads a request for content.
//!
//! Takes what the simulator needs and lets the rest pass, which the real endpoint does not: it refuses unknown fields.
//! As protocol buffers in JSON do, fields come in camel case or in snake case.

mod schema;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::{Value, json};

use crate::dialect::{ChatRequest, Delivery, InvalidRequest, Passage, Problem, Role, Wants};
use schema::json_schema;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default, deserialize_with = "one_or_many")]
    contents: Vec<Content>,
    #[serde(alias = "system_instruction")]
    system_instruction: Option<Content>,
    #[serde(default, deserialize_with = "one_or_many")]
    tools: Vec<Tools>,
    #[serde(alias = "tool_config")]
    tool_config: Option<ToolConfig>,
    #[serde(default, alias = "generation_config")]
    generation_config: Option<GenerationConfig>,
}

#[derive(Deserialize)]
struct Content {
    role: Option<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    #[serde(alias = "function_call")]
    function_call: Option<Value>,
    #[serde(alias = "function_response")]
    function_response: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tools {
    #[serde(default, alias = "function_declarations", deserialize_with = "one_or_many")]
    function_declarations: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig {
    #[serde(alias = "function_calling_config")]
    function_calling_config: Option<CallingConfig>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct CallingConfig {
    #[serde(default)]
    mode: String,
    #[serde(default, alias = "allowed_function_names")]
    allowed_function_names: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig {
    #[serde(alias = "max_output_tokens")]
    max_output_tokens: Option<i64>,
    #[serde(alias = "response_mime_type")]
    response_mime_type: Option<String>,
    #[serde(alias = "response_schema")]
    response_schema: Option<Value>,
    #[serde(alias = "response_json_schema")]
    response_json_schema: Option<Value>,
}

/// A list, or, as the real endpoint lets pass, its only element.
fn one_or_many<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let read = |value| serde_json::from_value(value).map_err(Error::custom);
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) => values.into_iter().map(read).collect(),
        value => Ok(vec![read(value)?]),
    }
}

impl Part {
    fn text(&self) -> Option<String> {
        let structured = self.function_call.as_ref().or(self.function_response.as_ref());
        self.text.clone().or_else(|| structured.map(Value::to_string))
    }
}

impl Content {
    fn passage(&self, role: Role) -> Passage {
        let texts: Vec<String> = self.parts.iter().filter_map(Part::text).collect();
        Passage {
            role,
            text: texts.join(" "),
            cache_here: false,
        }
    }

    /// What is said in the turn of the user may be the result of a tool.
    fn role(&self) -> Result<Role, Problem<'static>> {
        let result = self.parts.iter().any(|part| part.function_response.is_some());
        match self.role.as_deref() {
            Some("user") | None if !result => Ok(Role::User),
            Some("user" | "function" | "tool") | None => Ok(Role::Tool),
            Some("model") => Ok(Role::Assistant),
            Some(_) => Err(invalid("Please use a valid role: user, model.", "contents.role")),
        }
    }
}

/// Reads the body of a request for content of `model`.
pub(super) fn read(model: &str, delivery: Delivery, body: &[u8]) -> Result<ChatRequest, Problem<'static>> {
    let body: Body = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => invalid(&format!("Invalid JSON payload received. {error}"), ""),
        _ => Problem::NotJson,
    })?;
    if body.contents.is_empty() {
        let message = "* GenerateContentRequest.contents: contents is not specified\n";
        return Err(invalid(message, "contents"));
    }
    if let Some(empty) = body.contents.iter().position(|content| content.parts.is_empty()) {
        let message = format!("* GenerateContentRequest.contents[{empty}].parts: contents.parts must not be empty.\n");
        return Err(invalid(&message, "contents.parts"));
    }
    let config = body.generation_config.as_ref();
    let max_tokens = match config.and_then(|config| config.max_output_tokens) {
        Some(limit) if limit < 1 => {
            let message = format!("max_output_tokens must be positive, but it is {limit}.");
            return Err(invalid(&message, "generation_config.max_output_tokens"));
        }
        limit => limit.map(i64::unsigned_abs),
    };
    let mut passages: Vec<Passage> = tools_text(&body).into_iter().collect();
    passages.extend(body.system_instruction.as_ref().map(|said| said.passage(Role::System)));
    for content in &body.contents {
        passages.push(content.passage(content.role()?));
    }
    Ok(ChatRequest {
        model: model.to_owned(),
        max_tokens,
        delivery,
        usage_frame: true,
        wants: wants(&body, passages.last().is_some_and(|last| last.role == Role::Tool)),
        passages,
    })
}

fn declarations(body: &Body) -> impl Iterator<Item = &Value> {
    body.tools.iter().flat_map(|tools| &tools.function_declarations)
}

/// Declarations of functions are read by the model, and paid for.
fn tools_text(body: &Body) -> Option<Passage> {
    let all: Vec<&Value> = declarations(body).collect();
    (!all.is_empty()).then(|| Passage {
        role: Role::System,
        text: serde_json::to_string(&all).unwrap_or_default(),
        cache_here: false,
    })
}

/// Functions come before a schema, until there is a result: then the schema is for the final answer.
fn wants(body: &Body, result_is_there: bool) -> Wants {
    let (tool, schema) = (tool(body), schema(body));
    match (tool, schema) {
        (Some(Wants::Tool { forced: false, .. }), Some(schema)) if result_is_there => Wants::Json(schema),
        (Some(tool), _) => tool,
        (None, Some(schema)) => Wants::Json(schema),
        (None, None) => Wants::Text,
    }
}

fn tool(body: &Body) -> Option<Wants> {
    let config = body
        .tool_config
        .as_ref()
        .and_then(|config| config.function_calling_config.as_ref());
    let (mode, allowed) = config.map_or(("", &[][..]), |c| (c.mode.as_str(), &c.allowed_function_names[..]));
    if mode == "NONE" {
        return None;
    }
    let name = |declared: &Value| declared["name"].as_str().unwrap_or_default().to_owned();
    let declared = declarations(body).find(|declared| allowed.is_empty() || allowed.contains(&name(declared)))?;
    let plain = ["parametersJsonSchema", "parameters_json_schema"];
    let parameters = match plain.iter().find_map(|key| declared.get(key)) {
        Some(schema) => schema.clone(),
        None => json_schema(&declared["parameters"]),
    };
    Some(Wants::Tool {
        name: name(declared),
        parameters,
        forced: mode == "ANY",
    })
}

fn schema(body: &Body) -> Option<Value> {
    let config = body.generation_config.as_ref()?;
    if config.response_mime_type.as_deref() != Some("application/json") {
        return None;
    }
    let own = config.response_schema.as_ref().map(json_schema);
    Some(config.response_json_schema.clone().or(own).unwrap_or_else(|| json!({})))
}

fn invalid(message: &str, field: &'static str) -> Problem<'static> {
    Problem::Invalid(InvalidRequest {
        message: message.to_owned(),
        param: (!field.is_empty()).then_some(field),
        code: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Result<ChatRequest, Problem<'static>> {
        read("m", Delivery::Whole, body.as_bytes())
    }

    fn wanted(more: &str) -> Wants {
        of(&format!(r#"{{"contents":[{{"parts":[{{"text":"x"}}]}}]{more}}}"#))
            .unwrap()
            .wants
    }

    #[test]
    fn every_content_is_a_passage_and_parts_are_joined() {
        let request = of(r#"{"systemInstruction":{"parts":[{"text":"be"},{"text":"brief"}]},
            "contents":[{"role":"user","parts":[{"text":"[prompt 1]"},{"inlineData":{"data":"AA=="}},{"text":"a"}]},
            {"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1}}}]},
            {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"b":2}}}]},
            {"parts":{"text":"[prompt 17]"}}],
            "generationConfig":{"maxOutputTokens":64,"temperature":1}}"#)
        .unwrap();
        let said: Vec<_> = request.passages.iter().map(|p| (p.role, p.text.as_str())).collect();
        assert_eq!(said[0], (Role::System, "be brief"));
        assert_eq!(said[1], (Role::User, "[prompt 1] a"));
        assert_eq!((said[2].0, said[2].1.contains(r#"{"a":1}"#)), (Role::Assistant, true));
        assert_eq!((said[3].0, said[3].1.contains(r#"{"b":2}"#)), (Role::Tool, true));
        assert_eq!(said[4], (Role::User, "[prompt 17]"));
        assert_eq!(request.max_tokens, Some(64));
    }

    #[test]
    fn snake_case_says_the_same_as_camel_case() {
        let snake = r#"{"system_instruction":{"parts":{"text":"s"}},"contents":{"parts":{"text":"x"}},
            "tools":[{"function_declarations":[{"name":"a"},{"name":"b","parameters_json_schema":{"type":"object"}}]}],
            "tool_config":{"function_calling_config":{"mode":"ANY","allowed_function_names":["b"]}},
            "generation_config":{"max_output_tokens":3,"response_mime_type":"application/json",
            "response_schema":{"type":"BOOLEAN"}}}"#;
        let camel = snake
            .replace("system_i", "systemI")
            .replace("function_d", "functionD")
            .replace("parameters_json_schema", "parametersJsonSchema")
            .replace("tool_config", "toolConfig")
            .replace("function_calling_config", "functionCallingConfig")
            .replace("allowed_function_names", "allowedFunctionNames")
            .replace("generation_config", "generationConfig")
            .replace("max_output_tokens", "maxOutputTokens")
            .replace("response_mime_type", "responseMimeType")
            .replace("response_schema", "responseSchema");
        let (snake, camel) = (of(snake).unwrap(), of(&camel).unwrap());
        assert_eq!(
            snake.wants,
            Wants::Tool {
                name: "b".to_owned(),
                parameters: json!({"type": "object"}),
                forced: true,
            }
        );
        assert_eq!((snake.max_tokens, snake.passages.len()), (Some(3), 3));
        let comparable = |request: ChatRequest| ChatRequest {
            passages: request.passages[1..].to_vec(),
            ..request
        };
        assert_eq!(comparable(snake), comparable(camel));
    }

    #[test]
    fn the_mode_says_whether_a_function_is_called() {
        let with = |mode: &str| {
            let tools = r#""tools":[{"googleSearch":{}},{"functionDeclarations":[{"name":"f"}]}]"#;
            match wanted(&format!(
                r#",{tools},"toolConfig":{{"functionCallingConfig":{{"mode":"{mode}"}}}}"#
            )) {
                Wants::Tool { forced, .. } => Some(forced),
                _ => None,
            }
        };
        assert_eq!(with("AUTO"), Some(false));
        assert_eq!(with("ANY"), Some(true));
        assert_eq!(with("NONE"), None);
    }

    #[test]
    fn a_schema_without_the_media_type_is_not_obeyed() {
        let config = |inner: &str| wanted(&format!(r#","generationConfig":{{{inner}}}"#));
        assert_eq!(config(r#""responseSchema":{"type":"STRING"}"#), Wants::Text);
        assert_eq!(
            config(r#""responseMimeType":"application/json""#),
            Wants::Json(json!({}))
        );
        let plain = r#""responseMimeType":"application/json","responseJsonSchema":{"type":"boolean"}"#;
        assert_eq!(config(plain), Wants::Json(json!({"type": "boolean"})));
    }

    #[test]
    fn with_functions_and_a_schema_the_schema_is_for_the_answer_after_the_result() {
        let request = |last: &str| {
            let body = r#"{"contents":[{"role":"user","parts":[LAST]}],
                "tools":[{"functionDeclarations":[{"name":"f"}]}],
                "generationConfig":{"responseMimeType":"application/json"}}"#;
            of(&body.replace("LAST", last)).unwrap().wants
        };
        assert!(matches!(request(r#"{"text":"x"}"#), Wants::Tool { .. }));
        let result = r#"{"functionResponse":{"name":"f","response":{}}}"#;
        assert_eq!(request(result), Wants::Json(json!({})));
    }

    #[test]
    fn what_is_not_json_and_what_asks_for_nothing_are_told_apart() {
        assert_eq!(of("{\"contents\":"), Err(Problem::NotJson));
        for bad in [
            "{}",
            r#"{"contents":[]}"#,
            r#"{"contents":[{"parts":[]}]}"#,
            r#"{"contents":[{"role":"system","parts":[{"text":"x"}]}]}"#,
            r#"{"contents":[{"parts":[{"text":3}]}]}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"maxOutputTokens":0}}"#,
        ] {
            assert!(matches!(of(bad), Err(Problem::Invalid(_))), "{bad}");
        }
    }
}
