//! Latency second by second: the median as a line, the slowest as dots, one panel a variant, one scale for all.

use brownout_measure::record::{RunRecord, TimelinePoint, VariantRecord};
use plotters::prelude::{Circle, DrawingBackend, LineSeries};
use plotters::style::Color;

use super::axis::{self, Axis};
use super::face::{Face, Key, Mark};
use super::panel::{self, Plot, Words};
use super::{ChartError, Shape, Sheet, bins, palette, u};

pub(super) fn face(record: &RunRecord, shape: Shape) -> Face {
    let variants = &record.results.variants;
    let width = bin_width(record, shape);
    let unit = if width == 1 {
        "second".to_owned()
    } else {
        format!("{width} s")
    };
    let median = if width == 1 { "median" } else { "mean of the medians" };
    let mut legend = vec![
        Key::new(format!("{median} of each {unit}"), palette::BLUE, Mark::Line),
        Key::new(format!("slowest of each {unit}"), palette::GREY, Mark::Dot),
    ];
    legend.extend(panel::window_key(
        &variants.iter().map(|v| v.fault_window_s).collect::<Vec<_>>(),
    ));
    Face {
        note: "Requests stand at the time they fell due, not when they were answered. Log scale, the same for all."
            .to_owned(),
        legend,
        body: variants.len() as f64 * panel_px(shape),
        missing: variants
            .iter()
            .all(|v| v.timeline.iter().all(|point| point.answered == 0))
            .then(|| "no request was answered, so there is no latency to show".to_owned()),
    }
}

pub(super) fn draw<DB: DrawingBackend>(area: &Sheet<DB>, record: &RunRecord, shape: Shape) -> Result<(), ChartError> {
    let variants = &record.results.variants;
    let width = bin_width(record, shape);
    let lines: Vec<_> = variants.iter().map(|v| bins::of(&v.timeline, width)).collect();
    let answered: Vec<u64> = lines
        .iter()
        .flatten()
        .filter(|p| p.answered > 0)
        .flat_map(|p| [p.p50_us, p.max_us])
        .collect();
    // Some room above, so that the fault window's name stays clear of the dots.
    let y = Axis::latencies(
        answered
            .iter()
            .copied()
            .chain(answered.iter().max().map(|us| us * 3 / 2)),
    );
    let end = run_end(record);
    let x = Axis::run_time(end);
    for ((variant, line), panel) in variants.iter().zip(&lines).zip(area.split_evenly((variants.len(), 1))) {
        let title = heading(variant);
        let words = Words {
            name: &variant.name,
            y: &title,
            x: Axis::run_time_title(end),
        };
        let mut plot = panel::plot(&panel, &words, &x, &y)?;
        panel::shade(&mut plot, variant.fault_window_s, &x, &y)?;
        series(&mut plot, line, width as f64 / 2.0, &y)?;
    }
    Ok(())
}

fn heading(variant: &VariantRecord) -> String {
    match variant.recovery_s {
        Some(s) if variant.fault_window_s.is_some() => format!(
            "latency; back to normal {} s after the fault",
            crate::figures::number(s)
        ),
        None if variant.fault_window_s.is_some() => "latency; not back to normal within the run".to_owned(),
        _ => "latency".to_owned(),
    }
}

/// Dots first, then the line; where nothing was answered the line breaks.
fn series<DB: DrawingBackend>(
    plot: &mut Plot<DB>,
    line: &[TimelinePoint],
    half: f64,
    y: &Axis,
) -> Result<(), ChartError> {
    let at = |point: &TimelinePoint, us: u64| (point.second as f64 + half, y.clamp(axis::log_us(us)));
    let answered = line.iter().filter(|point| point.answered > 0);
    plot.draw_series(answered.map(|point| Circle::new(at(point, point.max_us), u(2.5), palette::GREY.filled())))?;
    for run in line.split(|point| point.answered == 0).filter(|run| !run.is_empty()) {
        let places: Vec<_> = run.iter().map(|point| at(point, point.p50_us)).collect();
        if let [lonely] = places[..] {
            plot.draw_series([Circle::new(lonely, u(2.5), palette::BLUE.filled())])?;
        }
        plot.draw_series(LineSeries::new(places, palette::BLUE.stroke_width(u(2.5) as u32)))?;
    }
    Ok(())
}

fn panel_px(shape: Shape) -> f64 {
    panel::HEAD_PX + panel::FOOT_PX + if shape == Shape::Wide { 150.0 } else { 120.0 }
}

/// Where the timelines of a run end, in seconds.
pub(super) fn run_end(record: &RunRecord) -> f64 {
    let ends = record.results.variants.iter().filter_map(|v| v.timeline.last());
    ends.map(|point| point.second + 1).max().unwrap_or(1) as f64
}

/// Seconds to a bin, the same for all charts over time.
pub(super) fn bin_width(record: &RunRecord, shape: Shape) -> u64 {
    bins::width(run_end(record) as u64, if shape == Shape::Wide { 240 } else { 120 })
}
