//! What became of the requests, second by second: stacked bars, one panel a variant, one scale for all.

use brownout_measure::record::{RunRecord, TimelinePoint};
use plotters::prelude::{DrawingBackend, Rectangle};
use plotters::style::{Color, RGBColor};

use super::axis::Axis;
use super::face::{Face, Key, Mark};
use super::latency_over_time::{bin_width, run_end};
use super::panel::{self, Plot, Words};
use super::{ChartError, Shape, Sheet, bins, palette};
use crate::figures;

/// An outcome: its name, its colour, its share of a second.
type Layer = (&'static str, RGBColor, fn(&TimelinePoint) -> u64);

/// From the bottom of a bar to its top.
const LAYERS: [Layer; 4] = [
    ("answered", palette::GREEN, |p| p.answered),
    ("failed", palette::VERMILLION, |p| p.failed),
    ("left by their client, as planned", palette::SKY, |p| p.aborted),
    ("not sent", palette::GREY, |p| {
        p.due.saturating_sub(p.answered + p.failed + p.aborted)
    }),
];

pub(super) fn face(record: &RunRecord, shape: Shape) -> Face {
    let variants = &record.results.variants;
    let width = bin_width(record, shape);
    let happens = |of: fn(&TimelinePoint) -> u64| variants.iter().any(|v| v.timeline.iter().any(|point| of(point) > 0));
    let mut legend: Vec<_> = LAYERS
        .iter()
        .filter(|(_, _, of)| happens(*of))
        .map(|(name, color, _)| Key::new(*name, *color, Mark::Fill))
        .collect();
    legend.extend(panel::window_key(
        &variants.iter().map(|v| v.fault_window_s).collect::<Vec<_>>(),
    ));
    let panel = panel::HEAD_PX + panel::FOOT_PX + if shape == Shape::Wide { 130.0 } else { 110.0 };
    let unit = if width == 1 {
        "second".to_owned()
    } else {
        format!("{width} s")
    };
    Face {
        note: format!("Requests of each {unit} by due time, and what became of them. The same scale for all."),
        legend,
        body: variants.len() as f64 * panel,
        missing: (!happens(|p| p.due)).then(|| "no request fell due".to_owned()),
    }
}

pub(super) fn draw<DB: DrawingBackend>(area: &Sheet<DB>, record: &RunRecord, shape: Shape) -> Result<(), ChartError> {
    let variants = &record.results.variants;
    let width = bin_width(record, shape);
    let columns: Vec<_> = variants.iter().map(|v| bins::of(&v.timeline, width)).collect();
    let highest = columns.iter().flatten().map(total).max().unwrap_or(0);
    let (end, y) = (run_end(record), Axis::counts(highest as f64, 1.18));
    let x = Axis::run_time(end);
    let unit = if width == 1 {
        "requests per second".to_owned()
    } else {
        format!("requests per {width} s")
    };
    for ((variant, columns), panel) in variants
        .iter()
        .zip(&columns)
        .zip(area.split_evenly((variants.len(), 1)))
    {
        let answered =
            figures::ratio(variant.requests.answered, variant.requests.due).map_or(String::new(), figures::share);
        let title = format!("{unit}; {answered} answered over the run");
        let words = Words {
            name: &variant.name,
            y: &title,
            x: Axis::run_time_title(end),
        };
        let mut plot = panel::plot(&panel, &words, &x, &y)?;
        panel::shade(&mut plot, variant.fault_window_s, &x, &y)?;
        stack(&mut plot, columns, width as f64, &x)?;
    }
    Ok(())
}

fn total(point: &TimelinePoint) -> u64 {
    LAYERS.iter().map(|(_, _, of)| of(point)).sum()
}

fn stack<DB: DrawingBackend>(
    plot: &mut Plot<DB>,
    columns: &[TimelinePoint],
    width: f64,
    x: &Axis,
) -> Result<(), ChartError> {
    for point in columns {
        let left = point.second as f64;
        let (left, right) = (left + width * 0.06, x.clamp(left + width * 0.94));
        let mut floor = 0;
        for (_, color, of) in &LAYERS {
            let top = floor + of(point);
            if top > floor && right > left {
                plot.draw_series([Rectangle::new(
                    [(left, floor as f64), (right, top as f64)],
                    color.filled(),
                )])?;
            }
            floor = top;
        }
    }
    Ok(())
}
