//! What a job looks like from outside.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::{Error, Problem};
use crate::features::chat::ChatResponse;
use crate::queue::{Job, State};

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct JobView {
    pub(super) id: String,
    /// `queued`, `running`, `succeeded`, `failed` or `dead`.
    pub(super) status: &'static str,
    /// The answer, as `POST /chat` gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ChatResponse>)]
    pub(super) result: Option<Value>,
    /// The problem, as `POST /chat` tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Problem>)]
    pub(super) error: Option<Value>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let read = |text: &str| serde_json::from_str(text).ok();
        let (status, result, error) = match &job.state {
            State::Queued { .. } => ("queued", None, None),
            State::Running { .. } => ("running", None, None),
            State::Succeeded { result, .. } => ("succeeded", read(result), None),
            State::Failed { error, .. } => ("failed", None, read(error)),
            State::Dead { error, .. } => ("dead", None, error.as_deref().and_then(read)),
            State::Cancelled { .. } => ("failed", None, value(&Error::JobCancelled.problem())),
        };
        Self {
            id: job.id,
            status,
            result,
            error,
        }
    }
}

fn value(problem: &Problem) -> Option<Value> {
    serde_json::to_value(problem).ok()
}
