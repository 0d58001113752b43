//! The percentile spectrum: how slow the slow ones are, one line a variant.

use brownout_measure::record::RunRecord;
use hdrhistogram::Histogram;
use plotters::prelude::{Circle, DrawingBackend, LineSeries};
use plotters::style::Color;

use super::axis::{self, Axis};
use super::face::{Face, Key, Mark};
use super::panel::{self, Words};
use super::{ChartError, Shape, Sheet, palette, u};
use crate::{figures, histogram};

/// Places on a line.
const POINTS: u32 = 240;

pub(super) fn face(record: &RunRecord, shape: Shape) -> Face {
    let known = spectra(record);
    let legend = known
        .iter()
        .map(|(index, name, values)| {
            let text = format!("{name}, {} answers", figures::count(values.len()));
            Key::new(text, palette::variant(*index), Mark::Line)
        })
        .collect();
    Face {
        note: "From due to the usable answer, log scale. Lower is better; every step to the right is ten times rarer. \
               The dot is the slowest answer."
            .to_owned(),
        legend,
        body: if shape == Shape::Wide { 400.0 } else { 300.0 },
        missing: known
            .is_empty()
            .then(|| "no request was answered, so there is no latency to show".to_owned()),
    }
}

pub(super) fn draw<DB: DrawingBackend>(area: &Sheet<DB>, record: &RunRecord) -> Result<(), ChartError> {
    let known = spectra(record);
    let x = Axis::percentiles(known.iter().map(|(_, _, values)| values.len()).max().unwrap_or(0));
    let y = Axis::latencies(
        known
            .iter()
            .flat_map(|(_, _, values)| [values.min(), values.max()])
            .collect::<Vec<_>>()
            .into_iter(),
    );
    let words = Words {
        name: "",
        y: "latency",
        x: "percentile (%) of the answered requests",
    };
    let mut plot = panel::plot(area, &words, &x, &y)?;
    for (index, _, values) in &known {
        let color = palette::variant(*index);
        let end = (values.len() as f64).log10().min(x.end());
        let place = |n: u32| {
            let at = end * f64::from(n) / f64::from(POINTS);
            (
                at,
                y.clamp(axis::log_us(values.value_at_quantile(axis::quantile_at(at)))),
            )
        };
        let slowest = (end, y.clamp(axis::log_us(values.max())));
        let line = (0..=POINTS).map(place).chain([slowest]);
        plot.draw_series(LineSeries::new(line, color.stroke_width(u(2.5) as u32)))?;
        plot.draw_series([Circle::new(slowest, u(4.0), color.filled())])?;
    }
    Ok(())
}

/// The variants with answers: index, name, latencies.
fn spectra(record: &RunRecord) -> Vec<(usize, &str, Histogram<u64>)> {
    let variants = record.results.variants.iter().enumerate();
    variants
        .filter_map(|(index, variant)| Some((index, variant.name.as_str(), histogram::decode(&variant.latency.hdr)?)))
        .collect()
}
