//! The shapes of an error body, and how a delay is written in one.
//!
//! Does not know which error has which.

use brownout_scenario::units::Micros;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Envelope<'a> {
    pub(super) error: Body<'a>,
}

#[derive(Serialize)]
pub(super) struct Body<'a> {
    pub(super) code: u16,
    pub(super) message: String,
    pub(super) status: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) details: Vec<Detail<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "@type", rename_all_fields = "camelCase")]
pub(super) enum Detail<'a> {
    #[serde(rename = "type.googleapis.com/google.rpc.Help")]
    Help { links: [Link; 1] },
    #[serde(rename = "type.googleapis.com/google.rpc.QuotaFailure")]
    QuotaFailure { violations: [Violation<'a>; 1] },
    #[serde(rename = "type.googleapis.com/google.rpc.RetryInfo")]
    RetryInfo { retry_delay: String },
    #[serde(rename = "type.googleapis.com/google.rpc.BadRequest")]
    BadRequest { field_violations: [FieldViolation; 1] },
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    ErrorInfo {
        reason: &'a str,
        domain: &'static str,
        metadata: Metadata,
    },
}

#[derive(Serialize)]
pub(super) struct Link {
    pub(super) description: &'static str,
    pub(super) url: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
pub(super) struct Violation<'a> {
    pub(super) quota_metric: String,
    pub(super) quota_id: &'static str,
    pub(super) quota_dimensions: Dimensions<'a>,
    pub(super) quota_value: String,
}

#[derive(Serialize)]
pub(super) struct Dimensions<'a> {
    pub(super) location: &'static str,
    pub(super) model: &'a str,
}

#[derive(Serialize)]
pub(super) struct FieldViolation {
    pub(super) field: &'static str,
    pub(super) description: String,
}

#[derive(Serialize)]
pub(super) struct Metadata {
    pub(super) service: &'static str,
}

/// Where to read about quotas.
pub(super) fn help() -> Detail<'static> {
    Detail::Help {
        links: [Link {
            description: "Learn more about Gemini API quotas",
            url: "https://ai.google.dev/gemini-api/docs/rate-limits",
        }],
    }
}

/// The delay in whole seconds. The real one rounds it down, to `0s` where it comes to that: whoever waits that long and
/// no longer comes back too early.
pub(super) fn retry_info(wait: Micros) -> Detail<'static> {
    Detail::RetryInfo {
        retry_delay: format!("{}s", wait.0 / 1_000_000),
    }
}
