//! Writes answers: the unary body, and the chunks of a stream, which are objects of the same kind.
//!
//! Does not know when anything is due. A call of a function is never cut in pieces: it comes in the chunk of its last
//! token, and the tokens before it have no chunk.

use brownout_scenario::units::PromptId;
use serde::Serialize;
use serde_json::{Value, json};

use crate::dialect::{Answer, Delivery, Frames, Problem, Stop};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Generated<'a> {
    candidates: [Candidate<'a>; 1],
    usage_metadata: UsageMetadata,
    model_version: &'a str,
    response_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'static str>,
    index: u64,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<[Part<'a>; 1]>,
    role: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Part<'a> {
    Text(&'a str),
    FunctionCall { name: &'a str, args: Value },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: u64,
    candidates_token_count: u64,
    total_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content_token_count: Option<u64>,
    prompt_tokens_details: [Modality; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_tokens_details: Option<[Modality; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts_token_count: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Modality {
    modality: &'static str,
    token_count: u64,
}

impl UsageMetadata {
    /// After `said` tokens of the answer. Thinking comes before the first of them.
    fn of(answer: &Answer, said: u64) -> Self {
        let used = answer.usage;
        let text = |token_count| {
            [Modality {
                modality: "TEXT",
                token_count,
            }]
        };
        let cached = (used.cached > 0).then_some(used.cached);
        Self {
            prompt_token_count: used.prompt,
            candidates_token_count: said,
            total_token_count: used.prompt + said + used.reasoning,
            cached_content_token_count: cached,
            prompt_tokens_details: text(used.prompt),
            cache_tokens_details: cached.map(text),
            thoughts_token_count: (used.reasoning > 0).then_some(used.reasoning),
        }
    }
}

fn id(prompt: PromptId, attempt: u32) -> String {
    format!("{:016x}{attempt:04x}", prompt.0)
}

fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::Finished | Stop::ToolCall => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Filtered => "SAFETY",
    }
}

/// The call that an answer is; `None` when its arguments were cut off, which leaves nothing to deliver.
fn call<'a>(answer: &'a Answer, name: &'a str) -> Option<Part<'a>> {
    let args: Value = serde_json::from_str(&answer.output.whole()).ok()?;
    let args = if args.is_object() { args } else { json!({}) };
    Some(Part::FunctionCall { name, args })
}

/// One object of the only kind there is. It is our own plain data, which always has a JSON.
fn response(answer: &Answer, part: Option<Part<'_>>, said: u64, finish_reason: Option<&'static str>) -> String {
    let generated = Generated {
        candidates: [Candidate {
            content: Content {
                parts: part.map(|part| [part]),
                role: "model",
            },
            finish_reason,
            index: 0,
        }],
        usage_metadata: UsageMetadata::of(answer, said),
        model_version: &answer.model,
        response_id: id(answer.prompt, answer.attempt),
    };
    serde_json::to_string(&generated).unwrap_or_default()
}

/// The body of a unary answer.
pub(super) fn whole(answer: &Answer) -> Vec<u8> {
    let text = answer.output.whole();
    let part = match &answer.output.tool {
        None => Some(Part::Text(&text)),
        Some(tool) => call(answer, tool),
    };
    response(answer, part, answer.usage.completion, Some(finish_reason(answer.stop))).into_bytes()
}

/// The frames of a stream: a chunk per token, then one with the reason of the end.
#[derive(Debug)]
pub(super) struct Chunks {
    answer: Answer,
}

impl Chunks {
    /// The frames of `answer`.
    pub(super) fn new(answer: Answer) -> Self {
        Self { answer }
    }

    fn in_array(&self) -> bool {
        self.answer.delivery == Delivery::Array
    }

    /// Writes a frame that another one follows. In an array that one could not know whether it is the first, so the
    /// comma stands after an element and not before the next; all bytes together are the same.
    fn frame(&self, chunk: &str, out: &mut String) {
        if self.in_array() {
            out.push_str(chunk);
            out.push_str(",\r\n");
        } else {
            event(chunk, out);
        }
    }

    /// Writes a frame that ends the array.
    fn last_frame(&self, chunk: &str, out: &mut String) {
        if self.in_array() {
            out.push_str(chunk);
        } else {
            event(chunk, out);
        }
    }

    /// The chunk of token `index`.
    fn chunk(&self, index: u64) -> String {
        let (answer, mut piece) = (&self.answer, String::new());
        let part = match &answer.output.tool {
            None => {
                answer.output.piece(index, &mut piece);
                Some(Part::Text(&piece))
            }
            Some(tool) => call(answer, tool),
        };
        response(answer, part, index + 1, None)
    }

    fn has_chunk(&self, index: u64) -> bool {
        self.answer.output.tool.is_none() || index + 1 == self.answer.output.tokens()
    }
}

fn event(chunk: &str, out: &mut String) {
    for part in ["data: ", chunk, "\r\n\r\n"] {
        out.push_str(part);
    }
}

impl Frames for Chunks {
    fn opening(&self, out: &mut String) {
        if self.in_array() {
            out.push('[');
        }
    }

    fn token(&self, index: u64, out: &mut String) {
        if self.has_chunk(index) {
            self.frame(&self.chunk(index), out);
        }
    }

    fn ending(&self, out: &mut String) {
        let (answer, reason) = (&self.answer, finish_reason(self.answer.stop));
        let last = response(answer, Some(Part::Text("")), answer.usage.completion, Some(reason));
        self.last_frame(&last, out);
    }

    fn terminator(&self, out: &mut String) {
        if self.in_array() {
            out.push(']');
        }
    }

    fn error(&self, problem: &Problem<'_>, out: &mut String) {
        let (_, body) = super::error::error(problem);
        self.last_frame(&String::from_utf8_lossy(&body), out);
        self.terminator(out);
    }

    fn malformed(&self, index: u64, out: &mut String) {
        let chunk = self.chunk(index);
        self.frame(&chunk[..chunk.floor_char_boundary(chunk.len() / 2)], out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Usage;
    use crate::output::Output;
    use brownout_scenario::units::Micros;

    const PROMPT: PromptId = PromptId(17);

    fn answer(output: Output, stop: Stop, delivery: Delivery) -> Answer {
        Answer {
            prompt: PROMPT,
            attempt: 1,
            model: "gemini-2.5-flash".to_owned(),
            arrived: Micros(3_900_000),
            first_token: Micros(4_000_000),
            ended: Micros(4_010_000),
            usage: Usage {
                prompt: 13,
                completion: output.tokens(),
                ..Usage::default()
            },
            output,
            stop,
            delivery,
            usage_frame: true,
        }
    }

    fn words(delivery: Delivery) -> Answer {
        answer(Output::text(PROMPT, 2), Stop::Finished, delivery)
    }

    fn tool(stop: Stop, delivery: Delivery) -> Answer {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        let output = Output::call(PROMPT, 3, "weather", &parameters);
        let output = if stop == Stop::Length { output.cut(2) } else { output };
        answer(output, stop, delivery)
    }

    fn stream(answer: Answer) -> String {
        let tokens = answer.output.tokens();
        let (frames, mut out) = (Chunks::new(answer), String::new());
        frames.opening(&mut out);
        (0..tokens).for_each(|index| frames.token(index, &mut out));
        frames.ending(&mut out);
        frames.terminator(&mut out);
        out
    }

    fn chunk(part: &str, finish: &str, said: u64) -> String {
        format!(
            concat!(
                r#"{{"candidates":[{{"content":{{"parts":[{}],"role":"model"}},{}"index":0}}],"#,
                r#""usageMetadata":{{"promptTokenCount":13,"candidatesTokenCount":{},"totalTokenCount":{},"#,
                r#""promptTokensDetails":[{{"modality":"TEXT","tokenCount":13}}]}},"#,
                r#""modelVersion":"gemini-2.5-flash","responseId":"00000000000000110001"}}"#
            ),
            part,
            finish,
            said,
            13 + said
        )
    }

    #[test]
    fn a_unary_answer_reads_like_the_real_one() {
        assert_eq!(
            String::from_utf8(whole(&words(Delivery::Whole))).unwrap(),
            chunk(r#"{"text":"t17.0 t17.1"}"#, r#""finishReason":"STOP","#, 2)
        );
    }

    #[test]
    fn a_stream_is_tokens_with_running_usage_and_a_reason() {
        let frames = [
            chunk(r#"{"text":"t17.0"}"#, "", 1),
            chunk(r#"{"text":" t17.1"}"#, "", 2),
            chunk(r#"{"text":""}"#, r#""finishReason":"STOP","#, 2),
        ];
        let events = format!("data: {}\r\n\r\n", frames.join("\r\n\r\ndata: "));
        assert_eq!(stream(words(Delivery::Events)), events);
        let array = format!("[{}]", frames.join(",\r\n"));
        assert_eq!(stream(words(Delivery::Array)), array);
        assert!(serde_json::from_str::<Value>(&array).is_ok());
    }

    #[test]
    fn cached_and_thinking_tokens_are_told_and_the_sum_is_right() {
        let mut answer = words(Delivery::Whole);
        answer.usage.cached = 5;
        answer.usage.reasoning = 40;
        let body: Value = serde_json::from_slice(&whole(&answer)).unwrap();
        let usage = &body["usageMetadata"];
        assert_eq!(usage["promptTokenCount"], 13);
        assert_eq!(usage["cachedContentTokenCount"], 5);
        assert_eq!(usage["candidatesTokenCount"], 2);
        assert_eq!(usage["thoughtsTokenCount"], 40);
        assert_eq!(usage["totalTokenCount"], 55);
    }

    #[test]
    fn a_call_comes_whole_with_its_last_token() {
        let call = r#"{"functionCall":{"name":"weather","args":{"city":"t17.0 t17.1 t17.2"}}}"#;
        assert_eq!(
            String::from_utf8(whole(&tool(Stop::ToolCall, Delivery::Whole))).unwrap(),
            chunk(call, r#""finishReason":"STOP","#, 3)
        );
        let frames = [
            chunk(call, "", 3),
            chunk(r#"{"text":""}"#, r#""finishReason":"STOP","#, 3),
        ];
        let events = format!("data: {}\r\n\r\n", frames.join("\r\n\r\ndata: "));
        assert_eq!(stream(tool(Stop::ToolCall, Delivery::Events)), events);
    }

    #[test]
    fn a_call_that_was_cut_is_not_delivered() {
        let body: Value = serde_json::from_slice(&whole(&tool(Stop::Length, Delivery::Whole))).unwrap();
        assert_eq!(body["candidates"][0]["content"], json!({"role": "model"}));
        assert_eq!(body["candidates"][0]["finishReason"], "MAX_TOKENS");
        assert!(!stream(tool(Stop::Length, Delivery::Events)).contains("functionCall"));
    }

    #[test]
    fn what_is_withheld_ends_with_safety() {
        let filtered = answer(Output::text(PROMPT, 0), Stop::Filtered, Delivery::Events);
        let frame = chunk(r#"{"text":""}"#, r#""finishReason":"SAFETY","#, 0);
        assert_eq!(stream(filtered), format!("data: {frame}\r\n\r\n"));
    }

    #[test]
    fn an_error_in_the_stream_closes_the_array() {
        let problem = Problem::Overloaded { model: "m" };
        let write = |delivery| {
            let (frames, mut out) = (Chunks::new(words(delivery)), String::new());
            frames.opening(&mut out);
            frames.token(0, &mut out);
            frames.error(&problem, &mut out);
            out
        };
        let array: Value = serde_json::from_str(&write(Delivery::Array)).unwrap();
        assert_eq!(array[1]["error"]["code"], 503);
        let events = write(Delivery::Events);
        let last = events.split_terminator("\r\n\r\n").last().unwrap();
        assert!(last.starts_with(r#"data: {"error":{"code":503,"#), "{last}");
    }

    #[test]
    fn a_malformed_frame_is_delimited_like_a_whole_one_and_is_not_json() {
        for mut answer in [words(Delivery::Events), tool(Stop::ToolCall, Delivery::Events)] {
            answer.model = "ü".repeat(400);
            let mut out = String::new();
            Chunks::new(answer).malformed(0, &mut out);
            let half = out.strip_prefix("data: ").unwrap().strip_suffix("\r\n\r\n").unwrap();
            assert!(
                half.starts_with('{') && serde_json::from_str::<Value>(half).is_err(),
                "{half}"
            );
        }
    }
}
