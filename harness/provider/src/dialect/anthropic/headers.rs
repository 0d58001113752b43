//! Writes response headers: who answered, where the caller's limits stand, when to try again.

use std::time::{Duration, SystemTime};

use brownout_scenario::units::Micros;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::dialect::{Delivery, Described, EPOCH, RetryAfter, put};
use crate::limits::{Gauge, Standing};

/// Made up: all keys belong to one organization.
const ORGANIZATION: &str = "00000000-0000-4000-8000-000000000001";

/// The last second that RFC 3339 can write.
const LAST_SECOND: u64 = 253_402_300_799;

/// The headers of a response.
pub(super) fn headers(told: &Described<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let content_type = match told.delivery {
        Delivery::Events => "text/event-stream; charset=utf-8",
        _ => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    put(&mut headers, "request-id", &super::id("req", told.prompt, told.attempt));
    put(&mut headers, "anthropic-organization-id", ORGANIZATION);
    for (what, gauge) in gauges(&told.standing) {
        let Some(gauge) = gauge else { continue };
        let mut tell = |figure: &str, value: &str| {
            put(&mut headers, &format!("anthropic-ratelimit-{what}-{figure}"), value);
        };
        tell("limit", &gauge.limit.to_string());
        tell("remaining", &gauge.remaining.to_string());
        tell("reset", &date(told.now.plus(gauge.reset)));
    }
    match told.retry_after {
        RetryAfter::Unsaid => {}
        RetryAfter::Wait(wait) => {
            let seconds = wait.0.div_ceil(1_000_000).max(1);
            put(&mut headers, RETRY_AFTER.as_str(), &seconds.to_string());
        }
        RetryAfter::Text(text) => put(&mut headers, RETRY_AFTER.as_str(), text),
    }
    if told.status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert("x-should-retry", HeaderValue::from_static("true"));
    }
    headers
}

/// The gauges by their names on the wire. Without a limit on tokens of both kinds, `tokens` tells the tighter of the
/// others: the one with fewer left.
fn gauges(standing: &Standing) -> [(&'static str, Option<Gauge>); 4] {
    let Standing {
        requests,
        tokens,
        input_tokens,
        output_tokens,
    } = *standing;
    let kinds = input_tokens.into_iter().chain(output_tokens);
    [
        ("requests", requests),
        ("tokens", tokens.or_else(|| kinds.min_by_key(|gauge| gauge.remaining))),
        ("input-tokens", input_tokens),
        ("output-tokens", output_tokens),
    ]
}

/// An instant of the run as an RFC 3339 date, rounded up to the second.
pub(super) fn date(at: Micros) -> String {
    let second = at.0.div_ceil(1_000_000).saturating_add(EPOCH).min(LAST_SECOND);
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use brownout_scenario::units::PromptId;

    fn gauge(limit: u64, remaining: u64, reset: u64) -> Gauge {
        Gauge {
            limit,
            remaining,
            reset: Micros(reset),
        }
    }

    fn told(status: StatusCode, standing: Standing, retry_after: RetryAfter<'_>) -> Described<'_> {
        Described {
            status,
            delivery: Delivery::Whole,
            now: Micros::from_secs(20),
            prompt: PromptId(255),
            attempt: 2,
            processing: Micros(350_900),
            standing,
            retry_after,
        }
    }

    fn lines(told: &Described<'_>) -> Vec<String> {
        let headers = headers(told);
        let line = |(name, value): (_, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        headers.iter().map(line).collect()
    }

    #[test]
    fn headers_tell_every_limit_and_the_wait() {
        let standing = Standing {
            requests: Some(gauge(50, 49, 1_200_000)),
            tokens: Some(gauge(48_000, 47_000, 0)),
            input_tokens: Some(gauge(40_000, 39_000, 1)),
            output_tokens: Some(gauge(8_000, 7_936, 60_000_000)),
        };
        assert_eq!(
            lines(&told(
                StatusCode::TOO_MANY_REQUESTS,
                standing,
                RetryAfter::Wait(Micros(1_200_001))
            )),
            [
                "content-type: application/json",
                "request-id: req_00000000000000ff00000002",
                "anthropic-organization-id: 00000000-0000-4000-8000-000000000001",
                "anthropic-ratelimit-requests-limit: 50",
                "anthropic-ratelimit-requests-remaining: 49",
                "anthropic-ratelimit-requests-reset: 2023-11-14T22:13:42Z",
                "anthropic-ratelimit-tokens-limit: 48000",
                "anthropic-ratelimit-tokens-remaining: 47000",
                "anthropic-ratelimit-tokens-reset: 2023-11-14T22:13:40Z",
                "anthropic-ratelimit-input-tokens-limit: 40000",
                "anthropic-ratelimit-input-tokens-remaining: 39000",
                "anthropic-ratelimit-input-tokens-reset: 2023-11-14T22:13:41Z",
                "anthropic-ratelimit-output-tokens-limit: 8000",
                "anthropic-ratelimit-output-tokens-remaining: 7936",
                "anthropic-ratelimit-output-tokens-reset: 2023-11-14T22:14:40Z",
                "retry-after: 2",
                "x-should-retry: true",
            ]
        );
    }

    #[test]
    fn tokens_are_those_of_the_tighter_limit_where_there_is_none_on_both() {
        let standing = Standing {
            input_tokens: Some(gauge(40_000, 7_000, 0)),
            output_tokens: Some(gauge(8_000, 6_999, 0)),
            ..Standing::default()
        };
        let headers = headers(&told(StatusCode::OK, standing, RetryAfter::Unsaid));
        assert_eq!(headers["anthropic-ratelimit-tokens-limit"], "8000");
        assert_eq!(headers["anthropic-ratelimit-tokens-remaining"], "6999");
        assert!(!headers.contains_key("anthropic-ratelimit-requests-limit"));
    }

    #[test]
    fn a_stream_without_limits_tells_its_type_and_who_answered() {
        let told = Described {
            delivery: Delivery::Events,
            ..told(StatusCode::OK, Standing::default(), RetryAfter::Unsaid)
        };
        assert_eq!(
            lines(&told),
            [
                "content-type: text/event-stream; charset=utf-8",
                "request-id: req_00000000000000ff00000002",
                "anthropic-organization-id: 00000000-0000-4000-8000-000000000001",
            ]
        );
    }

    #[test]
    fn a_wait_is_at_least_a_second_and_a_text_is_sent_as_it_stands() {
        let retry_after = |status: u16, wait| {
            let status = StatusCode::from_u16(status).unwrap();
            let headers = headers(&told(status, Standing::default(), wait));
            (
                headers["retry-after"].to_str().unwrap().to_owned(),
                headers.contains_key("x-should-retry"),
            )
        };
        assert_eq!(retry_after(429, RetryAfter::Wait(Micros::ZERO)), ("1".to_owned(), true));
        assert_eq!(
            retry_after(529, RetryAfter::Text("-soon;")),
            ("-soon;".to_owned(), false)
        );
    }

    #[test]
    fn dates_end_with_the_year_9999() {
        assert_eq!(date(Micros(u64::MAX)), "9999-12-31T23:59:59Z");
    }
}
