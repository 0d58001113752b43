//! Writes response headers. Gemini tells neither limits nor waits in them: both stand in the body of an error.

use http::header::{CONTENT_TYPE, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};

use crate::dialect::{Delivery, Described, RetryAfter, put};

/// The headers of a response.
pub(super) fn headers(told: &Described<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let content_type = match told.delivery {
        Delivery::Events => "text/event-stream",
        _ => "application/json; charset=UTF-8",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(VARY, HeaderValue::from_static("Origin, X-Origin, Referer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let timing = format!("gfet4t7; dur={}", told.processing.0 / 1_000);
    put(&mut headers, "server-timing", &timing);
    if let RetryAfter::Text(text) = told.retry_after {
        put(&mut headers, RETRY_AFTER.as_str(), text);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Standing;
    use brownout_scenario::units::{Micros, PromptId};
    use http::StatusCode;

    fn lines(delivery: Delivery, retry_after: RetryAfter<'_>) -> Vec<String> {
        let told = Described {
            status: StatusCode::TOO_MANY_REQUESTS,
            delivery,
            now: Micros(400_000),
            prompt: PromptId(255),
            attempt: 2,
            processing: Micros(350_900),
            standing: Standing::default(),
            retry_after,
        };
        let line = |(name, value): (&http::HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        headers(&told).iter().map(line).collect()
    }

    #[test]
    fn a_wait_is_never_told_in_a_header_unless_the_plan_dictates_its_text() {
        let usual = [
            "content-type: application/json; charset=UTF-8",
            "vary: Origin, X-Origin, Referer",
            "x-content-type-options: nosniff",
            "server-timing: gfet4t7; dur=350",
        ];
        assert_eq!(lines(Delivery::Whole, RetryAfter::Wait(Micros::from_secs(2))), usual);
        let hostile = lines(Delivery::Whole, RetryAfter::Text("soon"));
        assert_eq!(hostile.last().unwrap(), "retry-after: soon");
    }

    #[test]
    fn only_events_are_an_event_stream() {
        let first = |delivery| lines(delivery, RetryAfter::Unsaid).remove(0);
        assert_eq!(first(Delivery::Events), "content-type: text/event-stream");
        assert_eq!(first(Delivery::Array), "content-type: application/json; charset=UTF-8");
    }
}
