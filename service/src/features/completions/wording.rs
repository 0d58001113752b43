//! Streams as OpenAI's clients read them: chunks, and `[DONE]` after the last. A failure is an error frame without one.

use axum::response::sse::Event;
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::UsageBody;
use super::problem::ErrorBody;
use crate::answering::Event as AnswerEvent;
use crate::features::chat::Wording;
use crate::upstream::Usage;

/// The frame that says that nothing is missing.
const DONE: &str = "[DONE]";

/// The words of one stream.
pub(super) struct Chunks {
    id: String,
    created: u64,
    model: String,
    /// Whether the client wants to know.
    wants_usage: bool,
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Value,
    /// Absent unless it was asked for; then `null` until the last chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
}

impl Chunks {
    pub(super) const fn new(id: String, created: u64, wants_usage: bool) -> Self {
        Self {
            id,
            created,
            model: String::new(),
            wants_usage,
            usage: None,
        }
    }

    fn choice(&self, delta: &Value, finish_reason: Option<&str>) -> Event {
        let choice = json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason }]);
        self.chunk(choice, None)
    }

    fn chunk(&self, choices: Value, usage: Option<UsageBody>) -> Event {
        frame(&Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage: self.wants_usage.then(|| json!(usage)),
        })
    }
}

impl Wording for Chunks {
    fn frames(&mut self, event: AnswerEvent) -> Vec<Event> {
        match event {
            AnswerEvent::Begin { model } => {
                let takes_over = !self.model.is_empty();
                self.model = model;
                if takes_over {
                    return Vec::new();
                }
                vec![self.choice(&json!({ "role": "assistant", "content": "", "refusal": null }), None)]
            }
            AnswerEvent::Delta(text) => vec![self.choice(&json!({ "content": text }), None)],
            // It has its place behind the finish, which comes later.
            AnswerEvent::Usage(usage) => {
                self.usage = Some(usage);
                Vec::new()
            }
            AnswerEvent::Error(error) => vec![frame(&ErrorBody::of(&error))],
            AnswerEvent::Done(done) => {
                let mut frames = vec![self.choice(&json!({}), Some(&done.finish_reason))];
                if let Some(usage) = self.usage.filter(|_| self.wants_usage) {
                    frames.push(self.chunk(json!([]), Some(usage.into())));
                }
                frames.push(Event::default().data(DONE));
                frames
            }
        }
    }
}

fn frame(value: &impl Serialize) -> Event {
    Event::default().data(serde_json::to_string(value).unwrap_or_default())
}
