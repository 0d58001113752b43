//! Writes the events of a streamed answer, each named like the type of its data.

use std::fmt::Write;

use super::{Block, Message, Usage, says_something, stop_reason};
use crate::dialect::anthropic::{error, json};
use crate::dialect::{Answer, Frames, Problem};

/// The events of a stream: message and block begin, a ping, a delta per token, block and message end.
#[derive(Debug)]
pub(crate) struct Events {
    answer: Answer,
}

impl Events {
    /// The events of `answer`.
    pub(crate) fn new(answer: Answer) -> Self {
        Self { answer }
    }

    /// The data of token `index`'s event.
    fn delta(&self, index: u64) -> String {
        let mut piece = String::new();
        self.answer.output.piece(index, &mut piece);
        let (kind, field) = match self.answer.output.tool {
            None => ("text_delta", "text"),
            Some(_) => ("input_json_delta", "partial_json"),
        };
        let piece = json(&piece);
        format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"{kind}","{field}":{piece}}}}}"#)
    }
}

/// Appends an event.
fn event(name: &str, data: &str, out: &mut String) {
    let _ = write!(out, "event: {name}\ndata: {data}\n\n");
}

impl Frames for Events {
    fn opening(&self, out: &mut String) {
        let answer = &self.answer;
        let message = json(&Message::new(answer, Vec::new(), None, Usage::before(answer)));
        event(
            "message_start",
            &format!(r#"{{"type":"message_start","message":{message}}}"#),
            out,
        );
        if says_something(answer) {
            let block = json(&Block::saying(answer, String::new()));
            event(
                "content_block_start",
                &format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#),
                out,
            );
        }
        event("ping", r#"{"type":"ping"}"#, out);
    }

    fn token(&self, index: u64, out: &mut String) {
        event("content_block_delta", &self.delta(index), out);
    }

    fn ending(&self, out: &mut String) {
        if says_something(&self.answer) {
            event("content_block_stop", r#"{"type":"content_block_stop","index":0}"#, out);
        }
        let reason = stop_reason(self.answer.stop);
        let usage = json(&Usage::of(&self.answer));
        event(
            "message_delta",
            &format!(
                r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{usage}}}"#
            ),
            out,
        );
    }

    fn terminator(&self, out: &mut String) {
        event("message_stop", r#"{"type":"message_stop"}"#, out);
    }

    fn error(&self, problem: &Problem<'_>, out: &mut String) {
        event("error", &error::error_text(problem).1, out);
    }

    fn malformed(&self, index: u64, out: &mut String) {
        let data = self.delta(index);
        let half = &data[..data.floor_char_boundary(data.len() / 2)];
        event("content_block_delta", half, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{answer, call, nothing, unary};
    use super::*;
    use crate::dialect::Stop;
    use serde_json::{Value, json};

    fn stream(answer: Answer) -> String {
        let (tokens, events, mut out) = (answer.output.tokens(), Events::new(answer), String::new());
        events.opening(&mut out);
        (0..tokens).for_each(|index| events.token(index, &mut out));
        events.ending(&mut out);
        events.terminator(&mut out);
        out
    }

    /// The data of each event, checked to be named like its event.
    fn data(stream: &str) -> Vec<Value> {
        let read = |event: &str| {
            let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(data["type"], name);
            data
        };
        stream.split_terminator("\n\n").map(read).collect()
    }

    #[test]
    fn a_stream_reads_like_the_real_one() {
        let usage = r#""input_tokens":464,"cache_creation_input_tokens":512,"cache_read_input_tokens":1024"#;
        let start = format!(
            concat!(
                r#"{{"type":"message_start","message":{{"id":"msg_000000000000001100000001","type":"message","#,
                r#""role":"assistant","model":"claude-a","content":[],"stop_reason":null,"stop_sequence":null,"#,
                r#""usage":{{{},"output_tokens":1,"service_tier":"standard"}}}}}}"#
            ),
            usage
        );
        let end = format!(
            concat!(
                r#"{{"type":"message_delta","delta":{{"stop_reason":"max_tokens","stop_sequence":null}},"#,
                r#""usage":{{{},"output_tokens":2}}}}"#
            ),
            usage
        );
        let delta = |text: &str| {
            format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#)
        };
        let block = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
        let events = [
            format!("event: message_start\ndata: {start}"),
            format!("event: content_block_start\ndata: {block}"),
            "event: ping\ndata: {\"type\":\"ping\"}".to_owned(),
            format!("event: content_block_delta\ndata: {}", delta("t17.0")),
            format!("event: content_block_delta\ndata: {}", delta(" t17.1")),
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}".to_owned(),
            format!("event: message_delta\ndata: {end}"),
            "event: message_stop\ndata: {\"type\":\"message_stop\"}".to_owned(),
        ];
        assert_eq!(stream(answer(Stop::Length)), events.join("\n\n") + "\n\n");
    }

    #[test]
    fn an_error_in_a_stream_is_an_event_and_nothing_follows_it() {
        let mut out = String::new();
        let problem = Problem::Fault {
            model: "claude-a",
            status: 529,
            retry_after: None,
            code: None,
        };
        Events::new(answer(Stop::Finished)).error(&problem, &mut out);
        assert_eq!(
            out,
            concat!(
                "event: error\n",
                r#"data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                "\n\n"
            )
        );
    }

    #[test]
    fn a_malformed_event_is_named_and_delimited_but_its_data_is_no_json() {
        let mut out = String::new();
        Events::new(call()).malformed(1, &mut out);
        let data = out
            .strip_prefix("event: content_block_delta\ndata: ")
            .unwrap()
            .strip_suffix("\n\n")
            .unwrap();
        assert!(data.starts_with(r#"{"type":"content_block_delta""#), "{data}");
        assert!(
            !data.contains('\n') && serde_json::from_str::<Value>(data).is_err(),
            "{data}"
        );
    }

    #[test]
    fn a_tool_call_is_an_object_at_once_and_json_text_piece_by_piece() {
        let block = json!({"type": "tool_use", "id": "toolu_000000000000001100000001", "name": "weather",
            "input": {"city": "t17.0 t17.1"}});
        let body = unary(&call());
        assert_eq!(body["content"], json!([block]));
        assert_eq!(body["stop_reason"], "tool_use");
        let events = data(&stream(call()));
        let started = &events[1]["content_block"];
        assert_eq!((&started["id"], &started["input"]), (&block["id"], &json!({})));
        let pieces = events
            .iter()
            .filter_map(|event| event["delta"]["partial_json"].as_str());
        assert_eq!(pieces.collect::<String>(), r#"{"city":"t17.0 t17.1"}"#);
    }

    #[test]
    fn thinking_is_billed_as_output_in_both_forms() {
        let mut thought = answer(Stop::Finished);
        thought.usage.reasoning = 64;
        for usage in [&unary(&thought)["usage"], &data(&stream(thought))[6]["usage"]] {
            assert_eq!(usage["output_tokens"], 66);
            assert_eq!(usage["output_tokens_details"]["thinking_tokens"], 64);
        }
    }

    #[test]
    fn an_answer_of_no_tokens_has_no_block() {
        let body = unary(&nothing());
        assert_eq!(
            (&body["content"], &body["stop_reason"]),
            (&json!([]), &json!("refusal"))
        );
        let events = data(&stream(nothing()));
        let names: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(names, ["message_start", "ping", "message_delta", "message_stop"]);
    }
}
