//! Reads a chat request.
//!
//! Takes what the simulator needs and ignores the rest, as the real endpoint ignores nothing: unknown fields and kinds of
//! blocks pass. Does not put consecutive messages of a role together.

mod content;
mod wants;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;

use crate::dialect::{Call, ChatRequest, Delivery, InvalidRequest, Passage, Problem, Role};
use content::{Content, Part};
use wants::{Format, Tool, ToolChoice};

#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    max_tokens: Option<i64>,
    messages: Option<Vec<Message>>,
    system: Option<Content>,
    tools: Option<Vec<Tool>>,
    tool_choice: Option<ToolChoice>,
    output_config: Option<OutputConfig>,
    /// Where the format stood in the beta.
    output_format: Option<Format>,
    stream: Option<bool>,
    /// Marks the end of the prompt.
    cache_control: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct OutputConfig {
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Content,
}

/// Reads the body of a chat request, and the header that must come with it.
pub(super) fn read(call: &Call<'_>, body: &[u8]) -> Result<ChatRequest, Problem<'static>> {
    if call.header("anthropic-version").is_none_or(str::is_empty) {
        return Err(invalid("anthropic-version: header is required"));
    }
    let mut body: Body = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => invalid(format!("Invalid request body: {error}")),
        _ => Problem::NotJson,
    })?;
    let model = body.model.take().ok_or_else(|| invalid("model: Field required"))?;
    let max_tokens = max_tokens(body.max_tokens)?;
    let passages = prompt(&mut body)?;
    let delivery = match body.stream {
        Some(true) => Delivery::Events,
        _ => Delivery::Whole,
    };
    let format = body
        .output_config
        .and_then(|config| config.format)
        .or(body.output_format);
    let answered = passages.last().is_some_and(|last| last.role == Role::Tool);
    Ok(ChatRequest {
        wants: wants::wants(body.tools.unwrap_or_default(), body.tool_choice, format, answered)?,
        model,
        passages,
        max_tokens: Some(max_tokens),
        delivery,
        usage_frame: true,
    })
}

fn max_tokens(limit: Option<i64>) -> Result<u64, Problem<'static>> {
    let limit = limit.ok_or_else(|| invalid("max_tokens: Field required"))?;
    let limit = u64::try_from(limit).ok().filter(|limit| *limit >= 1);
    limit.ok_or_else(|| invalid("max_tokens: Input should be greater than or equal to 1"))
}

/// All that the model reads: definitions of tools, system prompt, messages. Takes the latter two out of `body`.
fn prompt(body: &mut Body) -> Result<Vec<Passage>, Problem<'static>> {
    let messages = body
        .messages
        .take()
        .ok_or_else(|| invalid("messages: Field required"))?;
    if messages.is_empty() {
        return Err(invalid("messages: at least one message is required"));
    }
    let tools = body.tools.iter().flatten().map(|tool| Part {
        text: serde_json::to_string(tool).unwrap_or_default(),
        marked: tool.cache_control.is_some(),
        tool_result: false,
    });
    let mut passages = Vec::new();
    say(Role::System, tools, &mut passages);
    if let Some(Content(system)) = body.system.take() {
        say(Role::System, system, &mut passages);
    }
    for (index, Message { role, content }) in messages.into_iter().enumerate() {
        let Content(parts) = content;
        let role = match role.as_str() {
            "user" if parts.iter().any(|part| part.tool_result) => Role::Tool,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => {
                return Err(invalid(format!(
                    "messages.{index}.role: Input should be 'user' or 'assistant'"
                )));
            }
        };
        say(role, parts, &mut passages);
    }
    if let Some(last) = passages.last_mut().filter(|_| body.cache_control.is_some()) {
        last.cache_here = true;
    }
    if passages.is_empty() {
        return Err(invalid("messages: at least one message must have content"));
    }
    Ok(passages)
}

/// Adds the passage that `parts` make up. A mark within them ends a passage, because what comes behind it is not cached;
/// an end without text, such as an image, is then no passage.
fn say(role: Role, parts: impl IntoIterator<Item = Part>, passages: &mut Vec<Passage>) {
    let before = passages.len();
    let mut open: Option<Passage> = None;
    for part in parts {
        let passage = open.get_or_insert_with(|| Passage {
            role,
            text: String::new(),
            cache_here: false,
        });
        if !passage.text.is_empty() && !part.text.is_empty() {
            passage.text.push(' ');
        }
        passage.text.push_str(&part.text);
        if part.marked {
            passage.cache_here = true;
            passages.extend(open.take());
        }
    }
    let whole = passages.len() == before;
    passages.extend(open.filter(|passage| whole || !passage.text.is_empty()));
}

fn invalid(message: impl Into<String>) -> Problem<'static> {
    Problem::Invalid(InvalidRequest {
        message: message.into(),
        param: None,
        code: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Wants;
    use http::{HeaderMap, HeaderValue, Method};
    use serde_json::json;

    fn read_with(headers: &HeaderMap, body: &str) -> Result<ChatRequest, Problem<'static>> {
        let call = Call {
            method: &Method::POST,
            path: "/v1/messages",
            query: "",
            headers,
            body: Some(body.as_bytes()),
        };
        read(&call, body.as_bytes())
    }

    fn read_text(body: &str) -> Result<ChatRequest, Problem<'static>> {
        let version = HeaderValue::from_static("2023-06-01");
        read_with(
            &HeaderMap::from_iter([("anthropic-version".parse().unwrap(), version)]),
            body,
        )
    }

    /// A request of one user message, with `more` fields.
    fn asking(more: &str) -> Result<ChatRequest, Problem<'static>> {
        read_text(&format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"x"}}]{more}}}"#
        ))
    }

    fn said(request: &ChatRequest) -> Vec<(Role, &str, bool)> {
        let passages = request.passages.iter();
        passages.map(|p| (p.role, p.text.as_str(), p.cache_here)).collect()
    }

    fn mistake<T>(result: Result<T, Problem<'static>>) -> String {
        match result {
            Err(Problem::Invalid(mistake)) => mistake.message,
            Err(other) => format!("{other:?}"),
            Ok(_) => "none".to_owned(),
        }
    }

    const TOOLS: &str = r#","tools":[{"type":"web_search_20250305","name":"web_search"},
        {"name":"a","description":"of a city","input_schema":{"type":"object"}},
        {"name":"b","input_schema":{"type":"boolean"}}]"#;

    #[test]
    fn every_message_is_a_passage_and_blocks_are_joined() {
        let request = read_text(
            r#"{"model":"m","stream":true,"max_tokens":9,"temperature":1,"system":[{"type":"text","text":"be brief"}],
            "messages":[{"role":"user","content":"[prompt 1] a"},
            {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},
                {"type":"text","text":"let me see"},{"type":"tool_use","id":"t","name":"a","input":{"city":"Bonn"}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"rain"},
                {"type":"image","source":{}}]},{"type":"tool_result","tool_use_id":"u","content":"sun"}]},
            {"role":"user","content":[{"type":"text","text":"[prompt 17]"},{"type":"image","source":{}},
                {"type":"text","text":"w2 w3"}]}]}"#,
        )
        .unwrap();
        assert_eq!(
            said(&request),
            [
                (Role::System, "be brief", false),
                (Role::User, "[prompt 1] a", false),
                (Role::Assistant, r#"let me see {"city":"Bonn"}"#, false),
                (Role::Tool, "rain sun", false),
                (Role::User, "[prompt 17] w2 w3", false),
            ]
        );
        assert_eq!((request.model.as_str(), request.max_tokens), ("m", Some(9)));
        assert_eq!((request.delivery, request.wants), (Delivery::Events, Wants::Text));
    }

    #[test]
    fn a_mark_ends_a_passage_and_is_no_part_of_its_text() {
        let mark = r#""cache_control":{"type":"ephemeral","ttl":"5m"}"#;
        let request = read_text(&format!(
            r#"{{"model":"m","max_tokens":9,"tools":[{{"name":"a",{mark}}}],
            "system":[{{"type":"text","text":"long",{mark}}},{{"type":"text","text":"short","cache_control":null}}],
            "messages":[{{"role":"user","content":[{{"type":"text","text":"a"}},{{"type":"text","text":"book",{mark}}},
                {{"type":"text","text":"question"}}]}},
                {{"role":"user","content":[{{"type":"text","text":"end",{mark}}},{{"type":"image"}}]}}]}}"#
        ));
        let request = request.unwrap();
        assert_eq!(
            said(&request),
            [
                (Role::System, r#"{"name":"a"}"#, true),
                (Role::System, "long", true),
                (Role::System, "short", false),
                (Role::User, "a book", true),
                (Role::User, "question", false),
                (Role::User, "end", true),
            ]
        );
        let whole = asking(&format!(r#","system":"s",{mark}"#)).unwrap();
        assert_eq!(said(&whole), [(Role::System, "s", false), (Role::User, "x", true)]);
    }

    #[test]
    fn definitions_of_tools_are_one_passage_before_all_others() {
        let request = asking(&format!(r#"{TOOLS},"system":"be brief""#)).unwrap();
        let said = said(&request);
        assert_eq!(said.len(), 3);
        assert!(said[0].0 == Role::System && said[0].1.contains("of a city"), "{said:?}");
        assert!(said[0].1.contains(r#""name":"b""#), "{said:?}");
    }

    #[test]
    fn after_the_result_of_a_tool_the_format_counts() {
        let wants = |block: &str, place: &str| {
            let format = place.replace("FORMAT", r#"{"type":"json_schema","schema":{"type":"boolean"}}"#);
            let body = format!(
                r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[{block}]}}]{TOOLS}{format}}}"#
            );
            read_text(&body).unwrap().wants
        };
        let question = r#"{"type":"text","text":"x"}"#;
        let result = r#"{"type":"tool_result","tool_use_id":"t","content":"x"}"#;
        let json = Wants::Json(json!({"type": "boolean"}));
        assert!(matches!(wants(question, ""), Wants::Tool { .. }));
        for place in [
            r#","output_config":{"format":FORMAT,"effort":"low"}"#,
            r#","output_format":FORMAT"#,
        ] {
            assert!(matches!(wants(question, place), Wants::Tool { .. }));
            assert_eq!(wants(result, place), json);
        }
    }

    #[test]
    fn what_a_request_lacks_is_named() {
        for (body, message) in [
            (r#"{"max_tokens":9}"#, "model: Field required"),
            (r#"{"model":"m"}"#, "max_tokens: Field required"),
            (
                r#"{"model":"m","max_tokens":0}"#,
                "max_tokens: Input should be greater than or equal to 1",
            ),
            (r#"{"model":"m","max_tokens":1}"#, "messages: Field required"),
            (
                r#"{"model":"m","max_tokens":1,"messages":[]}"#,
                "messages: at least one message is required",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[]}]}"#,
                "messages: at least one message must have content",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"tool","content":"x"}]}"#,
                "messages.0.role: Input should be 'user' or 'assistant'",
            ),
        ] {
            assert_eq!(mistake(read_text(body)), message);
        }
        let unversioned = mistake(read_with(&HeaderMap::new(), "{}"));
        assert_eq!(unversioned, "anthropic-version: header is required");
    }

    #[test]
    fn what_is_not_json_and_what_is_no_chat_request_are_told_apart() {
        assert_eq!(read_text("{\"model\":"), Err(Problem::NotJson));
        assert_eq!(read_text(""), Err(Problem::NotJson));
        let told = mistake(read_text(r#"{"messages":[{"role":"user","content":3}]}"#));
        assert!(told.contains("expected a string or a list of content blocks"), "{told}");
    }
}
