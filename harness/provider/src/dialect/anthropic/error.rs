//! Writes error bodies: a type and a message.
//!
//! Does not write `request_id`: an error does not know which request it answers. Types follow the documented table. The
//! texts for rate limits, for bodies above the bound, and for statuses that Anthropic does not document, are ours.

use http::StatusCode;
use serde::Serialize;

use crate::dialect::Problem;
use crate::limits::{LimitKind, Refused};

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: String,
}

impl<'a> Body<'a> {
    fn new(kind: &'a str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }
}

const INVALID: &str = "invalid_request_error";
const NOT_FOUND: &str = "not_found_error";

/// Not in IANA's list, and so without a name in `http`.
const OVERLOADED: u16 = 529;

/// Status and body of an error.
pub(super) fn error(problem: &Problem<'_>) -> (StatusCode, Vec<u8>) {
    let (status, body) = error_text(problem);
    (status, body.into_bytes())
}

/// The same, the body as text.
pub(super) fn error_text(problem: &Problem<'_>) -> (StatusCode, String) {
    let (status, error) = describe(problem);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, super::json(&Envelope { kind: "error", error }))
}

fn describe<'a>(problem: &Problem<'a>) -> (u16, Body<'a>) {
    match problem {
        Problem::UnknownRoute { .. } => (404, Body::new(NOT_FOUND, "Not Found")),
        Problem::WrongMethod { .. } => (405, Body::new(INVALID, "Method Not Allowed")),
        Problem::TooLarge { limit } => {
            let message = format!("Request body too large: this endpoint reads at most {limit} bytes.");
            (413, Body::new("request_too_large", message))
        }
        Problem::NoKey => (401, Body::new("authentication_error", "x-api-key header is required")),
        Problem::NotJson => (400, Body::new(INVALID, "The request body is not valid JSON")),
        Problem::Invalid(mistake) => (400, Body::new(INVALID, mistake.message.as_str())),
        Problem::UnknownModel(model) => (404, Body::new(NOT_FOUND, format!("model: {model}"))),
        Problem::RateLimited { model, refused } => (429, Body::new("rate_limit_error", rate_limit(model, refused))),
        Problem::Overloaded { .. } => (OVERLOADED, fault(OVERLOADED)),
        Problem::ContextLength {
            window,
            prompt_tokens,
            max_tokens,
            ..
        } => (
            400,
            Body::new(INVALID, context_length(*window, *prompt_tokens, *max_tokens)),
        ),
        Problem::Fault { status, code, .. } => {
            let usual = fault(*status);
            let kind = code.unwrap_or(usual.kind);
            (*status, Body { kind, ..usual })
        }
    }
}

fn rate_limit(model: &str, refused: &Refused) -> String {
    let Refused {
        limit, used, requested, ..
    } = refused;
    let what = match refused.kind {
        LimitKind::Requests => "requests",
        LimitKind::Tokens => "tokens",
        LimitKind::InputTokens => "input tokens",
        LimitKind::OutputTokens => "output tokens",
    };
    match refused.wait {
        Some(wait) => format!(
            "This request would exceed your organization's rate limit of {limit} {what} per minute (model: {model}; \
             used: {used}; requested: {requested}). Please try again in {} seconds.",
            wait.0.div_ceil(1_000_000)
        ),
        None => format!(
            "This request can never fit your organization's rate limit: at most {limit} {what} at once (model: \
             {model}; requested: {requested}). Please reduce the prompt length or the maximum tokens requested."
        ),
    }
}

fn context_length(window: u64, prompt: u64, max: u64) -> String {
    if prompt > window {
        format!("prompt is too long: {prompt} tokens > {window} maximum")
    } else {
        format!(
            "input length and `max_tokens` exceed context limit: {prompt} + {max} > {window}, decrease input length \
             or `max_tokens` and try again"
        )
    }
}

/// The body that belongs to an injected status.
fn fault(status: u16) -> Body<'static> {
    let (kind, message) = match status {
        401 => ("authentication_error", "invalid x-api-key"),
        402 => ("billing_error", "The payment for this account failed or is missing."),
        403 => ("permission_error", "The API key may not use this resource."),
        404 => (NOT_FOUND, "Not Found"),
        409 => (
            "conflict_error",
            "The request conflicts with the state of the resource.",
        ),
        413 => ("request_too_large", "Request body too large."),
        429 => ("rate_limit_error", "The rate limit of this organization is exceeded."),
        504 => ("timeout_error", "The request timed out."),
        OVERLOADED => ("overloaded_error", "Overloaded"),
        400..=499 => (INVALID, "The request could not be processed."),
        _ => ("api_error", "Internal server error"),
    };
    Body::new(kind, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::InvalidRequest;
    use brownout_scenario::units::Micros;

    fn text(problem: &Problem<'_>) -> (u16, String) {
        let (status, body) = error(problem);
        (status.as_u16(), String::from_utf8(body).unwrap())
    }

    fn body(kind: &str, message: &str) -> String {
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#)
    }

    #[test]
    fn refusals_have_the_real_shape() {
        let invalid = Problem::Invalid(InvalidRequest {
            message: "max_tokens: Field required".to_owned(),
            param: None,
            code: None,
        });
        let (method, path) = ("PUT", "/v1/messages");
        for (problem, status, kind, message) in [
            (Problem::UnknownRoute { method, path }, 404, NOT_FOUND, "Not Found"),
            (
                Problem::WrongMethod { method, path },
                405,
                INVALID,
                "Method Not Allowed",
            ),
            (
                Problem::NoKey,
                401,
                "authentication_error",
                "x-api-key header is required",
            ),
            (Problem::NotJson, 400, INVALID, "The request body is not valid JSON"),
            (invalid, 400, INVALID, "max_tokens: Field required"),
            (Problem::UnknownModel("claude-9"), 404, NOT_FOUND, "model: claude-9"),
            (
                Problem::Overloaded { model: "m" },
                529,
                "overloaded_error",
                "Overloaded",
            ),
        ] {
            assert_eq!(text(&problem), (status, body(kind, message)));
        }
        let (status, large) = text(&Problem::TooLarge { limit: 33_554_432 });
        assert_eq!(status, 413);
        assert!(
            large.contains(r#""type":"request_too_large""#) && large.contains("33554432"),
            "{large}"
        );
    }

    #[test]
    fn a_rate_limit_names_its_kind_its_figures_and_the_wait() {
        let said = |kind, wait| {
            let refused = Refused {
                kind,
                limit: 40_000,
                used: 39_950,
                requested: 188,
                wait,
            };
            text(&Problem::RateLimited {
                model: "claude-a",
                refused,
            })
        };
        let wait = Some(Micros(1_200_001));
        let message = "This request would exceed your organization's rate limit of 40000 input tokens per minute \
            (model: claude-a; used: 39950; requested: 188). Please try again in 2 seconds.";
        assert_eq!(
            said(LimitKind::InputTokens, wait),
            (429, body("rate_limit_error", message))
        );
        assert!(said(LimitKind::Requests, wait).1.contains("40000 requests per minute"));
        assert!(
            said(LimitKind::OutputTokens, wait)
                .1
                .contains("40000 output tokens per minute")
        );
        assert!(said(LimitKind::Tokens, wait).1.contains("40000 tokens per minute"));
        assert!(said(LimitKind::Tokens, None).1.contains("can never fit"));
    }

    #[test]
    fn a_prompt_above_the_window_and_an_answer_above_the_rest_of_it_are_told_apart() {
        let said = |prompt_tokens| {
            text(&Problem::ContextLength {
                model: "m",
                window: 1_000,
                prompt_tokens,
                max_tokens: 64,
            })
        };
        let long = "prompt is too long: 1001 tokens > 1000 maximum";
        let both = "input length and `max_tokens` exceed context limit: 1000 + 64 > 1000, decrease input length or \
            `max_tokens` and try again";
        assert_eq!(said(1_001), (400, body(INVALID, long)));
        assert_eq!(said(1_000), (400, body(INVALID, both)));
    }

    #[test]
    fn every_injected_status_has_its_type_and_a_code_replaces_it() {
        let fault = |status, code| {
            let (got, body) = text(&Problem::Fault {
                model: "m",
                status,
                retry_after: None,
                code,
            });
            assert_eq!(got, status);
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_ne!(body["error"]["message"], "");
            body["error"]["type"].as_str().unwrap().to_owned()
        };
        for (status, kind) in [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (413, "request_too_large"),
            (418, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (503, "api_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ] {
            assert_eq!(fault(status, None), kind, "{status}");
        }
        assert_eq!(fault(400, Some("billing_error")), "billing_error");
    }
}
