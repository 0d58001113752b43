//! Durations as text: `"350ms"`, `"1.5s"`, `"5m"`.

use std::time::Duration;

/// What to write.
pub(super) const EXPECTED: &str = "write a number and its unit (us, ms, s, m, h, d), such as \"350ms\" or \"1.5s\"";

/// Longest duration that is taken: a year says "for ever" well enough.
const LONGEST: f64 = 365.0 * 86_400e6;

/// Reads a duration.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" | "min" => 6e7,
        "h" => 3.6e9,
        "d" => 86_400e6,
        _ => return None,
    };
    let us = number.trim().parse::<f64>().ok()? * scale;
    (0.0..=LONGEST)
        .contains(&us)
        .then(|| Duration::from_micros(us.round() as u64))
}

/// Writes a duration so that [`parse`] reads the same.
pub(super) fn format(duration: Duration) -> String {
    let us = duration.as_micros();
    match us {
        us if us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        us if us.is_multiple_of(1_000) => format!("{}ms", us / 1_000),
        us => format!("{us}us"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(us in 0_u64..10_000_000_000) {
            let duration = Duration::from_micros(us);
            prop_assert_eq!(parse(&format(duration)), Some(duration));
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for bad in ["30", "", "s", "-1s", "1 parsec", "1e300h", "NaNs"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse("5m"), Some(Duration::from_mins(5)));
    }
}
