//! Writes response headers: the media type, and nothing about limits or waits, which Ollama does not have.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};

use crate::dialect::{Delivery, Described, RetryAfter, put};

/// The headers of a response.
pub(super) fn headers(told: &Described<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let content_type = match told.delivery {
        Delivery::Lines => "application/x-ndjson",
        _ => "application/json; charset=utf-8",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
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

    fn told(delivery: Delivery, retry_after: RetryAfter<'_>) -> HeaderMap {
        headers(&Described {
            status: StatusCode::OK,
            delivery,
            now: Micros::ZERO,
            prompt: PromptId(1),
            attempt: 0,
            processing: Micros::ZERO,
            standing: Standing::default(),
            retry_after,
        })
    }

    #[test]
    fn lines_and_bodies_differ_in_media_type() {
        let lines = told(Delivery::Lines, RetryAfter::Unsaid);
        assert_eq!(lines[CONTENT_TYPE], "application/x-ndjson");
        let whole = told(Delivery::Whole, RetryAfter::Unsaid);
        assert_eq!(whole[CONTENT_TYPE], "application/json; charset=utf-8");
    }

    #[test]
    fn a_wait_is_told_only_in_the_plans_own_words() {
        assert_eq!(told(Delivery::Whole, RetryAfter::Wait(Micros::from_secs(2))).len(), 1);
        let hostile = told(Delivery::Whole, RetryAfter::Text("1h"));
        assert_eq!(hostile[RETRY_AFTER], "1h");
    }
}
