//! What a provider says with an error: why, as far as that changes what follows, and when to come back.
//!
//! Values only: no sending, no judging. Providers behind OpenAI's paths word the same things in several ways: codes are
//! read first, and texts only where some of them have no code.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::failure::{AttemptFailure, Reason};
use super::retry_after;

/// Codes of an account without money.
const OUT_OF_QUOTA: [&str; 2] = ["insufficient_quota", "billing_hard_limit_reached"];
/// Codes of a prompt that does not fit.
const TOO_LONG: [&str; 1] = ["context_length_exceeded"];
/// Codes of a prompt that is not answered for what it says.
const FILTERED: [&str; 2] = ["content_filter", "content_policy_violation"];
/// How those say that a prompt does not fit who have no code for it: vLLM, Anthropic, Gemini.
const TOO_LONG_IN_WORDS: [&str; 3] = [
    "maximum context length",
    "prompt is too long",
    "exceeds the maximum number of tokens",
];

/// The failure that a response with an error status is.
pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> AttemptFailure {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    // Gemini's OpenAI endpoint puts its error into a list.
    let error = body.get(0).unwrap_or(&body).get("error");
    AttemptFailure::Status {
        status,
        retry_after: retry_after::of(headers).or_else(|| error.and_then(retry_delay)),
        reason: error.map_or(Reason::Unsaid, |error| reason(status, error)),
    }
}

fn reason(status: u16, error: &Value) -> Reason {
    let says = |words: &[&str]| {
        let said = ["code", "type"].iter().filter_map(|key| error.get(key)?.as_str());
        said.into_iter().any(|said| words.contains(&said))
    };
    if says(&OUT_OF_QUOTA) {
        return Reason::OutOfQuota;
    }
    if !matches!(status, 400 | 413 | 422) {
        return Reason::Unsaid;
    }
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let message = message.to_ascii_lowercase();
    if says(&TOO_LONG) || TOO_LONG_IN_WORDS.iter().any(|words| message.contains(words)) {
        Reason::ContextLength
    } else if says(&FILTERED) {
        Reason::ContentFilter
    } else {
        Reason::Unsaid
    }
}

/// Gemini's `RetryInfo`, such as `"retryDelay": "13.5s"`. Source: google.rpc.RetryInfo in its JSON mapping.
fn retry_delay(error: &Value) -> Option<Duration> {
    let details = error.get("details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    retry_after::seconds(delay.strip_suffix('s')?)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read_body(status: u16, body: &str) -> (Reason, Option<Duration>) {
        match read(status, &HeaderMap::new(), body.as_bytes()) {
            AttemptFailure::Status {
                reason, retry_after, ..
            } => (reason, retry_after),
            other => panic!("{other:?}"),
        }
    }

    fn reason_of(status: u16, body: &str) -> Reason {
        read_body(status, body).0
    }

    #[test]
    fn an_empty_purse_is_told_from_a_full_bucket() {
        let quota = r#"{"error":{"message":"x","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
        assert_eq!(reason_of(429, quota), Reason::OutOfQuota);
        let bucket = r#"{"error":{"message":"x","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
        assert_eq!(reason_of(429, bucket), Reason::Unsaid);
    }

    #[test]
    fn a_prompt_that_does_not_fit_is_known_by_its_code_or_by_the_words_of_those_who_have_none() {
        for body in [
            r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","code":400}}"#,
            r#"{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            r#"[{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8)."}}]"#,
        ] {
            assert_eq!(reason_of(400, body), Reason::ContextLength, "{body}");
        }
        let elsewhere = r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#;
        assert_eq!(reason_of(500, elsewhere), Reason::Unsaid, "a server error is one");
    }

    #[test]
    fn a_filtered_prompt_is_known_by_its_code() {
        let azure = r#"{"error":{"message":"x","type":null,"param":"prompt","code":"content_filter","status":400}}"#;
        assert_eq!(reason_of(400, azure), Reason::ContentFilter);
    }

    #[test]
    fn what_is_no_error_body_says_nothing() {
        for body in ["", "<html>", "[]", "{}", r#"{"error":"no"}"#, r#"{"error":{"code":7}}"#] {
            assert_eq!(read_body(400, body), (Reason::Unsaid, None), "{body}");
        }
    }

    #[test]
    fn gemini_says_in_the_body_when_to_come_back_and_a_header_goes_first() {
        let body = r#"[{"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure"},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"13.5s"}]}}]"#;
        assert_eq!(read_body(429, body).1, Some(Duration::from_millis(13_500)));
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("2"));
        assert_eq!(
            read(429, &headers, body.as_bytes()).retry_after(),
            Some(Duration::from_secs(2))
        );
        for hostile in ["-3s", "NaNs", "soon", "13.5"] {
            let body = format!(r#"{{"error":{{"details":[{{"retryDelay":"{hostile}"}}]}}}}"#);
            assert_eq!(read_body(429, &body).1, None, "{hostile}");
        }
    }
}
