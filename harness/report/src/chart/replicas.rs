//! Replicas second by second: those that were ready as a line with what it lacks of the most, restarts as dots, one panel
//! a variant, one scale for all.

use brownout_measure::record::{ReplicaPoint, RunRecord};
use plotters::prelude::{Circle, DrawingBackend, LineSeries, Rectangle};
use plotters::style::Color;

use super::axis::Axis;
use super::face::{Face, Key, Mark};
use super::latency_over_time::{bin_width, run_end};
use super::panel::{self, Plot, Words};
use super::{ChartError, Shape, Sheet, palette, u};
use crate::figures;

/// Whether anything happened to the processes of a variant.
pub(super) fn is_eventful(record: &RunRecord) -> bool {
    record.results.variants.iter().any(|v| v.hosts.is_eventful())
}

pub(super) fn face(record: &RunRecord, shape: Shape) -> Face {
    let variants = &record.results.variants;
    let happens = |of: fn(&ReplicaPoint) -> bool| variants.iter().any(|v| v.replicas.iter().any(of));
    let mut legend = vec![Key::new(
        "replicas ready, the fewest of each moment",
        palette::BLUE,
        Mark::Line,
    )];
    if happens(|p| p.most_ready > p.least_ready) {
        legend.push(Key::new("ready for a part of it", palette::SKY, Mark::Tint));
    }
    if happens(|p| p.restarts > 0) {
        legend.push(Key::new(
            "a process starts in place of another",
            palette::VERMILLION,
            Mark::Dot,
        ));
    }
    let windows: Vec<_> = variants.iter().map(|v| v.fault_window_s).collect();
    legend.extend(panel::window_key(&windows));
    let panel = panel::HEAD_PX + panel::FOOT_PX + if shape == Shape::Wide { 90.0 } else { 80.0 };
    Face {
        note: "A replica is ready from the moment it listens until it is told to end, or ends. The same scale for all."
            .to_owned(),
        legend,
        body: variants.len() as f64 * panel,
        missing: (!happens(|_| true)).then(|| "nobody watched the processes".to_owned()),
    }
}

pub(super) fn draw<DB: DrawingBackend>(area: &Sheet<DB>, record: &RunRecord, shape: Shape) -> Result<(), ChartError> {
    let variants = &record.results.variants;
    let width = bin_width(record, shape);
    let lines: Vec<_> = variants.iter().map(|v| binned(&v.replicas, width)).collect();
    let most = lines.iter().flatten().map(|p| p.most_ready).max().unwrap_or(0);
    let (end, y) = (run_end(record), Axis::counts(most as f64, 1.3));
    let x = Axis::run_time(end);
    for ((variant, line), panel) in variants.iter().zip(&lines).zip(area.split_evenly((variants.len(), 1))) {
        let hosts = &variant.hosts;
        let mean = hosts.replica_seconds / variant.duration_s.max(1e-9);
        let title = format!(
            "replicas ready; {} restarts, {} replicas paid for on average",
            figures::grouped(hosts.restarts),
            figures::number(mean)
        );
        let words = Words {
            name: &variant.name,
            y: &title,
            x: Axis::run_time_title(end),
        };
        let mut plot = panel::plot(&panel, &words, &x, &y)?;
        panel::shade(&mut plot, variant.fault_window_s, &x, &y)?;
        series(&mut plot, line, width as f64, (&x, &y))?;
    }
    Ok(())
}

/// The points in bins of `width` seconds: the fewest, the most and the sums of each.
fn binned(points: &[ReplicaPoint], width: u64) -> Vec<ReplicaPoint> {
    let mut bins: Vec<ReplicaPoint> = Vec::new();
    for point in points {
        let second = point.second / width * width;
        match bins.last_mut() {
            Some(bin) if bin.second == second => {
                bin.least_ready = bin.least_ready.min(point.least_ready);
                bin.most_ready = bin.most_ready.max(point.most_ready);
                bin.restarts += point.restarts;
                bin.ended += point.ended;
            }
            _ => bins.push(ReplicaPoint { second, ..*point }),
        }
    }
    bins
}

/// What was there for a part of a moment behind the line, restarts before it.
fn series<DB: DrawingBackend>(
    plot: &mut Plot<DB>,
    line: &[ReplicaPoint],
    width: f64,
    (x, y): (&Axis, &Axis),
) -> Result<(), ChartError> {
    let sides = |point: &ReplicaPoint| (x.clamp(point.second as f64), x.clamp(point.second as f64 + width));
    for point in line.iter().filter(|point| point.most_ready > point.least_ready) {
        let (left, right) = sides(point);
        let (low, high) = (point.least_ready as f64, point.most_ready as f64);
        let tint = palette::SKY.mix(panel::TINT).filled();
        plot.draw_series([Rectangle::new([(left, low), (right, high)], tint)])?;
    }
    let steps = line.iter().flat_map(|point| {
        let (left, right) = sides(point);
        [(left, point.least_ready as f64), (right, point.least_ready as f64)]
    });
    plot.draw_series(LineSeries::new(steps, palette::BLUE.stroke_width(u(2.5) as u32)))?;
    let restarts = line.iter().filter(|point| point.restarts > 0);
    plot.draw_series(restarts.map(|point| {
        let (left, right) = sides(point);
        let at = (
            f64::midpoint(left, right),
            y.clamp(point.most_ready as f64 + 0.12 * y.end()),
        );
        Circle::new(at, u(3.5), palette::VERMILLION.filled())
    }))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_keeps_the_worst_moment_and_every_restart() {
        let point = |second, least_ready, restarts| ReplicaPoint {
            second,
            least_ready,
            most_ready: 3,
            restarts,
            ended: 0,
        };
        let bins = binned(&[point(0, 3, 0), point(1, 1, 1), point(2, 2, 1)], 2);
        assert_eq!(bins.len(), 2);
        assert_eq!((bins[0].least_ready, bins[0].restarts, bins[1].restarts), (1, 1, 1));
    }
}
