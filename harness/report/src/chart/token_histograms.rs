//! Tokens per request as step histograms: billed, delivered, wasted, one panel a variant.
//!
//! Requests with none are counted in words: as a bar they would dwarf the rest.

use brownout_measure::record::{RunRecord, TokenHistogram, VariantRecord};
use hdrhistogram::Histogram;
use plotters::prelude::{AreaSeries, DrawingBackend, LineSeries};
use plotters::style::{Color, RGBColor, ShapeStyle};

use super::axis::{self, Axis};
use super::face::{Heading, Key, Mark};
use super::panel::{self, Plot, Words};
use super::{ChartError, Shape, Sheet, palette, u};
use crate::{figures, histogram};

/// A kind of token: its name, its colour, its histogram.
type Kind = (&'static str, RGBColor, fn(&VariantRecord) -> &TokenHistogram);

/// The first lies lowest and is drawn widest, so that equal lines show both colours.
const KINDS: [Kind; 3] = [
    ("billed", palette::BLUE, |v| &v.tokens.histogram.billed),
    ("delivered", palette::GREEN, |v| &v.tokens.histogram.delivered),
    ("wasted", palette::VERMILLION, |v| &v.tokens.histogram.wasted),
];

/// Widths of their lines in CSS pixels.
const WIDTHS: [f64; 3] = [4.5, 2.0, 2.0];

/// Height for so many variants.
pub(super) fn height(variants: usize, shape: Shape) -> f64 {
    legend(shape).height() + variants as f64 * (panel::HEAD_PX + panel::FOOT_PX + 110.0)
}

fn legend(shape: Shape) -> Heading {
    let keys = KINDS
        .iter()
        .map(|(name, color, _)| Key::new(format!("{name} per request"), *color, Mark::Line));
    Heading::new("", "", keys.collect(), shape.width())
}

pub(super) fn draw<DB: DrawingBackend>(area: &Sheet<DB>, record: &RunRecord, shape: Shape) -> Result<(), ChartError> {
    let variants = &record.results.variants;
    let legend = legend(shape);
    legend.draw(area)?;
    let (_, panels) = area.split_vertically(u(legend.height()));
    let known: Vec<Vec<_>> = variants
        .iter()
        .map(|v| {
            KINDS
                .iter()
                .map(|(_, color, of)| (*color, histogram::decode(&of(v).hdr)))
                .collect()
        })
        .collect();
    let most = known
        .iter()
        .flatten()
        .filter_map(|(_, h)| h.as_ref().map(Histogram::max))
        .max()
        .unwrap_or(1);
    let step = bin_size(most, if shape == Shape::Wide { 48 } else { 24 });
    let counted: Vec<Vec<_>> = known
        .iter()
        .map(|kinds| {
            kinds
                .iter()
                .map(|(color, h)| (*color, h.as_ref().map_or_else(Vec::new, |h| spread(h, step, most))))
                .collect()
        })
        .collect();
    let highest = counted
        .iter()
        .flatten()
        .flat_map(|(_, counts)| counts)
        .max()
        .copied()
        .unwrap_or(0);
    let x = Axis::counts((most / step + 1) as f64 * step as f64, 1.0);
    let y = Axis::log_counts(highest);
    for ((variant, kinds), panel) in variants
        .iter()
        .zip(&counted)
        .zip(panels.split_evenly((variants.len(), 1)))
    {
        let title = heading(variant);
        let words = Words {
            name: &variant.name,
            y: &title,
            x: "tokens per request",
        };
        let mut plot = panel::plot(&panel, &words, &x, &y)?;
        for ((color, counts), width) in kinds.iter().zip(WIDTHS) {
            steps(&mut plot, counts, step as f64, color.stroke_width(u(width) as u32))?;
        }
    }
    Ok(())
}

/// What the y axis counts, and how many requests are left out because they waste nothing.
fn heading(variant: &VariantRecord) -> String {
    let none =
        histogram::decode(&variant.tokens.histogram.wasted.hdr).and_then(|h| figures::ratio(h.count_at(0), h.len()));
    match none {
        Some(part) => format!("requests, log scale; {} waste none", figures::share(part)),
        None => "requests, log scale".to_owned(),
    }
}

/// Tokens to a bin: a round number.
fn bin_size(most: u64, bins: u64) -> u64 {
    let mut size = 1;
    while most / size >= bins {
        size = match size.to_string().as_bytes()[0] {
            b'2' => size / 2 * 5,
            _ => size * 2,
        };
    }
    size
}

/// Requests by bin, those with none left out.
fn spread(histogram: &Histogram<u64>, step: u64, most: u64) -> Vec<u64> {
    let mut counts = vec![0; (most / step + 1) as usize];
    for value in histogram.iter_recorded().filter(|value| value.value_iterated_to() > 0) {
        let bin = (value.value_iterated_to() / step) as usize;
        let last = counts.len() - 1;
        counts[bin.min(last)] += value.count_since_last_iteration();
    }
    counts
}

/// One outline per stretch of bins that hold any request.
fn steps<DB: DrawingBackend>(
    plot: &mut Plot<DB>,
    counts: &[u64],
    step: f64,
    style: ShapeStyle,
) -> Result<(), ChartError> {
    let floor = axis::log_count(0);
    let bins: Vec<_> = counts.iter().enumerate().collect();
    for stretch in bins
        .split(|(_, count)| **count == 0)
        .filter(|stretch| !stretch.is_empty())
    {
        let left = |bin: usize| bin as f64 * step;
        let corners = stretch.iter().flat_map(|(bin, count)| {
            let height = axis::log_count(**count);
            [(left(*bin), height), (left(bin + 1), height)]
        });
        let (first, last) = (stretch[0].0, stretch[stretch.len() - 1].0);
        let line: Vec<_> = [(left(first), floor)]
            .into_iter()
            .chain(corners)
            .chain([(left(last + 1), floor)])
            .collect();
        plot.draw_series(AreaSeries::new(line.iter().copied(), floor, style.color.mix(0.12)))?;
        plot.draw_series(LineSeries::new(line, style))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_round_and_few() {
        for most in [1, 47, 48, 200, 1_999, 1_000_000] {
            let size = bin_size(most, 48);
            assert!(most / size < 48, "{most}");
            assert!(
                matches!(size.to_string().trim_end_matches('0'), "1" | "2" | "5"),
                "{size}"
            );
        }
    }

    #[test]
    fn every_request_with_tokens_is_in_a_bin() {
        let mut histogram = Histogram::<u64>::new(3).expect("3 digits");
        for value in [0, 0, 1, 9, 10, 199, 200] {
            histogram.record(value).expect("resizes");
        }
        let counts = spread(&histogram, 10, histogram.max());
        assert_eq!(counts.iter().sum::<u64>(), 5);
        assert_eq!(counts[0], 2);
    }
}
