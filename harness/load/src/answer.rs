//! What comes back from the reference API, and from any that is compatible with OpenAI's: answers, jobs, events.
//!
//! Reads; does not decide what an answer or its absence means for the request.

use brownout_scenario::observe::Usage;
use brownout_scenario::plan::Endpoint;
use serde::Deserialize;

use crate::sse::Event;

/// A whole answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) content: String,
    pub(crate) usage: Option<UsageBody>,
}

/// Usage as the service writes it.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl From<UsageBody> for Usage {
    fn from(body: UsageBody) -> Self {
        Self {
            prompt_tokens: body.prompt_tokens,
            completion_tokens: body.completion_tokens,
        }
    }
}

/// A completion, or a chunk of one, in OpenAI's form.
#[derive(Debug, Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<UsageBody>,
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Option<Message>,
    delta: Option<Message>,
}

#[derive(Debug, Deserialize)]
struct Message {
    content: Option<String>,
}

/// Reads a whole answer of `endpoint`; `None` if it cannot be understood.
pub(crate) fn whole(endpoint: Endpoint, body: &[u8]) -> Option<Answer> {
    if endpoint != Endpoint::Completions {
        return serde_json::from_slice(body).ok();
    }
    let completion: Completion = serde_json::from_slice(body).ok()?;
    let choice = completion.choices.into_iter().next()?;
    Some(Answer {
        content: choice.message?.content?,
        usage: completion.usage,
    })
}

/// A vector, and what the service says that it cost.
#[derive(Debug)]
pub(crate) struct Vector {
    pub(crate) numbers: Vec<f64>,
    pub(crate) usage: Usage,
}

/// Reads the answer to one text; `None` if it cannot be understood, or holds another number of vectors.
pub(crate) fn vector(body: &[u8]) -> Option<Vector> {
    #[derive(Deserialize)]
    struct List {
        data: [Entry; 1],
        usage: Tokens,
    }
    #[derive(Deserialize)]
    struct Entry {
        index: u64,
        embedding: Vec<f64>,
    }
    #[derive(Deserialize)]
    struct Tokens {
        prompt_tokens: u64,
    }
    let List { data: [entry], usage } = serde_json::from_slice(body).ok()?;
    (entry.index == 0 && !entry.embedding.is_empty()).then_some(Vector {
        numbers: entry.embedding,
        usage: Usage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: 0,
        },
    })
}

/// A job that was taken on.
#[derive(Debug, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) id: String,
}

/// A job as it stands.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    status: String,
    result: Option<Answer>,
}

/// What is known of a job.
#[derive(Debug)]
pub(crate) enum JobState {
    Open,
    Succeeded(Answer),
    Failed,
    /// Nobody knows it.
    Lost,
}

impl Job {
    pub(crate) fn state(self) -> JobState {
        match (self.status.as_str(), self.result) {
            ("succeeded", Some(answer)) => JobState::Succeeded(answer),
            ("queued" | "running", _) => JobState::Open,
            _ => JobState::Failed,
        }
    }
}

/// What an event of a streamed answer means.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    /// Words of the answer, usage, both or neither.
    Piece {
        text: String,
        usage: Option<Usage>,
    },
    Error,
    Done,
    Malformed,
}

#[derive(Deserialize)]
struct Delta {
    text: String,
}

/// Reads an event of a stream of `endpoint`.
pub(crate) fn stream_event(endpoint: Endpoint, event: &Event) -> StreamEvent {
    if endpoint == Endpoint::CompletionsStream {
        return chunk(&event.data);
    }
    let nothing = || StreamEvent::Piece {
        text: String::new(),
        usage: None,
    };
    match event.name.as_str() {
        "delta" => {
            serde_json::from_str::<Delta>(&event.data).map_or(StreamEvent::Malformed, |delta| StreamEvent::Piece {
                text: delta.text,
                usage: None,
            })
        }
        "usage" => {
            serde_json::from_str::<UsageBody>(&event.data).map_or(StreamEvent::Malformed, |usage| StreamEvent::Piece {
                text: String::new(),
                usage: Some(usage.into()),
            })
        }
        "error" => StreamEvent::Error,
        "done" => StreamEvent::Done,
        _ => nothing(),
    }
}

/// Reads a chunk in OpenAI's form.
fn chunk(data: &str) -> StreamEvent {
    if data == "[DONE]" {
        return StreamEvent::Done;
    }
    let Ok(chunk) = serde_json::from_str::<Completion>(data) else {
        return StreamEvent::Malformed;
    };
    if chunk.error.is_some() {
        return StreamEvent::Error;
    }
    let delta = chunk.choices.into_iter().next().and_then(|choice| choice.delta);
    StreamEvent::Piece {
        text: delta.and_then(|delta| delta.content).unwrap_or_default(),
        usage: chunk.usage.map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> StreamEvent {
        let event = Event {
            data: data.to_owned(),
            ..Event::default()
        };
        stream_event(Endpoint::CompletionsStream, &event)
    }

    #[test]
    fn a_chunk_is_words_or_usage_or_both_or_neither() {
        let cases = [
            (
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}"#,
                "",
                None,
            ),
            (r#"{"choices":[{"delta":{"content":" a"}}]}"#, " a", None),
            (r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, "", None),
            (
                r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12}}"#,
                "",
                Some(9),
            ),
            (
                r#"{"choices":[{"delta":{"content":"b"}}],"usage":{"prompt_tokens":3,"completion_tokens":8}}"#,
                "b",
                Some(8),
            ),
        ];
        for (data, words, tokens) in cases {
            let StreamEvent::Piece { text, usage } = read(data) else {
                panic!("{data}")
            };
            assert_eq!(
                (text.as_str(), usage.map(|u| u.completion_tokens)),
                (words, tokens),
                "{data}"
            );
        }
    }

    #[test]
    fn an_error_frame_is_an_error_and_half_a_frame_is_none() {
        assert!(matches!(
            read(r#"{"error":{"message":"x","type":"server_error"}}"#),
            StreamEvent::Error
        ));
        assert!(matches!(read(r#"{"choices":[{"del"#), StreamEvent::Malformed));
        assert!(matches!(read("[DONE]"), StreamEvent::Done));
    }

    #[test]
    fn a_completion_without_content_is_no_answer() {
        let read = |body: &str| whole(Endpoint::Completions, body.as_bytes()).map(|answer| answer.content);
        let good = r#"{"choices":[{"message":{"role":"assistant","content":"a b"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        assert_eq!(read(good).as_deref(), Some("a b"));
        for bad in [
            r#"{"choices":[]}"#,
            r#"{"choices":[{"message":{"content":null}}]}"#,
            r#"{"content":"a"}"#,
            "{",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
