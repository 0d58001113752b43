//! A histogram as the percentile spectrum that charts draw and HdrHistogram's plotter reads (`.hgrm`).
//!
//! Text format: <https://github.com/HdrHistogram/HdrHistogram>, `outputPercentileDistribution`, values in milliseconds.

use std::fmt::Write;

use crate::histogram::Histogram;

/// Points per halving of the distance to 100 %: what the `.hgrm` format uses.
const TICKS: u32 = 5;
/// What a microsecond is divided by.
const MICROS_PER_MS: f64 = 1e3;

/// A point of the spectrum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpectrumPoint {
    /// Share of the values that do not exceed `value`, 0 to 1.
    pub quantile: f64,
    /// The value, in the histogram's unit.
    pub value: u64,
    /// How many values do not exceed it.
    pub count: u64,
}

/// Points that come closer to each other as they come closer to 100 %. Empty for an empty histogram.
pub fn percentile_spectrum(histogram: &Histogram) -> Vec<SpectrumPoint> {
    let mut count = 0;
    let points = histogram.hdr().iter_quantiles(TICKS).map(|step| {
        count += step.count_since_last_iteration();
        SpectrumPoint {
            quantile: step.quantile_iterated_to(),
            value: step.value_iterated_to(),
            count,
        }
    });
    points.collect()
}

/// A histogram of microseconds as the text of a `.hgrm` file.
pub fn hgrm(histogram: &Histogram) -> String {
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    for point in percentile_spectrum(histogram) {
        let value = point.value as f64 / MICROS_PER_MS;
        let _ = write!(text, "{value:12.3} {:2.12} {:10}", point.quantile, point.count);
        let _ = match 1.0 - point.quantile {
            left if left > 0.0 => writeln!(text, " {:14.2}", 1.0 / left),
            _ => writeln!(text),
        };
    }
    let hdr = histogram.hdr();
    let (mean, deviation) = (hdr.mean() / MICROS_PER_MS, hdr.stdev() / MICROS_PER_MS);
    let max = histogram.max() as f64 / MICROS_PER_MS;
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
    let _ = writeln!(
        text,
        "#[Max     = {max:12.3}, Total count    = {:12}]",
        histogram.count()
    );
    let _ = writeln!(text, "#[Buckets = {:12}, SubBuckets     = {:12}]", hdr.buckets(), 2048);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spectrum_ends_at_the_largest_value_and_counts_all() {
        let histogram: Histogram = (1..=1000u64).map(|ms| ms * 1000).collect();
        let points = percentile_spectrum(&histogram);
        let last = points.last().expect("not empty");
        assert_eq!((last.quantile, last.value, last.count), (1.0, histogram.max(), 1000));
        assert!(points.is_sorted_by(|a, b| a.value <= b.value && a.quantile <= b.quantile));
        let median = points.iter().find(|p| p.quantile >= 0.5).expect("there is a middle");
        assert_eq!(median.value, histogram.quantile(0.5));
    }

    #[test]
    fn the_text_is_what_the_plotter_reads() {
        let text = hgrm(&[1_000, 2_000, 2_000, 40_000].into_iter().collect());
        insta::assert_snapshot!(text);
        assert_eq!(hgrm(&Histogram::new()).lines().count(), 5, "head and foot only");
    }
}
