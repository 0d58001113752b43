//! Writes answers: the unary body, and the frames of a stream.
//!
//! Does not know when anything is due.

use std::fmt::Write;

use brownout_scenario::tracer;
use serde::Serialize;

use super::EPOCH;
use crate::dialect::Answer;

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
    content: String,
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
        Self {
            prompt_tokens: answer.prompt_tokens,
            completion_tokens: answer.tokens,
            total_tokens: answer.prompt_tokens + answer.tokens,
            prompt_tokens_details: PromptDetails::default(),
            completion_tokens_details: CompletionDetails::default(),
        }
    }
}

fn id(answer: &Answer) -> String {
    format!("chatcmpl-{:016x}{:04x}", answer.prompt.0, answer.attempt)
}

fn created(answer: &Answer) -> u64 {
    EPOCH + answer.arrived.0 / 1_000_000
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.cut { "length" } else { "stop" }
}

/// JSON of our own plain data, which always has one.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The body of a unary answer.
pub(crate) fn whole(answer: &Answer) -> Vec<u8> {
    json(&Completion {
        id: id(answer),
        object: "chat.completion",
        created: created(answer),
        model: &answer.model,
        choices: [Choice {
            index: 0,
            message: Message {
                role: "assistant",
                content: tracer::answer_text(answer.prompt, answer.tokens),
                refusal: None,
                annotations: [],
            },
            logprobs: None,
            finish_reason: finish_reason(answer),
        }],
        usage: Usage::of(answer),
        service_tier: "default",
        system_fingerprint: FINGERPRINT,
    })
    .into_bytes()
}

/// The frames of a stream, in order: a role, a frame per token, the reason of the end, usage if asked for, `[DONE]`.
#[derive(Debug)]
pub(crate) struct Frames {
    answer: Answer,
    /// Up to and without the choices, the same in every frame.
    head: String,
    /// From the end of the choices on, the same in every frame but the one that reports usage.
    tail: &'static str,
    usage: bool,
}

impl Frames {
    /// The frames of `answer`.
    pub(crate) fn new(answer: Answer, usage: bool) -> Self {
        let head = format!(
            r#"data: {{"id":"{}","object":"chat.completion.chunk","created":{},"model":{},"service_tier":"default","system_fingerprint":"{FINGERPRINT}","choices":["#,
            id(&answer),
            created(&answer),
            json(&answer.model),
        );
        let tail = if usage { "],\"usage\":null}\n\n" } else { "]}\n\n" };
        Self {
            answer,
            head,
            tail,
            usage,
        }
    }

    /// Writes the frames that carry tokens `from..until`, with the opening before the first and the end after the last.
    pub(crate) fn write(&self, from: u64, until: u64, out: &mut String) {
        if from == 0 {
            self.choice(out, r#"{"role":"assistant","content":""}"#, "null");
        }
        let mut delta = String::new();
        for index in from..until {
            delta.clear();
            delta.push_str(r#"{"content":""#);
            tracer::push_word(&mut delta, self.answer.prompt, index);
            delta.push_str("\"}");
            self.choice(out, &delta, "null");
        }
        if until == self.answer.tokens {
            let reason = format!("\"{}\"", finish_reason(&self.answer));
            self.choice(out, "{}", &reason);
            if self.usage {
                let usage = json(&Usage::of(&self.answer));
                let _ = write!(out, "{}],\"usage\":{usage}}}\n\n", self.head);
            }
            out.push_str("data: [DONE]\n\n");
        }
    }

    fn choice(&self, out: &mut String, delta: &str, finish_reason: &str) {
        let Self { head, tail, .. } = self;
        let _ = write!(
            out,
            r#"{head}{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish_reason}}}{tail}"#
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brownout_scenario::units::{Micros, PromptId};

    fn answer(cut: bool) -> Answer {
        Answer {
            prompt: PromptId(17),
            attempt: 1,
            model: "gpt-4o-mini".to_owned(),
            arrived: Micros(3_900_000),
            prompt_tokens: 13,
            tokens: 2,
            cut,
        }
    }

    #[test]
    fn a_unary_answer_reads_like_the_real_one() {
        assert_eq!(
            String::from_utf8(whole(&answer(false))).unwrap(),
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
        let mut out = String::new();
        Frames::new(answer(true), false).write(0, 2, &mut out);
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
        let mut out = String::new();
        Frames::new(answer(false), true).write(0, 2, &mut out);
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
    fn frames_are_the_same_however_they_are_grouped() {
        let frames = Frames::new(answer(false), true);
        let (mut once, mut twice) = (String::new(), String::new());
        frames.write(0, 2, &mut once);
        frames.write(0, 1, &mut twice);
        frames.write(1, 2, &mut twice);
        assert_eq!(once, twice);
    }
}
