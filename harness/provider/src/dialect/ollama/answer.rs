//! Writes answers: the unary body, and the lines of a stream.
//!
//! Does not know when a token is due, only when the first and the last are: the dates in between are spread evenly. A
//! call of a tool is never cut in pieces: it comes in the line of its last token, and the tokens before it have none.

use std::time::{Duration, UNIX_EPOCH};

use brownout_scenario::units::Micros;
use serde::Serialize;
use serde_json::{Value, json};

use crate::dialect::{Answer, EPOCH, Frames, Problem, Stop};

/// Dates stay at this one from then on: a year of five digits has no form on the wire.
const LAST_DATE: Micros = Micros::from_secs(100 * 365 * 86_400);

/// What of the wait for the first token is said to be the loading of the model.
const LOADING: Micros = Micros::from_millis(1);

#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    created_at: String,
    message: Message<'a>,
    done: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    end: Option<End>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall<'a>; 1]>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: String,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    index: u64,
    name: &'a str,
    arguments: Value,
}

/// Durations are nanoseconds; whatever is 0 is left out, as by the real server.
#[derive(Serialize)]
struct End {
    done_reason: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    total_duration: u64,
    #[serde(skip_serializing_if = "is_zero")]
    load_duration: u64,
    #[serde(skip_serializing_if = "is_zero")]
    prompt_eval_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    prompt_eval_duration: u64,
    #[serde(skip_serializing_if = "is_zero")]
    eval_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    eval_duration: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl End {
    fn of(answer: &Answer) -> Self {
        let (wait, used) = (answer.first_token.since(answer.arrived), answer.usage);
        let loading = LOADING.min(wait);
        Self {
            done_reason: match answer.stop {
                Stop::Length => "length",
                Stop::Finished | Stop::ToolCall | Stop::Filtered => "stop",
            },
            total_duration: nanos(answer.ended.since(answer.arrived)),
            load_duration: nanos(loading),
            prompt_eval_count: used.prompt.saturating_sub(used.cached),
            prompt_eval_duration: nanos(wait.since(loading)),
            eval_count: used.completion + used.reasoning,
            eval_duration: nanos(answer.ended.since(answer.first_token)),
        }
    }
}

fn nanos(duration: Micros) -> u64 {
    duration.0.saturating_mul(1_000)
}

/// A date of the run, in RFC 3339 with nanoseconds.
pub(super) fn timestamp(at: Micros) -> String {
    let date = UNIX_EPOCH + Duration::from_secs(EPOCH) + Duration::from(at.min(LAST_DATE));
    humantime::format_rfc3339_nanos(date).to_string()
}

/// The call that an answer is; `None` when its arguments were cut off, which leaves nothing to deliver.
fn call<'a>(answer: &Answer, name: &'a str) -> Option<[ToolCall<'a>; 1]> {
    let arguments: Value = serde_json::from_str(&answer.output.whole()).ok()?;
    let arguments = if arguments.is_object() { arguments } else { json!({}) };
    Some([ToolCall {
        id: format!("call_{:016x}{:04x}", answer.prompt.0, answer.attempt),
        function: Function {
            index: 0,
            name,
            arguments,
        },
    }])
}

/// JSON of our own plain data, which always has one.
fn json_text(answer: &Answer, at: Micros, message: Message<'_>, end: Option<End>) -> String {
    let line = Line {
        model: &answer.model,
        created_at: timestamp(at),
        message,
        done: end.is_some(),
        end,
    };
    serde_json::to_string(&line).unwrap_or_default()
}

fn says<'a>(content: &'a str, tool_calls: Option<[ToolCall<'a>; 1]>) -> Message<'a> {
    Message {
        role: "assistant",
        content,
        tool_calls,
    }
}

/// The body of a unary answer.
pub(super) fn whole(answer: &Answer) -> Vec<u8> {
    let text = answer.output.whole();
    let message = match &answer.output.tool {
        None => says(&text, None),
        Some(tool) => says("", call(answer, tool)),
    };
    json_text(answer, answer.ended, message, Some(End::of(answer))).into_bytes()
}

/// The frames of a stream: a line per token, then the one that says that it is done.
#[derive(Debug)]
pub(super) struct Lines {
    answer: Answer,
}

impl Lines {
    /// The frames of `answer`.
    pub(super) fn new(answer: Answer) -> Self {
        Self { answer }
    }

    /// When token `index` is made, as far as that is known here.
    fn date(&self, index: u64) -> Micros {
        let Answer { first_token, ended, .. } = self.answer;
        let gaps = self.answer.output.tokens().saturating_sub(1).max(1);
        let share = u128::from(ended.since(first_token).0) * u128::from(index.min(gaps)) / u128::from(gaps);
        first_token.plus(Micros(share as u64))
    }

    /// The line of token `index`, without its end.
    fn line(&self, index: u64) -> String {
        let mut piece = String::new();
        let message = match &self.answer.output.tool {
            None => {
                self.answer.output.piece(index, &mut piece);
                says(&piece, None)
            }
            Some(tool) => says("", call(&self.answer, tool)),
        };
        json_text(&self.answer, self.date(index), message, None)
    }
}

fn push_line(line: &str, out: &mut String) {
    out.push_str(line);
    out.push('\n');
}

impl Frames for Lines {
    fn opening(&self, _: &mut String) {}

    fn token(&self, index: u64, out: &mut String) {
        let output = &self.answer.output;
        if output.tool.is_none() || index + 1 == output.tokens() {
            push_line(&self.line(index), out);
        }
    }

    fn ending(&self, _: &mut String) {}

    fn terminator(&self, out: &mut String) {
        let (answer, end) = (&self.answer, End::of(&self.answer));
        push_line(&json_text(answer, answer.ended, says("", None), Some(end)), out);
    }

    fn error(&self, _: &Problem<'_>, out: &mut String) {
        push_line(super::error::MID_STREAM, out);
    }

    fn malformed(&self, index: u64, out: &mut String) {
        let line = self.line(index);
        push_line(&line[..line.floor_char_boundary(line.len() / 2)], out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Delivery, Usage};
    use crate::output::Output;
    use brownout_scenario::units::PromptId;

    const PROMPT: PromptId = PromptId(17);

    fn answer(output: Output, stop: Stop) -> Answer {
        Answer {
            prompt: PROMPT,
            attempt: 1,
            model: "llama3.2".to_owned(),
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
            delivery: Delivery::Lines,
            usage_frame: true,
        }
    }

    fn words(stop: Stop) -> Answer {
        answer(Output::text(PROMPT, 3), stop)
    }

    fn tool() -> Output {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        Output::call(PROMPT, 3, "weather", &parameters)
    }

    fn stream(answer: Answer) -> String {
        let tokens = answer.output.tokens();
        let (frames, mut out) = (Lines::new(answer), String::new());
        frames.opening(&mut out);
        (0..tokens).for_each(|index| frames.token(index, &mut out));
        frames.ending(&mut out);
        frames.terminator(&mut out);
        out
    }

    fn line(date: &str, more: &str, end: &str) -> String {
        format!(
            r#"{{"model":"llama3.2","created_at":"2023-11-14T22:13:{date}Z","message":{{"role":"assistant",{more}}},{end}}}"#
        )
    }

    const END: &str = concat!(
        r#""done":true,"done_reason":"stop","total_duration":110000000,"load_duration":1000000,"prompt_eval_count":13,"#,
        r#""prompt_eval_duration":99000000,"eval_count":3,"eval_duration":10000000"#
    );

    #[test]
    fn a_unary_answer_reads_like_the_real_one() {
        let body = String::from_utf8(whole(&words(Stop::Finished))).unwrap();
        assert_eq!(body, line("24.010000000", r#""content":"t17.0 t17.1 t17.2""#, END));
    }

    #[test]
    fn a_stream_is_a_line_per_token_and_one_that_says_done() {
        let lines = [
            line("24.000000000", r#""content":"t17.0""#, r#""done":false"#),
            line("24.005000000", r#""content":" t17.1""#, r#""done":false"#),
            line("24.010000000", r#""content":" t17.2""#, r#""done":false"#),
            line("24.010000000", r#""content":"""#, END),
        ];
        assert_eq!(stream(words(Stop::Finished)), lines.join("\n") + "\n");
    }

    #[test]
    fn a_call_comes_whole_with_its_last_token() {
        let call = concat!(
            r#""content":"","tool_calls":[{"id":"call_00000000000000110001","function":{"index":0,"name":"weather","#,
            r#""arguments":{"city":"t17.0 t17.1 t17.2"}}}]"#
        );
        let lines = [
            line("24.010000000", call, r#""done":false"#),
            line("24.010000000", r#""content":"""#, END),
        ];
        assert_eq!(stream(answer(tool(), Stop::ToolCall)), lines.join("\n") + "\n");
        let body = String::from_utf8(whole(&answer(tool(), Stop::ToolCall))).unwrap();
        assert_eq!(body, line("24.010000000", call, END));
    }

    #[test]
    fn a_call_that_was_cut_is_not_delivered() {
        let cut = || answer(tool().cut(2), Stop::Length);
        let body: Value = serde_json::from_slice(&whole(&cut())).unwrap();
        assert_eq!(body["message"], json!({"role": "assistant", "content": ""}));
        assert_eq!(body["done_reason"], "length");
        assert!(!stream(cut()).contains("tool_calls"));
    }

    #[test]
    fn cached_tokens_are_not_evaluated_and_thinking_is() {
        let mut answer = words(Stop::Finished);
        answer.usage.reasoning = 40;
        answer.usage.cached = 5;
        let counts = |answer: &Answer| {
            let body: Value = serde_json::from_slice(&whole(answer)).unwrap();
            (body["prompt_eval_count"].clone(), body["eval_count"].clone())
        };
        assert_eq!(counts(&answer), (json!(8), json!(43)));
        answer.usage.cached = 13;
        assert_eq!(counts(&answer), (Value::Null, json!(43)));
    }

    #[test]
    fn the_parts_of_the_duration_add_up_even_when_nothing_was_waited_for() {
        let mut answer = words(Stop::Finished);
        for wait in [0, 300, 90_000] {
            answer.arrived = Micros(answer.first_token.0 - wait);
            let end = End::of(&answer);
            assert_eq!(
                end.total_duration,
                end.load_duration + end.prompt_eval_duration + end.eval_duration
            );
        }
    }

    #[test]
    fn the_end_of_time_still_has_a_date() {
        assert_eq!(timestamp(Micros(u64::MAX)), "2123-10-21T22:13:20.000000000Z");
    }

    #[test]
    fn an_error_in_the_stream_is_a_line_of_its_own() {
        let mut out = String::new();
        Lines::new(words(Stop::Finished)).error(&Problem::NoKey, &mut out);
        assert_eq!(
            out,
            "{\"error\":\"an error was encountered while running the model\"}\n"
        );
    }

    #[test]
    fn a_malformed_frame_is_one_line_and_is_not_json() {
        for mut answer in [words(Stop::Finished), answer(tool(), Stop::ToolCall)] {
            answer.model = "ü".repeat(400);
            let mut out = String::new();
            Lines::new(answer).malformed(0, &mut out);
            let half = out.strip_suffix('\n').unwrap();
            assert!(half.starts_with('{') && !half.contains('\n'), "{half}");
            assert!(serde_json::from_str::<Value>(half).is_err(), "{half}");
        }
    }
}
