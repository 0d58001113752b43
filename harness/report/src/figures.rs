//! How numbers are written for people: three significant digits and a unit.
//!
//! Knows nothing about records; what is absent is the caller's affair, except for [`NONE`], how absence looks.

/// What stands where there is no figure.
pub(crate) const NONE: &str = "–";

/// Milliseconds: `0.42 ms`, `247 ms`, `3.02 s`, `2 min 5 s`.
pub(crate) fn milliseconds(ms: f64) -> String {
    if !ms.is_finite() {
        NONE.to_owned()
    } else if ms == 0.0 {
        "0 ms".to_owned()
    } else if ms < 999.5 {
        format!("{} ms", three_digits(ms))
    } else if ms < 119_950.0 {
        format!("{} s", three_digits(ms / 1e3))
    } else {
        let seconds = (ms / 1e3).round() as u64;
        match (seconds / 60, seconds % 60) {
            (minutes, 0) => format!("{minutes} min"),
            (minutes, seconds) => format!("{minutes} min {seconds} s"),
        }
    }
}

/// Seconds, the same way.
pub(crate) fn seconds(s: f64) -> String {
    milliseconds(s * 1e3)
}

/// A span of the run: `20–30 s`.
pub(crate) fn span((from, until): (f64, f64)) -> String {
    format!("{}–{} s", number(from), number(until))
}

/// Counts: exact up to 9,999, then `12.3 k`, `1.23 M`, `4.5 G`.
pub(crate) fn count(n: u64) -> String {
    match n {
        0..10_000 => grouped(n),
        10_000..999_500 => format!("{} k", three_digits(n as f64 / 1e3)),
        999_500..999_500_000 => format!("{} M", three_digits(n as f64 / 1e6)),
        _ => format!("{} G", three_digits(n as f64 / 1e9)),
    }
}

/// An exact count with separators: `1,234,567`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of a whole: `0 %`, `<0.01 %`, `0.40 %`, `12.3 %`, `99.98 %`, `100 %`; never rounded up to all or down to
/// nothing.
pub(crate) fn share(of_one: f64) -> String {
    let percent = of_one * 100.0;
    if !percent.is_finite() {
        NONE.to_owned()
    } else if percent == 0.0 || percent >= 100.0 {
        format!("{percent:.0} %")
    } else if percent < 0.01 {
        "<0.01 %".to_owned()
    } else if percent > 99.99 {
        ">99.99 %".to_owned()
    } else if !(0.995..=99.0).contains(&percent) {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// `part / whole`, if there is a whole.
pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// US dollars: `$0`, `$0.0123`, `$1.23`, `$1,234`.
pub(crate) fn usd(dollars: f64) -> String {
    if !dollars.is_finite() {
        NONE.to_owned()
    } else if dollars == 0.0 {
        "$0".to_owned()
    } else if dollars >= 999.5 {
        format!("${}", grouped(dollars.round() as u64))
    } else if dollars >= 1.0 {
        format!("${dollars:.2}")
    } else {
        format!("${}", three_digits(dollars))
    }
}

/// A factor: `1.08×`.
pub(crate) fn factor(times: f64) -> String {
    if times.is_finite() {
        format!("{}×", trimmed(times, 2))
    } else {
        NONE.to_owned()
    }
}

/// A rate per second: `4.93 /s`.
pub(crate) fn per_second(rate: f64) -> String {
    format!("{} /s", number(rate))
}

/// A number whose unit is not known: at most four significant digits, no trailing zeros.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        NONE.to_owned()
    } else if (9_999.5..1e15).contains(&size) {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", grouped(size.round() as u64))
    } else if size == 0.0 {
        "0".to_owned()
    } else if size >= 1e15 {
        format!("{value:e}")
    } else {
        let places = (3 - size.log10().floor() as i32).clamp(0, 9);
        trimmed(value, places as usize)
    }
}

/// Three significant digits: `0.0123`, `1.23`, `12.3`, `123`.
fn three_digits(value: f64) -> String {
    let places = |value: f64| (2 - value.abs().log10().floor() as i32).clamp(0, 9);
    // Rounding may gain a digit: 0.9996 is 1.00. Then one decimal less is enough.
    let scale = 10f64.powi(places(value));
    let places = places((value * scale).round() / scale) as usize;
    format!("{value:.places$}")
}

/// At most `places` decimals, without trailing zeros.
fn trimmed(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    if places == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_three_digits_and_the_unit_that_suits_it() {
        let cases = [
            (0.0, "0 ms"),
            (0.42, "0.420 ms"),
            (246.6, "247 ms"),
            (999.4, "999 ms"),
            (999.6, "1.00 s"),
            (3_021.0, "3.02 s"),
            (119_000.0, "119 s"),
            (125_000.0, "2 min 5 s"),
            (f64::NAN, NONE),
        ];
        for (ms, text) in cases {
            assert_eq!(milliseconds(ms), text);
        }
    }

    #[test]
    fn a_share_is_never_rounded_to_all_or_to_nothing() {
        let cases = [
            (0.0, "0 %"),
            (0.000_01, "<0.01 %"),
            (0.004, "0.40 %"),
            (0.76, "76.0 %"),
            (0.1234, "12.3 %"),
            (0.9998, "99.98 %"),
            (0.999_999, ">99.99 %"),
            (1.0, "100 %"),
        ];
        for (value, text) in cases {
            assert_eq!(share(value), text);
        }
    }

    #[test]
    fn counts_and_money_keep_their_size_readable() {
        assert_eq!(count(9_999), "9,999");
        assert_eq!(count(12_345), "12.3 k");
        assert_eq!(count(999_600), "1.00 M");
        assert_eq!(count(1_234_567), "1.23 M");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(usd(0.0123), "$0.0123");
        assert_eq!(usd(1.5), "$1.50");
        assert_eq!(usd(0.0), "$0");
    }

    #[test]
    fn a_number_without_a_unit_keeps_four_digits() {
        let cases = [
            (0.0, "0"),
            (0.012_345, "0.01235"),
            (1.0, "1"),
            (1_234.0, "1234"),
            (-2.5, "-2.5"),
            (123_456.7, "123,457"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
