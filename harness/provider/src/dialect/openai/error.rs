//! Writes error bodies: message, type, param and code, all four always there.
//!
//! Texts and codes follow the real endpoint where they are known. The texts of injected 502, 504 and of statuses that
//! OpenAI does not document are ours.

use brownout_scenario::units::Micros;
use http::StatusCode;
use serde::Serialize;

use super::headers::go_duration;
use crate::dialect::Problem;
use crate::limits::{LimitKind, Refused};

#[derive(Serialize)]
struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: String,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'static str>,
    code: Option<&'a str>,
}

const NOT_JSON: &str = "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your \
    HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have \
    trouble figuring out how to fix this, please contact us through our help center at help.openai.com.)";

const NO_KEY: &str = "You didn't provide an API key. You need to provide your API key in an Authorization header using \
    Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're \
    accessing the API from your browser and are prompted for a username and password. You can obtain an API key from \
    https://platform.openai.com/account/api-keys.";

/// Status and body of an error.
pub(super) fn error(problem: &Problem<'_>) -> (StatusCode, Vec<u8>) {
    let (status, body) = describe(problem);
    let bytes = serde_json::to_vec(&Envelope { error: body }).unwrap_or_default();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, bytes)
}

fn describe<'a>(problem: &Problem<'a>) -> (u16, Body<'a>) {
    match problem {
        Problem::UnknownRoute { method, path } => (404, invalid(format!("Invalid URL ({method} {path})"), None)),
        Problem::WrongMethod { method, path } => {
            let hint = "(HINT: Perhaps you meant to use a different HTTP method?)";
            let message = format!("Not allowed to {method} on {path}. {hint}");
            (405, invalid(message, Some("method_not_supported")))
        }
        Problem::TooLarge { limit } => {
            let message = format!("Request body too large: this endpoint reads at most {limit} bytes.");
            (413, invalid(message, Some("request_too_large")))
        }
        Problem::NoKey => (401, invalid(NO_KEY.to_owned(), None)),
        Problem::NotJson => (400, invalid(NOT_JSON.to_owned(), None)),
        Problem::Invalid(mistake) => (
            400,
            Body {
                param: mistake.param,
                ..invalid(mistake.message.clone(), mistake.code)
            },
        ),
        Problem::UnknownModel(model) => (404, unknown_model(model)),
        Problem::RateLimited { model, refused } => (429, rate_limited(model, refused)),
        Problem::Overloaded { model } => (503, fault(model, 503, None)),
        Problem::ContextLength {
            window,
            prompt_tokens,
            max_tokens,
            ..
        } => (400, context_length(*window, *prompt_tokens, *max_tokens)),
        Problem::Fault {
            model,
            status,
            retry_after,
            code,
        } => (*status, coded(fault(model, *status, *retry_after), *code)),
    }
}

fn context_length(window: u64, prompt: u64, max: u64) -> Body<'static> {
    let message = if prompt > window {
        format!(
            "This model's maximum context length is {window} tokens. However, your messages resulted in {prompt} \
             tokens. Please reduce the length of the messages."
        )
    } else {
        format!(
            "This model's maximum context length is {window} tokens. However, you requested {} tokens ({prompt} in the \
             messages, {max} in the completion). Please reduce the length of the messages or completion.",
            prompt.saturating_add(max)
        )
    };
    Body {
        param: Some("messages"),
        ..invalid(message, Some("context_length_exceeded"))
    }
}

fn invalid(message: String, code: Option<&'static str>) -> Body<'static> {
    Body {
        message,
        kind: "invalid_request_error",
        param: None,
        code,
    }
}

fn unknown_model(model: &str) -> Body<'static> {
    let message = format!("The model `{model}` does not exist or you do not have access to it.");
    invalid(message, Some("model_not_found"))
}

fn rate_limited(model: &str, refused: &Refused) -> Body<'static> {
    let Refused {
        limit, used, requested, ..
    } = refused;
    let (kind, what) = match refused.kind {
        LimitKind::Requests => ("requests", "requests per min (RPM)"),
        LimitKind::Tokens => ("tokens", "tokens per min (TPM)"),
        LimitKind::InputTokens => ("tokens", "input tokens per min (ITPM)"),
        LimitKind::OutputTokens => ("tokens", "output tokens per min (OTPM)"),
    };
    let message = match refused.wait {
        Some(wait) => format!(
            "Rate limit reached for {model} on {what}: Limit {limit}, Used {used}, Requested {requested}. Please try \
             again in {}.",
            go_duration(wait)
        ),
        None => format!(
            "Request too large for {model} on {what}: Limit {limit}, Requested {requested}. It can never fit: the \
             input or output tokens must be reduced in order to run successfully."
        ),
    };
    Body {
        message,
        kind,
        param: None,
        code: Some("rate_limit_exceeded"),
    }
}

/// The body that belongs to an injected status.
fn fault(model: &str, status: u16, retry_after: Option<Micros>) -> Body<'static> {
    let body = |message: &str, kind, code| Body {
        message: message.to_owned(),
        kind,
        param: None,
        code,
    };
    match status {
        401 => body(
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
            "invalid_request_error",
            Some("invalid_api_key"),
        ),
        404 => unknown_model(model),
        429 => {
            let again = retry_after.map(|wait| format!(" Please try again in {}.", go_duration(wait)));
            let message = format!("Rate limit reached for {model}.{}", again.unwrap_or_default());
            body(&message, "requests", Some("rate_limit_exceeded"))
        }
        503 => body(
            "The engine is currently overloaded, please try again later.",
            "service_unavailable_error",
            Some("server_is_overloaded"),
        ),
        400..=499 => body("The request could not be processed.", "invalid_request_error", None),
        _ => body(
            "The server had an error while processing your request. Sorry about that!",
            "server_error",
            None,
        ),
    }
}

/// The same with the code that the plan names. A quota has words and a type of its own: no waiting cures it.
fn coded<'a>(body: Body<'a>, code: Option<&'a str>) -> Body<'a> {
    match code {
        None => body,
        Some(code @ "insufficient_quota") => Body {
            message: "You exceeded your current quota, please check your plan and billing details.".to_owned(),
            kind: code,
            param: None,
            code: Some(code),
        },
        Some(code @ "slow_down") => Body {
            kind: "rate_limit_error",
            code: Some(code),
            ..body
        },
        Some(code) => Body {
            code: Some(code),
            ..body
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(problem: &Problem<'_>) -> (u16, String) {
        let (status, body) = error(problem);
        (status.as_u16(), String::from_utf8(body).unwrap())
    }

    #[test]
    fn a_rate_limit_names_its_figures_and_the_wait() {
        let mut refused = Refused {
            kind: LimitKind::Tokens,
            limit: 60_000,
            used: 59_906,
            requested: 188,
            wait: Some(Micros(93_001)),
        };
        let problem = |refused| Problem::RateLimited {
            model: "gpt-4o-mini",
            refused,
        };
        assert_eq!(
            text(&problem(refused)),
            (
                429,
                concat!(
                    r#"{"error":{"message":"Rate limit reached for gpt-4o-mini on tokens per min (TPM): Limit 60000, "#,
                    r#"Used 59906, Requested 188. Please try again in 94ms.","type":"tokens","param":null,"#,
                    r#""code":"rate_limit_exceeded"}}"#
                )
                .to_owned()
            )
        );
        refused.wait = None;
        assert!(text(&problem(refused)).1.contains("can never fit"));
    }

    #[test]
    fn refusals_have_the_real_shape() {
        let model = Problem::UnknownModel("gpt-9");
        assert_eq!(
            text(&model),
            (
                404,
                concat!(
                    r#"{"error":{"message":"The model `gpt-9` does not exist or you do not have access to it.","#,
                    r#""type":"invalid_request_error","param":null,"code":"model_not_found"}}"#
                )
                .to_owned()
            )
        );
        let route = Problem::UnknownRoute {
            method: "GET",
            path: "/v2",
        };
        let body =
            r#"{"error":{"message":"Invalid URL (GET /v2)","type":"invalid_request_error","param":null,"code":null}}"#;
        assert_eq!(text(&route), (404, body.to_owned()));
    }

    #[test]
    fn injected_statuses_answer_in_the_dialects_own_words() {
        let fault = |status, retry_after| {
            text(&Problem::Fault {
                model: "gpt-4o-mini",
                status,
                retry_after,
                code: None,
            })
        };
        assert_eq!(
            fault(429, Some(Micros::from_secs(2))).1,
            concat!(
                r#"{"error":{"message":"Rate limit reached for gpt-4o-mini. Please try again in 2s.","#,
                r#""type":"requests","param":null,"code":"rate_limit_exceeded"}}"#
            )
        );
        assert_eq!(
            fault(500, None),
            (
                500,
                concat!(
                    r#"{"error":{"message":"The server had an error while processing your request. Sorry about that!","#,
                    r#""type":"server_error","param":null,"code":null}}"#
                )
                .to_owned()
            )
        );
        assert!(fault(503, None).1.contains("server_is_overloaded"));
        assert_eq!(fault(404, None), text(&Problem::UnknownModel("gpt-4o-mini")));
    }
}
