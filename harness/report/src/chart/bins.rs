//! Seconds put together where a run has more of them than a chart has room.
//!
//! Counts add up and the slowest stays the slowest. Medians cannot be merged: a bin shows the mean of its seconds'
//! medians, weighted by answers, and charts say so.

use brownout_measure::record::TimelinePoint;

/// How many seconds make a bin, so that `seconds` come to at most `most` bins.
pub(super) fn width(seconds: u64, most: u64) -> u64 {
    const WIDTHS: [u64; 9] = [1, 2, 5, 10, 20, 30, 60, 120, 300];
    let fits = |width: &&u64| seconds.div_ceil(**width) <= most;
    WIDTHS
        .iter()
        .find(fits)
        .copied()
        .unwrap_or_else(|| seconds.div_ceil(most).next_multiple_of(300))
}

/// The timeline in bins of `width` seconds, each at its first second.
pub(super) fn of(timeline: &[TimelinePoint], width: u64) -> Vec<TimelinePoint> {
    let mut bins: Vec<TimelinePoint> = Vec::new();
    let mut weight = 0;
    for point in timeline {
        let second = point.second / width * width;
        match bins.last_mut() {
            Some(bin) if bin.second == second => {
                let answers = weight + point.answered;
                if answers > 0 {
                    let sum = u128::from(bin.p50_us) * u128::from(weight)
                        + u128::from(point.p50_us) * u128::from(point.answered);
                    bin.p50_us = (sum / u128::from(answers)) as u64;
                }
                bin.due += point.due;
                bin.answered += point.answered;
                bin.failed += point.failed;
                bin.aborted += point.aborted;
                bin.attempts += point.attempts;
                bin.max_us = bin.max_us.max(point.max_us);
                weight = answers;
            }
            _ => {
                bins.push(TimelinePoint { second, ..*point });
                weight = point.answered;
            }
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(second: u64, answered: u64, p50_us: u64, max_us: u64) -> TimelinePoint {
        TimelinePoint {
            second,
            due: answered,
            answered,
            p50_us,
            max_us,
            ..TimelinePoint::default()
        }
    }

    #[test]
    fn a_bin_loses_no_request_and_keeps_the_slowest() {
        let timeline = [
            point(0, 3, 100, 900),
            point(1, 1, 500, 700),
            point(2, 0, 0, 0),
            point(4, 1, 50, 50),
        ];
        let bins = of(&timeline, 4);
        assert_eq!(bins.len(), 2);
        assert_eq!((bins[0].answered, bins[0].p50_us, bins[0].max_us), (4, 200, 900));
        assert_eq!(bins[1].second, 4);
    }

    #[test]
    fn a_run_of_any_length_fits() {
        for seconds in [0u64, 1, 240, 241, 3_600, 86_400, 10_000_000] {
            assert!(seconds.div_ceil(width(seconds, 240)) <= 240, "{seconds}");
        }
        assert_eq!(width(60, 240), 1);
    }
}
