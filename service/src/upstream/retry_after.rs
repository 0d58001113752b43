//! When to come back, as headers say it: in milliseconds, in seconds, or as a date.
//!
//! Whatever a provider writes, what is read is nothing or a wait between zero and a day. Does not decide whether anybody
//! waits for so long; that is [`crate::resilience::retry`]'s.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

/// Longest wait that is taken for one. Whoever asks for more does not mean this request.
const LONGEST: Duration = Duration::from_hours(24);

/// How long to wait: `retry-after-ms`, else `Retry-After` in seconds (fractions allowed: some providers write them), else
/// as a date, held against the response's own `Date`, because the provider's clock need not agree with ours.
pub(crate) fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let millis = text(HeaderName::from_static("retry-after-ms"))
        .and_then(|text| text.trim().parse::<f64>().ok())
        .and_then(|millis| wait(millis / 1e3));
    let asked = || text(header::RETRY_AFTER);
    millis.or_else(|| seconds(asked()?)).or_else(|| {
        let until = unix_seconds(asked()?)?;
        let now = unix_seconds(text(header::DATE)?)?;
        wait((until - now) as f64)
    })
}

/// Seconds as text.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    wait(text.trim().parse().ok()?)
}

fn wait(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())))
}

/// A date such as `Sun, 06 Nov 1994 08:49:37 GMT`, in seconds since 1970. Source: RFC 9110, section 5.6.7, the form that
/// has to be written; the two obsolete ones are not read.
fn unix_seconds(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut parts = text.trim().split_once(", ")?.1.split(' ');
    let day: i64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()?;
    let year: i64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let fits = (1..=31).contains(&day)
        && (1970..=9999).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    let ends = parts.next() == Some("GMT") && parts.next().is_none() && clock.next().is_none();
    (fits && ends).then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1 January 1970 to a day; `month` counts from 0. A year that begins in March has its leap day at its end.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 2 { year - 1 } else { year };
    let months_since_march = (month + 10) % 12;
    let before_year = year * 365 + year / 4 - year / 100 + year / 400;
    before_year + (months_since_march * 306 + 5) / 10 + day - 719_469
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        of(&headers)
    }

    const DATE: (&str, &str) = ("date", "Sat, 21 Nov 2026 12:00:00 GMT");

    #[test]
    fn seconds_may_have_fractions_and_milliseconds_go_first() {
        assert_eq!(read(&[("retry-after", "2")]), Some(Duration::from_secs(2)));
        assert_eq!(read(&[("retry-after", " 0.5 ")]), Some(Duration::from_millis(500)));
        assert_eq!(
            read(&[("retry-after", "2"), ("retry-after-ms", "1250")]),
            Some(Duration::from_millis(1250))
        );
        assert_eq!(
            read(&[("retry-after", "2"), ("retry-after-ms", "soon")]),
            Some(Duration::from_secs(2))
        );
    }

    #[test]
    fn a_date_is_held_against_the_date_of_the_response() {
        let soon = ("retry-after", "Sat, 21 Nov 2026 12:00:30 GMT");
        assert_eq!(read(&[soon, DATE]), Some(Duration::from_secs(30)));
        assert_eq!(read(&[soon]), None, "against which clock?");
        let past = ("retry-after", "Sat, 21 Nov 2026 11:59:59 GMT");
        assert_eq!(read(&[past, DATE]), None);
    }

    #[test]
    fn whatever_is_written_the_wait_is_none_or_a_day_at_most() {
        for hostile in [
            "-1",
            "-0.5",
            "soon",
            "",
            "NaN",
            "inf seconds",
            "Sat, 99 Nov 2026 12:00:00 GMT",
            "Sat, 21 Nov 2026",
            "Sat, 21 Nov 99999 12:00:00 GMT",
            "Sat, 21 Nov 2026 12:00:00 CET",
        ] {
            assert_eq!(read(&[("retry-after", hostile), DATE]), None, "{hostile}");
        }
        for endless in ["86401", "1e300", "inf", "Thu, 01 Jan 2099 00:00:00 GMT"] {
            assert_eq!(read(&[("retry-after", endless), DATE]), Some(LONGEST), "{endless}");
        }
    }

    #[test]
    fn dates_are_counted_as_the_calendar_has_them() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Thu, 31 Dec 2026 23:59:59 GMT", 1_798_761_599),
        ] {
            assert_eq!(unix_seconds(text), Some(seconds), "{text}");
        }
    }
}
