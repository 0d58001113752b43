//! Writes response headers: who answered, how long it took, where the caller's limits stand, when to try again.

use brownout_scenario::units::{Micros, PromptId};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::limits::Standing;

/// What the headers tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    /// Media type of the body.
    pub(crate) content_type: &'static str,
    /// The prompt, or what stands for it.
    pub(crate) prompt: PromptId,
    /// The attempt.
    pub(crate) attempt: u32,
    /// From the request's arrival to these headers.
    pub(crate) processing: Micros,
    /// The key's limits; empty without a key or without limits.
    pub(crate) standing: Standing,
    /// When to try again.
    pub(crate) retry_after: Option<Micros>,
}

/// The headers of a response.
pub(crate) fn headers(told: &Described) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(told.content_type));
    headers.insert("openai-version", HeaderValue::from_static("2020-10-01"));
    put(
        &mut headers,
        "openai-processing-ms",
        &(told.processing.0 / 1_000).to_string(),
    );
    put(
        &mut headers,
        "x-request-id",
        &format!("req_{:024x}{:08x}", told.prompt.0, told.attempt),
    );
    let gauges = [("requests", told.standing.requests), ("tokens", told.standing.tokens)];
    for (what, gauge) in gauges {
        let Some(gauge) = gauge else { continue };
        put(
            &mut headers,
            &format!("x-ratelimit-limit-{what}"),
            &gauge.limit.to_string(),
        );
        put(
            &mut headers,
            &format!("x-ratelimit-remaining-{what}"),
            &gauge.remaining.to_string(),
        );
        put(
            &mut headers,
            &format!("x-ratelimit-reset-{what}"),
            &go_duration(gauge.reset),
        );
    }
    if let Some(wait) = told.retry_after {
        put(
            &mut headers,
            RETRY_AFTER.as_str(),
            &wait.0.div_ceil(1_000_000).max(1).to_string(),
        );
        put(&mut headers, "retry-after-ms", &wait.0.div_ceil(1_000).to_string());
    }
    headers
}

/// Inserts a header whose name and value are plain ASCII.
fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

/// A duration as Go prints it (`94ms`, `1.5s`, `6m0s`), rounded up to the millisecond.
pub(crate) fn go_duration(duration: Micros) -> String {
    let ms = duration.0.div_ceil(1_000);
    if ms == 0 {
        return "0s".to_owned();
    }
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let mut seconds = (ms / 1_000 % 60).to_string();
    if !ms.is_multiple_of(1_000) {
        let decimals = format!(".{:03}", ms % 1_000);
        seconds.push_str(decimals.trim_end_matches('0'));
    }
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Gauge;

    #[test]
    fn durations_are_printed_as_go_does() {
        for (us, text) in [
            (0, "0s"),
            (1, "1ms"),
            (94_000, "94ms"),
            (1_000_000, "1s"),
            (1_500_000, "1.5s"),
            (59_998_001, "59.999s"),
            (360_000_000, "6m0s"),
            (72_040_000, "1m12.04s"),
            (3_600_000_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Micros(us)), text);
        }
    }

    #[test]
    fn headers_tell_the_limits_and_the_wait() {
        let gauge = |limit, remaining, reset| {
            Some(Gauge {
                limit,
                remaining,
                reset: Micros(reset),
            })
        };
        let map = headers(&Described {
            content_type: "application/json",
            prompt: PromptId(255),
            attempt: 2,
            processing: Micros(350_900),
            standing: Standing {
                requests: gauge(5_000, 4_999, 12_000),
                tokens: gauge(160_000, 159_976, 9_000),
            },
            retry_after: Some(Micros(1_200_001)),
        });
        let lines: Vec<String> = map
            .iter()
            .map(|(k, v)| format!("{k}: {}", v.to_str().unwrap()))
            .collect();
        assert_eq!(
            lines,
            [
                "content-type: application/json",
                "openai-version: 2020-10-01",
                "openai-processing-ms: 350",
                "x-request-id: req_0000000000000000000000ff00000002",
                "x-ratelimit-limit-requests: 5000",
                "x-ratelimit-remaining-requests: 4999",
                "x-ratelimit-reset-requests: 12ms",
                "x-ratelimit-limit-tokens: 160000",
                "x-ratelimit-remaining-tokens: 159976",
                "x-ratelimit-reset-tokens: 9ms",
                "retry-after: 2",
                "retry-after-ms: 1201",
            ]
        );
    }
}
