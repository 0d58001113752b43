//! Writes error bodies: code, message, status, and details of the kinds that clients read.
//!
//! Texts follow the real endpoint where they are known. Gemini has neither a limit of output tokens nor one of all
//! tokens together, and no answer of its own for a wrong method: what is said about those is ours.

mod body;

use std::fmt::Write;

use brownout_scenario::units::Micros;
use http::StatusCode;

use crate::dialect::Problem;
use crate::dialect::duration::go_duration;
use crate::limits::{LimitKind, Refused};
use body::{Body, Detail, Dimensions, Envelope, FieldViolation, Metadata, Violation, help, retry_info};

const SERVICE: &str = "generativelanguage.googleapis.com";

const NO_KEY: &str = "Method doesn't allow unregistered callers (callers without established identity). Please use API \
    Key or other form of API consumer identity to call this API.";

const QUOTA: &str = "You exceeded your current quota, please check your plan and billing details. For more information \
    on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.";

/// The names that a status can have: every other code is the reason of an error and not its status.
const STATUSES: [&str; 16] = [
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
];

/// Status and body of an error.
pub(super) fn error(problem: &Problem<'_>) -> (StatusCode, Vec<u8>) {
    let body = describe(problem);
    let status = StatusCode::from_u16(body.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        serde_json::to_vec(&Envelope { error: body }).unwrap_or_default(),
    )
}

fn describe<'a>(problem: &Problem<'a>) -> Body<'a> {
    match problem {
        Problem::UnknownRoute { path, .. } => {
            plain(404, format!("The requested URL {path} was not found on this server."))
        }
        Problem::WrongMethod { method, path } => Body {
            status: "UNIMPLEMENTED",
            ..plain(
                405,
                format!("The request method {method} is inappropriate for the URL {path}."),
            )
        },
        Problem::TooLarge { limit } => plain(400, format!("Request payload size exceeds the limit: {limit} bytes.")),
        Problem::NoKey => plain(403, NO_KEY.to_owned()),
        Problem::NotJson => plain(400, "Invalid JSON payload received. Unexpected token.".to_owned()),
        Problem::Invalid(mistake) => {
            let violation = mistake.param.map(|field| Detail::BadRequest {
                field_violations: [FieldViolation {
                    field,
                    description: mistake.message.clone(),
                }],
            });
            Body {
                details: violation.into_iter().collect(),
                ..plain(400, mistake.message.clone())
            }
        }
        Problem::UnknownModel(model) => plain(
            404,
            format!(
                "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call \
                 ListModels to see the list of available models and their supported methods."
            ),
        ),
        Problem::RateLimited { model, refused } => rate_limited(model, refused),
        Problem::Overloaded { .. } => fault(503, None, None),
        Problem::ContextLength {
            window,
            prompt_tokens: prompt,
            max_tokens: max,
            ..
        } => {
            let count = if prompt > window {
                *prompt
            } else {
                prompt.saturating_add(*max)
            };
            let message =
                format!("The input token count ({count}) exceeds the maximum number of tokens allowed ({window}).");
            plain(400, message)
        }
        Problem::Fault {
            status,
            retry_after,
            code,
            ..
        } => fault(*status, *retry_after, *code),
    }
}

/// An error without details, its status the usual one.
fn plain(code: u16, message: String) -> Body<'static> {
    Body {
        code,
        message,
        status: usual(code).0,
        details: Vec::new(),
    }
}

fn rate_limited<'a>(model: &'a str, refused: &Refused) -> Body<'a> {
    let (metric, quota_id) = quota(refused.kind);
    let (quota_metric, limit) = (format!("{SERVICE}/{metric}"), refused.limit);
    let mut message = format!("{QUOTA}\n* Quota exceeded for metric: {quota_metric}, limit: {limit}, model: {model}");
    let violation = Violation {
        quota_metric,
        quota_id,
        quota_dimensions: Dimensions {
            location: "global",
            model,
        },
        quota_value: limit.to_string(),
    };
    let mut details = vec![
        help(),
        Detail::QuotaFailure {
            violations: [violation],
        },
    ];
    if let Some(wait) = refused.wait {
        let _ = write!(message, "\nPlease retry in {}.", go_duration(wait));
        details.push(retry_info(wait));
    }
    Body {
        details,
        ..plain(429, message)
    }
}

/// Metric and id of a limit, as in the paid tier.
fn quota(kind: LimitKind) -> (&'static str, &'static str) {
    match kind {
        LimitKind::Requests => (
            "generate_requests_per_model",
            "GenerateRequestsPerMinutePerProjectPerModel",
        ),
        LimitKind::InputTokens => (
            "generate_content_paid_tier_input_token_count",
            "GenerateContentPaidTierInputTokensPerModelPerMinute",
        ),
        LimitKind::OutputTokens => (
            "generate_content_paid_tier_output_token_count",
            "GenerateContentPaidTierOutputTokensPerModelPerMinute",
        ),
        LimitKind::Tokens => (
            "generate_content_paid_tier_token_count",
            "GenerateContentPaidTierTokensPerModelPerMinute",
        ),
    }
}

/// The body that belongs to an injected status. The body is the one place where Gemini tells a wait.
fn fault(code: u16, retry_after: Option<Micros>, named: Option<&str>) -> Body<'_> {
    let (mut message, mut details) = (usual(code).1.to_owned(), Vec::new());
    let mut status = usual(code).0;
    match named {
        Some(named) if STATUSES.contains(&named) => status = named,
        Some(reason) => {
            if reason == "API_KEY_INVALID" {
                "API key not valid. Please pass a valid API key.".clone_into(&mut message);
            }
            details.push(Detail::ErrorInfo {
                reason,
                domain: "googleapis.com",
                metadata: Metadata { service: SERVICE },
            });
        }
        None => {}
    }
    if let Some(wait) = retry_after {
        if code == 429 {
            QUOTA.clone_into(&mut message);
            details.push(help());
        }
        let _ = write!(message, " Please retry in {}.", go_duration(wait));
        details.push(retry_info(wait));
    }
    Body {
        code,
        message,
        status,
        details,
    }
}

/// Status and message of an error about which nothing else is known.
fn usual(code: u16) -> (&'static str, &'static str) {
    match code {
        401 => (
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other \
             valid authentication credential.",
        ),
        402 => ("RESOURCE_EXHAUSTED", "Your prepaid credit is used up."),
        403 => ("PERMISSION_DENIED", "The caller does not have permission"),
        404 => ("NOT_FOUND", "Requested entity was not found."),
        409 => ("ABORTED", "The operation was aborted."),
        429 => ("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
        499 => ("CANCELLED", "The operation was cancelled."),
        501 => (
            "UNIMPLEMENTED",
            "Operation is not implemented, or supported, or enabled.",
        ),
        503 => ("UNAVAILABLE", "The model is overloaded. Please try again later."),
        504 => ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
        400..=499 => ("INVALID_ARGUMENT", "Request contains an invalid argument."),
        _ => (
            "INTERNAL",
            "An internal error has occurred. Please retry or report in \
             https://developers.generativeai.google/guide/troubleshooting",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::InvalidRequest;
    use serde_json::Value;

    fn text(problem: &Problem<'_>) -> (u16, String) {
        let (status, body) = error(problem);
        (status.as_u16(), String::from_utf8(body).unwrap())
    }

    fn value(problem: &Problem<'_>) -> Value {
        serde_json::from_str(&text(problem).1).unwrap()
    }

    fn refusal(kind: LimitKind, wait: Option<Micros>) -> Problem<'static> {
        Problem::RateLimited {
            model: "gemini-2.5-flash",
            refused: Refused {
                kind,
                limit: 250,
                used: 250,
                requested: 1,
                wait,
            },
        }
    }

    fn injected(status: u16, retry_after: Option<Micros>, code: Option<&str>) -> Problem<'_> {
        Problem::Fault {
            model: "gemini-2.5-flash",
            status,
            retry_after,
            code,
        }
    }

    #[test]
    fn a_rate_limit_tells_quota_and_delay_in_the_body() {
        let body = concat!(
            r#"{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing "#,
            r#"details. For more information on this error, head to: "#,
            r#"https://ai.google.dev/gemini-api/docs/rate-limits.\n* Quota exceeded for metric: "#,
            r#"generativelanguage.googleapis.com/generate_requests_per_model, limit: 250, model: gemini-2.5-flash\n"#,
            r#"Please retry in 22.4s.","status":"RESOURCE_EXHAUSTED","details":["#,
            r#"{"@type":"type.googleapis.com/google.rpc.Help","links":[{"description":"#,
            r#""Learn more about Gemini API quotas","url":"https://ai.google.dev/gemini-api/docs/rate-limits"}]},"#,
            r#"{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"#,
            r#""generativelanguage.googleapis.com/generate_requests_per_model","quotaId":"#,
            r#""GenerateRequestsPerMinutePerProjectPerModel","quotaDimensions":{"location":"global","model":"#,
            r#""gemini-2.5-flash"},"quotaValue":"250"}]},"#,
            r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"22s"}]}}"#
        );
        let wait = Some(Micros(22_400_000));
        assert_eq!(text(&refusal(LimitKind::Requests, wait)), (429, body.to_owned()));
    }

    #[test]
    fn a_request_that_never_fits_is_told_no_delay() {
        let body = text(&refusal(LimitKind::InputTokens, None)).1;
        assert!(!body.contains("retry"), "{body}");
        assert!(
            body.contains("GenerateContentPaidTierInputTokensPerModelPerMinute"),
            "{body}"
        );
    }

    #[test]
    fn injected_statuses_answer_with_their_usual_status() {
        for (code, status) in [
            (400, "INVALID_ARGUMENT"),
            (402, "RESOURCE_EXHAUSTED"),
            (403, "PERMISSION_DENIED"),
            (404, "NOT_FOUND"),
            (429, "RESOURCE_EXHAUSTED"),
            (499, "CANCELLED"),
            (500, "INTERNAL"),
            (503, "UNAVAILABLE"),
            (504, "DEADLINE_EXCEEDED"),
        ] {
            let problem = injected(code, None, None);
            let body = value(&problem);
            assert_eq!(
                (text(&problem).0, &body["error"]["status"]),
                (code, &Value::from(status))
            );
            assert_eq!(body["error"]["code"], code);
            assert_eq!(body["error"]["details"], Value::Null);
        }
    }

    #[test]
    fn an_injected_wait_stands_in_the_body_whatever_the_status() {
        for code in [429, 503] {
            let body = value(&injected(code, Some(Micros(2_500_000)), None));
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.ends_with(" Please retry in 2.5s."), "{message}");
            let last = body["error"]["details"].as_array().unwrap().last().unwrap();
            assert_eq!(last["retryDelay"], "2s");
        }
    }

    #[test]
    fn a_code_is_a_status_if_there_is_one_of_that_name_and_else_a_reason() {
        let invalid_key = concat!(
            r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"#,
            r#""INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"#,
            r#""API_KEY_INVALID","domain":"googleapis.com","metadata":"#,
            r#"{"service":"generativelanguage.googleapis.com"}}]}}"#
        );
        assert_eq!(text(&injected(400, None, Some("API_KEY_INVALID"))).1, invalid_key);
        let precondition = value(&injected(400, None, Some("FAILED_PRECONDITION")));
        assert_eq!(precondition["error"]["status"], "FAILED_PRECONDITION");
        assert_eq!(precondition["error"]["details"], Value::Null);
    }

    #[test]
    fn refusals_have_the_real_shape() {
        let error = |problem: &Problem<'_>| {
            let body = value(problem);
            let message = body["error"]["message"].as_str().unwrap().to_owned();
            (
                body["error"]["status"].as_str().unwrap().to_owned(),
                text(problem).0,
                message,
            )
        };
        let (status, code, message) = error(&Problem::NoKey);
        assert_eq!((status.as_str(), code), ("PERMISSION_DENIED", 403));
        assert!(
            message.starts_with("Method doesn't allow unregistered callers"),
            "{message}"
        );
        let (status, code, message) = error(&Problem::UnknownModel("gemini-9"));
        assert_eq!((status.as_str(), code), ("NOT_FOUND", 404));
        assert!(
            message.starts_with("models/gemini-9 is not found for API version v1beta"),
            "{message}"
        );
        let (_, code, message) = error(&Problem::TooLarge { limit: 20_971_520 });
        assert_eq!(
            (code, message.as_str()),
            (400, "Request payload size exceeds the limit: 20971520 bytes.")
        );
        let (_, code, message) = error(&Problem::NotJson);
        assert!(
            code == 400 && message.starts_with("Invalid JSON payload received."),
            "{message}"
        );
    }

    #[test]
    fn the_context_window_counts_the_answer_only_when_the_prompt_fits() {
        let message = |prompt_tokens| {
            value(&Problem::ContextLength {
                model: "m",
                window: 1_000,
                prompt_tokens,
                max_tokens: 300,
            })["error"]["message"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let text =
            |count| format!("The input token count ({count}) exceeds the maximum number of tokens allowed (1000).");
        assert_eq!(message(1_001), text(1_001));
        assert_eq!(message(1_000), text(1_300));
    }

    #[test]
    fn a_wrong_field_is_named() {
        let mistake = InvalidRequest {
            message: "no".to_owned(),
            param: Some("contents"),
            code: None,
        };
        let body = value(&Problem::Invalid(mistake));
        assert_eq!(body["error"]["details"][0]["fieldViolations"][0]["field"], "contents");
    }
}
