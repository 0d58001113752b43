//! Writes answers: the unary body here, the events of a stream in `events`.
//!
//! Does not know when anything is due. An answer has one content block, or none if not a token of it is delivered.

mod events;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{id, json};
use crate::dialect::{Answer, Stop};
pub(super) use events::Events;

/// What the first event of a stream reports as output: not the count, but a placeholder that clients must not bill.
const PLACEHOLDER: u64 = 1;

#[derive(Serialize)]
struct Message<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    stop_reason: Option<&'static str>,
    stop_sequence: Option<()>,
    usage: Usage,
}

impl<'a> Message<'a> {
    fn new(answer: &'a Answer, content: Vec<Block<'a>>, stop_reason: Option<&'static str>, usage: Usage) -> Self {
        Self {
            id: id("msg", answer.prompt, answer.attempt),
            kind: "message",
            role: "assistant",
            model: &answer.model,
            content,
            stop_reason,
            stop_sequence: None,
            usage: Usage {
                service_tier: Some("standard"),
                ..usage
            },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: &'a str,
        input: Map<String, Value>,
    },
}

impl<'a> Block<'a> {
    /// The block of `answer` that says `text`. Arguments that are no JSON object, as those of a call that was cut, are
    /// an empty one.
    fn saying(answer: &'a Answer, text: String) -> Self {
        match &answer.output.tool {
            None => Self::Text { text },
            Some(name) => Self::ToolUse {
                id: id("toolu", answer.prompt, answer.attempt),
                name,
                input: serde_json::from_str(&text).unwrap_or_default(),
            },
        }
    }
}

#[derive(Serialize, Default)]
struct Usage {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
}

#[derive(Serialize)]
struct Details {
    thinking_tokens: u64,
}

impl Usage {
    fn of(answer: &Answer) -> Self {
        let used = answer.usage;
        let thinking_tokens = used.reasoning;
        Self {
            output_tokens: used.completion + used.reasoning,
            output_tokens_details: (thinking_tokens > 0).then_some(Details { thinking_tokens }),
            ..Self::before(answer)
        }
    }

    /// What is known before the first token.
    fn before(answer: &Answer) -> Self {
        let used = answer.usage;
        Self {
            input_tokens: used.prompt.saturating_sub(used.cached + used.cache_write),
            cache_creation_input_tokens: used.cache_write,
            cache_read_input_tokens: used.cached,
            output_tokens: PLACEHOLDER,
            ..Self::default()
        }
    }
}

fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::Finished => "end_turn",
        Stop::ToolCall => "tool_use",
        Stop::Length => "max_tokens",
        Stop::Filtered => "refusal",
    }
}

/// Whether the answer has a content block.
fn says_something(answer: &Answer) -> bool {
    answer.output.tokens() > 0
}

/// The body of a unary answer.
pub(super) fn whole(answer: &Answer) -> Vec<u8> {
    let block = says_something(answer).then(|| Block::saying(answer, answer.output.whole()));
    let content = block.into_iter().collect();
    let message = Message::new(answer, content, Some(stop_reason(answer.stop)), Usage::of(answer));
    json(&message).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Delivery, Usage as Used};
    use crate::output::Output;
    use brownout_scenario::units::{Micros, PromptId};
    use serde_json::json;

    /// Two words of text.
    pub(super) fn answer(stop: Stop) -> Answer {
        Answer {
            prompt: PromptId(17),
            attempt: 1,
            model: "claude-a".to_owned(),
            arrived: Micros(3_900_000),
            first_token: Micros(4_000_000),
            ended: Micros(4_010_000),
            usage: Used {
                prompt: 2_000,
                cached: 1_024,
                cache_write: 512,
                completion: 2,
                reasoning: 0,
            },
            output: Output::text(PromptId(17), 2),
            stop,
            delivery: Delivery::Events,
            usage_frame: true,
        }
    }

    /// A call of a tool.
    pub(super) fn call() -> Answer {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        Answer {
            output: Output::call(PromptId(17), 2, "weather", &parameters),
            ..answer(Stop::ToolCall)
        }
    }

    /// Everything is withheld.
    pub(super) fn nothing() -> Answer {
        Answer {
            output: Output::text(PromptId(17), 0),
            usage: Used::default(),
            ..answer(Stop::Filtered)
        }
    }

    /// The unary body.
    pub(super) fn unary(answer: &Answer) -> Value {
        serde_json::from_slice(&whole(answer)).unwrap()
    }

    #[test]
    fn a_unary_answer_reads_like_the_real_one() {
        assert_eq!(
            String::from_utf8(whole(&answer(Stop::Finished))).unwrap(),
            concat!(
                r#"{"id":"msg_000000000000001100000001","type":"message","role":"assistant","model":"claude-a","#,
                r#""content":[{"type":"text","text":"t17.0 t17.1"}],"stop_reason":"end_turn","stop_sequence":null,"#,
                r#""usage":{"input_tokens":464,"cache_creation_input_tokens":512,"cache_read_input_tokens":1024,"#,
                r#""output_tokens":2,"service_tier":"standard"}}"#
            )
        );
    }

    #[test]
    fn the_input_of_a_call_that_was_cut_is_an_empty_object() {
        let whole = call();
        let cut = Answer {
            output: whole.output.clone().cut(1),
            stop: Stop::Length,
            ..whole
        };
        let body = unary(&cut);
        assert_eq!(body["content"][0]["input"], json!({}));
        assert_eq!(body["stop_reason"], "max_tokens");
    }
}
