//! Scales: where a value lies on an axis, and which ticks a person wants to read there.
//!
//! Logarithms are taken here and the backend's axis stays linear, so every axis has hand-picked ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::figures;

/// An axis with its ticks.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    range: Range<f64>,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Counts from 0 up to `max`, with some room above.
    pub(super) fn counts(max: f64, room: f64) -> Self {
        let max = if max.is_finite() { max.max(1.0) } else { 1.0 };
        let step = step_of(max, 4.0).max(1.0);
        let ticks = steps(step, max).map(|at| (at, figures::count(at as u64))).collect();
        Self {
            range: 0.0..max * room,
            ticks,
        }
    }

    /// Counts from below 1 up to `max` on a logarithmic scale: a bar of one request is seen beside one of thousands.
    pub(super) fn log_counts(max: u64) -> Self {
        let max = max.max(10);
        let ticks = (0..=max.ilog10())
            .map(|decade| (f64::from(decade), figures::count(10u64.pow(decade))))
            .collect();
        Self {
            range: log_count(0)..(max as f64 * 1.5).log10(),
            ticks,
        }
    }

    /// Rows from the top down, one a bar.
    pub(super) fn rows(rows: usize) -> Self {
        Self {
            range: rows.max(1) as f64..0.0,
            ticks: Vec::new(),
        }
    }

    /// Shares of a whole.
    pub(super) fn shares() -> Self {
        let ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
            .map(|at| (at, format!("{} %", at * 100.0)))
            .to_vec();
        Self { range: 0.0..1.0, ticks }
    }

    /// Differences around zero, with room for a label at either end.
    pub(super) fn signed(values: impl Iterator<Item = f64>, label: impl Fn(f64) -> String) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((0.0_f64, 0.0_f64), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let span = if high - low > 0.0 { high - low } else { 1.0 };
        let step = step_of(span, 6.0);
        let (first, last) = ((low / step).ceil() as i32, (high / step).floor() as i32);
        let ticks = (first..=last)
            .map(|n| f64::from(n) * step)
            .map(|at| (at, label(at)))
            .collect();
        let left = if low < 0.0 { span * 0.14 } else { 0.0 };
        Self {
            range: low - left..high + span * 0.16,
            ticks,
        }
    }

    /// Seconds from the start of the run to `end`.
    pub(super) fn run_time(end: f64) -> Self {
        const STEPS: [f64; 13] = [
            1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0,
        ];
        let end = if end.is_finite() { end.max(1.0) } else { 1.0 };
        let fits = |step: &&f64| end / **step <= 8.0;
        let step = STEPS
            .iter()
            .find(fits)
            .copied()
            .unwrap_or_else(|| step_of(end / 3_600.0, 6.0).max(1.0) * 3_600.0);
        let label = |at: f64| {
            if end > 600.0 {
                figures::number(at / 60.0)
            } else {
                figures::number(at)
            }
        };
        let ticks = steps(step, end).map(|at| (at, label(at))).collect();
        Self { range: 0.0..end, ticks }
    }

    /// What the numbers of [`Self::run_time`] count.
    pub(super) fn run_time_title(end: f64) -> &'static str {
        if end > 600.0 {
            "minutes since the start of the run"
        } else {
            "seconds since the start of the run"
        }
    }

    /// Latencies in microseconds on a logarithmic scale that holds all of `values`; zeros lie on its floor.
    pub(super) fn latencies(values: impl Iterator<Item = u64> + Clone) -> Self {
        let low = values.clone().filter(|us| *us > 0).min().unwrap_or(1_000);
        let high = values.max().unwrap_or(0).max(low);
        let (low, high) = (below(low as f64 * 0.97), above(high as f64 * 1.03));
        let ticks = log_ticks(low, high)
            .into_iter()
            .map(|us| (us.log10(), tick_of_us(us)))
            .collect();
        Self {
            range: low.log10()..high.log10(),
            ticks,
        }
    }

    /// Percentiles up to what `count` values can tell, ever finer towards the top.
    pub(super) fn percentiles(count: u64) -> Self {
        const TICKS: [(f64, &str); 8] = [
            (0.0, "0"),
            (0.5, "50"),
            (0.9, "90"),
            (0.99, "99"),
            (0.999, "99.9"),
            (0.9999, "99.99"),
            (0.99999, "99.999"),
            (0.999_999, "99.9999"),
        ];
        let end = (count.max(10) as f64).log10().min(6.0);
        let ticks = TICKS
            .iter()
            .map(|(quantile, text)| (rarity(*quantile), (*text).to_owned()))
            .filter(|(at, _)| *at <= end)
            .collect();
        Self { range: 0.0..end, ticks }
    }

    /// Where the axis starts.
    pub(super) fn start(&self) -> f64 {
        self.range.start
    }

    /// Where it ends.
    pub(super) fn end(&self) -> f64 {
        self.range.end
    }

    /// The value, or the nearest end of the axis.
    pub(super) fn clamp(&self, value: f64) -> f64 {
        let Range { start, end } = self.range;
        value.clamp(start.min(end), start.max(end))
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (self.clamp(*value) - self.range.start) / (self.range.end - self.range.start);
        from + (f64::from(to - from) * part).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // plotters asks for bold lines, then for light ones between them: there are none.
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks.iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(at, _)| (at - value).abs() < 1e-9);
        tick.map_or_else(String::new, |(_, label)| label.clone())
    }
}

/// A count on [`Axis::log_counts`]; none lies on the floor.
pub(super) fn log_count(count: u64) -> f64 {
    if count == 0 { -0.4 } else { (count as f64).log10() }
}

/// Microseconds on a logarithmic axis.
pub(super) fn log_us(us: u64) -> f64 {
    (us.max(1) as f64).log10()
}

/// A quantile on the percentile axis: 0.9 is 1, 0.99 is 2, 0.999 is 3.
pub(super) fn rarity(quantile: f64) -> f64 {
    -(1.0 - quantile.clamp(0.0, 0.999_999_9)).log10()
}

/// The quantile at a place on the percentile axis.
pub(super) fn quantile_at(rarity: f64) -> f64 {
    1.0 - 10f64.powf(-rarity)
}

fn steps(step: f64, max: f64) -> impl Iterator<Item = f64> {
    let last = (max / step + 1e-9).floor() as u32;
    (0..=last).map(move |n| f64::from(n) * step)
}

/// The round step that takes at most `most` of them to `max`.
fn step_of(max: f64, most: f64) -> f64 {
    let rough = max / most;
    let decade = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .iter()
        .map(|m| m * decade)
        .find(|step| *step >= rough)
        .unwrap_or(rough)
}

const ROUND: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

/// The largest of 1, 2, 5 times a power of ten that is not above `value`.
fn below(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    ROUND
        .iter()
        .rev()
        .map(|m| m * decade)
        .find(|round| *round <= value)
        .unwrap_or(decade)
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `value`.
fn above(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    ROUND
        .iter()
        .map(|m| m * decade)
        .find(|round| *round >= value)
        .unwrap_or(decade * 10.0)
}

/// Up to nine ticks: 1-2-5, or 1-3, or decades only.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let ticks = |mantissas: &[f64]| -> Vec<f64> {
        (first..=last)
            .flat_map(|decade| mantissas.iter().map(move |m| m * 10f64.powi(decade)))
            .filter(|tick| (low * 0.999..=high * 1.001).contains(tick))
            .collect()
    };
    let choices: [&[f64]; 3] = [&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    choices
        .iter()
        .map(|mantissas| ticks(mantissas))
        .find(|ticks| ticks.len() <= 9)
        .unwrap_or_default()
}

fn tick_of_us(us: f64) -> String {
    if us < 999.0 {
        format!("{} µs", figures::number(us.round()))
    } else if us < 999_999.0 {
        format!("{} ms", figures::number(us / 1e3))
    } else {
        format!("{} s", figures::number(us / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn a_latency_axis_holds_its_values_between_round_ticks() {
        let axis = Axis::latencies([240_000, 0, 3_100_000].into_iter());
        assert_eq!(labels(&axis), ["200 ms", "500 ms", "1 s", "2 s", "5 s"]);
        assert!(
            (axis.clamp(log_us(0)) - axis.start()).abs() < 1e-9,
            "zero lies on the floor"
        );
    }

    #[test]
    fn axes_of_nothing_and_of_one_value_still_have_a_length() {
        for values in [vec![], vec![0], vec![5_000], vec![5_000, 5_000], vec![1]] {
            let axis = Axis::latencies(values.iter().copied());
            assert!(axis.end() > axis.start() && axis.ticks.len() >= 2, "{values:?}");
        }
        for axis in [
            Axis::counts(0.0, 1.0),
            Axis::counts(f64::NAN, 1.0),
            Axis::run_time(0.0),
            Axis::percentiles(0),
        ] {
            assert!(axis.end() > axis.start());
        }
    }

    #[test]
    fn the_percentile_axis_ends_where_the_data_ends() {
        assert_eq!(labels(&Axis::percentiles(2_400)), ["0", "50", "90", "99", "99.9"]);
        assert_eq!(labels(&Axis::percentiles(1)), ["0", "50", "90"]);
        assert!((quantile_at(rarity(0.99)) - 0.99).abs() < 1e-12);
    }

    #[test]
    fn a_wide_latency_axis_does_not_crowd_its_ticks() {
        let axis = Axis::latencies([10, 100_000_000].into_iter());
        assert!(axis.ticks.len() <= 9);
        assert_eq!(labels(&axis)[0], "10 µs");
    }

    #[test]
    fn an_hour_is_counted_in_minutes() {
        assert_eq!(
            labels(&Axis::run_time(3_600.0)),
            ["0", "10", "20", "30", "40", "50", "60"]
        );
        assert_eq!(labels(&Axis::run_time(60.0)), ["0", "10", "20", "30", "40", "50", "60"]);
    }
}
