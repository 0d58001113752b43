//! Writes response headers: who answered, how long it took, where the caller's limits stand, when to try again.

use brownout_scenario::units::Micros;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};

use crate::dialect::{Delivery, Described, RetryAfter, duration, put};

/// The headers of a response.
pub(super) fn headers(told: &Described<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let content_type = match told.delivery {
        Delivery::Events => "text/event-stream; charset=utf-8",
        _ => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
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
        let mut tell = |figure: &str, value: &str| put(&mut headers, &format!("x-ratelimit-{figure}-{what}"), value);
        tell("limit", &gauge.limit.to_string());
        tell("remaining", &gauge.remaining.to_string());
        tell("reset", &go_duration(gauge.reset));
    }
    match told.retry_after {
        RetryAfter::Unsaid => {}
        RetryAfter::Wait(wait) => {
            put(
                &mut headers,
                RETRY_AFTER.as_str(),
                &wait.0.div_ceil(1_000_000).max(1).to_string(),
            );
            put(&mut headers, "retry-after-ms", &wait.0.div_ceil(1_000).to_string());
        }
        RetryAfter::Text(text) => put(&mut headers, RETRY_AFTER.as_str(), text),
    }
    headers
}

/// A duration as Go prints it, rounded up to the millisecond.
pub(super) fn go_duration(duration: Micros) -> String {
    duration::go_duration(Micros::from_millis(duration.0.div_ceil(1_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Gauge, Standing};
    use brownout_scenario::units::PromptId;
    use http::StatusCode;

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
            status: StatusCode::OK,
            delivery: Delivery::Whole,
            now: Micros::ZERO,
            prompt: PromptId(255),
            attempt: 2,
            processing: Micros(350_900),
            standing: Standing {
                requests: gauge(5_000, 4_999, 12_000),
                tokens: gauge(160_000, 159_976, 9_000),
                ..Standing::default()
            },
            retry_after: RetryAfter::Wait(Micros(1_200_001)),
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
