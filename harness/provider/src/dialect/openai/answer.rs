//! Writes answers: the unary body, and the frames of a stream.
//!
//! Does not know when anything is due.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use crate::dialect::{Answer, EPOCH, Frames, Problem, Stop};

const FINGERPRINT: &str = "fp_brownout";

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice; 1],
    usage: Usage,
    service_tier: &'static str,
    system_fingerprint: &'static str,
}

#[derive(Serialize)]
struct Choice {
    index: u64,
    message: Message,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Value>,
    refusal: Option<()>,
    annotations: [(); 0],
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize, Default)]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Serialize, Default)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

impl Usage {
    fn of(answer: &Answer) -> Self {
        let used = answer.usage;
        let completion_tokens = used.completion + used.reasoning;
        Self {
            prompt_tokens: used.prompt,
            completion_tokens,
            total_tokens: used.prompt + completion_tokens,
            prompt_tokens_details: PromptDetails {
                cached_tokens: used.cached,
                audio_tokens: 0,
            },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: used.reasoning,
                ..CompletionDetails::default()
            },
        }
    }
}

fn id(answer: &Answer) -> String {
    format!("chatcmpl-{:016x}{:04x}", answer.prompt.0, answer.attempt)
}

fn call_id(answer: &Answer) -> String {
    format!("call_{:016x}{:04x}", answer.prompt.0, answer.attempt)
}

fn created(answer: &Answer) -> u64 {
    EPOCH + answer.arrived.0 / 1_000_000
}

fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::Finished => "stop",
        Stop::ToolCall => "tool_calls",
        Stop::Length => "length",
        Stop::Filtered => "content_filter",
    }
}

/// JSON of our own plain data, which always has one.
fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The body of a unary answer.
pub(super) fn whole(answer: &Answer) -> Vec<u8> {
    let text = answer.output.whole();
    let (content, tool_calls) = match &answer.output.tool {
        None => (Some(text), None),
        Some(tool) => {
            let call = json!([{
                "id": call_id(answer),
                "type": "function",
                "function": {"name": tool, "arguments": text},
            }]);
            (None, Some(call))
        }
    };
    json_text(&Completion {
        id: id(answer),
        object: "chat.completion",
        created: created(answer),
        model: &answer.model,
        choices: [Choice {
            index: 0,
            message: Message {
                role: "assistant",
                content,
                tool_calls,
                refusal: None,
                annotations: [],
            },
            logprobs: None,
            finish_reason: finish_reason(answer.stop),
        }],
        usage: Usage::of(answer),
        service_tier: "default",
        system_fingerprint: FINGERPRINT,
    })
    .into_bytes()
}

/// The frames of a stream: a role, a frame per token, the reason of the end, usage if asked for, `[DONE]`.
#[derive(Debug)]
pub(super) struct Chunks {
    answer: Answer,
    /// Up to and without the choices, the same in every frame.
    head: String,
    /// From the end of the choices on, the same in every frame but the one that reports usage.
    tail: &'static str,
}

impl Chunks {
    /// The frames of `answer`.
    pub(super) fn new(answer: Answer) -> Self {
        let head = format!(
            r#"data: {{"id":"{}","object":"chat.completion.chunk","created":{},"model":{},"service_tier":"default","system_fingerprint":"{FINGERPRINT}","choices":["#,
            id(&answer),
            created(&answer),
            json_text(&answer.model),
        );
        let tail = if answer.usage_frame {
            "],\"usage\":null}\n\n"
        } else {
            "]}\n\n"
        };
        Self { answer, head, tail }
    }

    fn choice(&self, out: &mut String, delta: &str, finish_reason: &str) {
        let Self { head, tail, .. } = self;
        let _ = write!(
            out,
            r#"{head}{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish_reason}}}{tail}"#
        );
    }
}

impl Frames for Chunks {
    fn opening(&self, out: &mut String) {
        match &self.answer.output.tool {
            None => self.choice(out, r#"{"role":"assistant","content":""}"#, "null"),
            Some(tool) => {
                let function = json!({"name": tool, "arguments": ""});
                let call = json!([{"index": 0, "id": call_id(&self.answer), "type": "function", "function": function}]);
                let delta = json!({"role": "assistant", "content": null, "tool_calls": call});
                self.choice(out, &delta.to_string(), "null");
            }
        }
    }

    fn token(&self, index: u64, out: &mut String) {
        let mut piece = String::new();
        self.answer.output.piece(index, &mut piece);
        let quoted = json_text(&piece);
        let delta = match self.answer.output.tool {
            None => format!(r#"{{"content":{quoted}}}"#),
            Some(_) => format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":{quoted}}}}}]}}"#),
        };
        self.choice(out, &delta, "null");
    }

    fn ending(&self, out: &mut String) {
        let reason = format!("\"{}\"", finish_reason(self.answer.stop));
        self.choice(out, "{}", &reason);
        if self.answer.usage_frame {
            let usage = json_text(&Usage::of(&self.answer));
            let _ = write!(out, "{}],\"usage\":{usage}}}\n\n", self.head);
        }
    }

    fn terminator(&self, out: &mut String) {
        out.push_str("data: [DONE]\n\n");
    }

    fn error(&self, problem: &Problem<'_>, out: &mut String) {
        let (_, body) = super::error::error(problem);
        let _ = write!(out, "data: {}\n\n", String::from_utf8_lossy(&body));
    }

    fn malformed(&self, index: u64, out: &mut String) {
        let mut frame = String::new();
        self.token(index, &mut frame);
        out.push_str(&frame[..frame.floor_char_boundary(frame.len() / 2)]);
        out.push_str("\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Delivery, Usage};
    use crate::output::Output;
    use brownout_scenario::units::{Micros, PromptId};

    fn answer(stop: Stop) -> Answer {
        Answer {
            prompt: PromptId(17),
            attempt: 1,
            model: "gpt-4o-mini".to_owned(),
            arrived: Micros(3_900_000),
            first_token: Micros(4_000_000),
            ended: Micros(4_010_000),
            usage: Usage {
                prompt: 13,
                completion: 2,
                ..Usage::default()
            },
            output: Output::text(PromptId(17), 2),
            stop,
            delivery: Delivery::Events,
            usage_frame: false,
        }
    }

    fn stream(answer: Answer) -> String {
        let (frames, mut out) = (Chunks::new(answer), String::new());
        frames.opening(&mut out);
        (0..2).for_each(|index| frames.token(index, &mut out));
        frames.ending(&mut out);
        frames.terminator(&mut out);
        out
    }

    #[test]
    fn a_unary_answer_reads_like_the_real_one() {
        assert_eq!(
            String::from_utf8(whole(&answer(Stop::Finished))).unwrap(),
            concat!(
                r#"{"id":"chatcmpl-00000000000000110001","object":"chat.completion","created":1700000003,"#,
                r#""model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"t17.0 t17.1","#,
                r#""refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"#,
                r#""usage":{"prompt_tokens":13,"completion_tokens":2,"total_tokens":15,"#,
                r#""prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"#,
                r#""completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"#,
                r#""accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"#,
                r#""service_tier":"default","system_fingerprint":"fp_brownout"}"#
            )
        );
    }

    const HEAD: &str = concat!(
        r#"data: {"id":"chatcmpl-00000000000000110001","object":"chat.completion.chunk","created":1700000003,"#,
        r#""model":"gpt-4o-mini","service_tier":"default","system_fingerprint":"fp_brownout","choices":["#
    );

    #[test]
    fn a_stream_is_role_tokens_reason_and_done() {
        let out = stream(answer(Stop::Length));
        let choice = |delta: &str, reason: &str| {
            format!(r#"{HEAD}{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{reason}}}]}}"#)
        };
        let frames = [
            choice(r#"{"role":"assistant","content":""}"#, "null"),
            choice(r#"{"content":"t17.0"}"#, "null"),
            choice(r#"{"content":" t17.1"}"#, "null"),
            choice("{}", r#""length""#),
            "data: [DONE]".to_owned(),
        ];
        assert_eq!(out, frames.join("\n\n") + "\n\n");
    }

    #[test]
    fn usage_comes_before_done_and_is_null_elsewhere() {
        let out = stream(Answer {
            usage_frame: true,
            ..answer(Stop::Finished)
        });
        let frames: Vec<&str> = out.split_terminator("\n\n").collect();
        assert_eq!(frames.len(), 6);
        assert!(
            frames[..4].iter().all(|frame| frame.ends_with(r#"],"usage":null}"#)),
            "{out}"
        );
        let usage = concat!(
            r#"],"usage":{"prompt_tokens":13,"completion_tokens":2,"total_tokens":15,"#,
            r#""prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"#,
            r#""completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"#,
            r#""accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}"#
        );
        assert_eq!(frames[4], format!("{HEAD}{usage}"));
        assert_eq!(frames[5], "data: [DONE]");
    }

    #[test]
    fn a_tool_call_carries_its_arguments_piece_by_piece() {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let call = Answer {
            output: Output::call(PromptId(17), 2, "weather", &parameters),
            ..answer(Stop::ToolCall)
        };
        let unary: Value = serde_json::from_slice(&whole(&call)).unwrap();
        let message = &unary["choices"][0]["message"];
        assert_eq!(message["content"], Value::Null);
        assert_eq!(
            message["tool_calls"][0]["function"]["arguments"],
            r#"{"city":"t17.0 t17.1"}"#
        );
        let mut arguments = String::new();
        for frame in stream(call).split_terminator("\n\n").filter(|f| *f != "data: [DONE]") {
            let chunk: Value = serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap();
            let piece = &chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"];
            arguments.push_str(piece.as_str().unwrap_or_default());
        }
        assert_eq!(arguments, r#"{"city":"t17.0 t17.1"}"#);
    }

    #[test]
    fn thinking_is_billed_within_the_completion_and_cached_tokens_within_the_prompt() {
        let thought = Answer {
            usage: Usage {
                prompt: 2_000,
                cached: 1_920,
                cache_write: 0,
                completion: 2,
                reasoning: 64,
            },
            ..answer(Stop::Finished)
        };
        let usage = &serde_json::from_slice::<Value>(&whole(&thought)).unwrap()["usage"];
        assert_eq!(usage["prompt_tokens"], 2_000);
        assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 1_920);
        assert_eq!(usage["completion_tokens"], 66);
        assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 64);
        assert_eq!(usage["total_tokens"], 2_066);
    }

    #[test]
    fn a_malformed_frame_is_delimited_but_no_json() {
        let mut out = String::new();
        Chunks::new(answer(Stop::Finished)).malformed(1, &mut out);
        let data = out.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
        assert!(serde_json::from_str::<Value>(data).is_err(), "{data}");
    }
}
