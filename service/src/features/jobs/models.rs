//! What a job looks like from outside.

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::{Error, Problem};
use crate::features::chat::{ChatRequest, ChatResponse, MESSAGES, SESSION, TOKENS, names_task, printable};
use crate::features::format::ResponseFormat;
use crate::queue::{Delivery, Job, LeasePolicy, State};
use crate::upstream::Message;

/// A chat to be answered later, and who is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "messages": [{ "role": "user", "content": "What is a brownout?" }], "max_tokens": 200 }))]
pub(super) struct JobRequest {
    /// The conversation so far, its last turn being the question.
    #[garde(length(min = 1, max = MESSAGES), dive)]
    #[schema(min_items = 1, max_items = 256)]
    messages: Vec<Message>,
    /// Longest answer, in tokens. Absent: as long as the model likes.
    #[garde(range(min = 1, max = TOKENS))]
    #[schema(minimum = 1, maximum = 128_000)]
    max_tokens: Option<u32>,
    /// Whose usage the answer is counted under.
    #[garde(length(min = 1, max = SESSION), inner(custom(printable)))]
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    session_id: Option<String>,
    /// What it is for, where the service knows models that are meant for it: `code`, `summary`.
    #[garde(inner(custom(names_task)))]
    #[schema(min_length = 1, max_length = 32, pattern = r"^[0-9A-Za-z._-]+$")]
    task: Option<String>,
    /// What the answer is to look like. Absent: text.
    #[garde(dive)]
    response_format: Option<ResponseFormat>,
    /// Where the outcome is told, signed: a host that the settings name.
    #[garde(skip)]
    #[schema(format = "uri", max_length = 2048)]
    pub(super) webhook: Option<String>,
}

impl JobRequest {
    /// The chat that is asked for, as the worker will read it.
    pub(super) fn chat(&self) -> ChatRequest {
        ChatRequest {
            messages: self.messages.clone(),
            max_tokens: self.max_tokens,
            session_id: self.session_id.clone(),
            task: self.task.clone(),
            response_format: self.response_format.clone(),
        }
    }
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct JobView {
    pub(crate) id: String,
    /// `queued`, `running`, `succeeded`, `failed`, `dead` or `cancelled`.
    pub(crate) status: &'static str,
    /// How often it was begun.
    pub(crate) attempts: u32,
    /// When it was taken on, in milliseconds since the Unix epoch, like all times here.
    pub(crate) created_ms: u64,
    /// When it is to be begun again, while it waits for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) due_ms: Option<u64>,
    /// When it got its outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished_ms: Option<u64>,
    /// The answer, as `POST /chat` gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ChatResponse>)]
    pub(crate) result: Option<Value>,
    /// The problem, as `POST /chat` tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Problem>)]
    pub(crate) error: Option<Value>,
    /// Where telling the outcome stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook: Option<WebhookView>,
}

/// Where telling an outcome stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct WebhookView {
    /// `pending`, `delivered` or `given_up`.
    status: &'static str,
    /// How often it was tried.
    attempts: u32,
}

impl JobView {
    /// A job as its owner sees it.
    pub(super) fn of(job: &Job, policy: &LeasePolicy) -> Self {
        let webhook = job.webhook.as_ref().map(|_| WebhookView {
            status: match job.delivery {
                Delivery::None | Delivery::Waiting { .. } | Delivery::Lent { .. } => "pending",
                Delivery::Delivered { .. } => "delivered",
                Delivery::GivenUp { .. } => "given_up",
            },
            attempts: job.delivery.attempts(),
        });
        Self {
            webhook,
            ..Self::outcome(job, policy)
        }
    }

    /// The same without what still changes when there is an outcome.
    pub(crate) fn outcome(job: &Job, policy: &LeasePolicy) -> Self {
        let read = |text: &str| serde_json::from_str(text).ok();
        let (status, result, error) = match &job.state {
            State::Queued { .. } => ("queued", None, None),
            State::Running { .. } => ("running", None, None),
            State::Succeeded { result, .. } => ("succeeded", read(result), None),
            State::Failed { error, .. } => ("failed", None, read(error)),
            State::Dead { error: Some(error), .. } => ("dead", None, read(error)),
            State::Dead { error: None, at_us } => ("dead", None, value(&buried(job, *at_us, policy))),
            State::Cancelled { .. } => ("cancelled", None, value(&Error::JobCancelled)),
        };
        let due_us = match job.state {
            State::Queued { due_us } if job.attempts > 0 => Some(due_us),
            _ => None,
        };
        Self {
            id: job.id.clone(),
            status,
            attempts: job.attempts,
            created_ms: millis(job.enqueued_us),
            due_ms: due_us.map(millis),
            finished_ms: job.finished_us().map(millis),
            result,
            error,
            webhook: None,
        }
    }

    /// Whether it has its outcome.
    pub(super) const fn is_finished(&self) -> bool {
        self.finished_ms.is_some()
    }
}

/// Why a job is dead that no worker said anything about.
const fn buried(job: &Job, at_us: u64, policy: &LeasePolicy) -> Error {
    if job.has_expired(at_us, policy) {
        Error::JobExpired
    } else {
        Error::JobAbandoned { attempts: job.attempts }
    }
}

fn value(error: &Error) -> Option<Value> {
    serde_json::to_value(error.problem()).ok()
}

const fn millis(us: u64) -> u64 {
    us / 1_000
}
