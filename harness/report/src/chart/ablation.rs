//! What each cure is worth in one figure: two bars a cure from a common zero, the best cure first.

use brownout_measure::ablation::{Figure, Worth, ranking};
use brownout_measure::record::RunRecord;
use plotters::chart::ChartBuilder;
use plotters::prelude::{DrawingBackend, PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor};

use super::axis::Axis;
use super::bars::AXIS_PX;
use super::face::{Face, Key, Mark};
use super::font::{self, Weight};
use super::palette::{AXIS, FAINT, GRID, INK};
use super::panel::{self, Plot};
use super::{ChartError, Sheet, palette, u};
use crate::ablation::{both, changing, signed};

/// Height of a cure with its name and both bars.
const ROW_PX: f64 = 52.0;
/// Height of one bar.
const BAR_PX: f64 = 12.0;
/// Below a name.
const NAME_PX: f64 = 20.0;
const RIGHT_PX: f64 = 28.0;

pub(super) fn face(record: &RunRecord, figure: Figure) -> Face {
    let (rows, idle) = changing(record, figure);
    let ends = record
        .results
        .ablation
        .first()
        .map(|row| (row.base.as_str(), row.full.as_str()));
    let (base, full) = ends.unwrap_or_default();
    let note = match figure {
        Figure::Goodput => {
            "Points of goodput (valid answers of all that were due). Right of zero: the cure is worth it."
        }
        Figure::P99 => {
            "By how much the p99 of the answered is shorter. Left of zero it is longer: those who wait had failed before."
        }
        Figure::Cost => "Dollars saved for a thousand valid answers. Left of zero: what the cure costs.",
    };
    Face {
        note: match idle.as_slice() {
            [] => note.to_owned(),
            idle => format!("{note} No difference to it: {}.", idle.join(", ")),
        },
        legend: vec![
            Key::new(format!("alone, added to {base}"), palette::part(0), Mark::Fill),
            Key::new(format!("in the whole, taken from {full}"), palette::part(1), Mark::Fill),
        ],
        body: rows.len().max(1) as f64 * ROW_PX + AXIS_PX,
        missing: match (rows.is_empty(), idle.is_empty()) {
            (false, _) => None,
            (true, true) => Some("no cure was taken away or added: play it with --ablate".to_owned()),
            (true, false) => Some("no cure makes a difference to this figure".to_owned()),
        },
    }
}

pub(super) fn title(record: &RunRecord, figure: Figure) -> String {
    let what = match figure {
        Figure::Goodput => "What each cure is worth in goodput",
        Figure::P99 => "What each cure is worth in latency",
        Figure::Cost => "What each cure saves or costs",
    };
    let rows = ranking(record, figure);
    let (most, least) = (rows.first(), rows.last());
    match (figure, most, least) {
        (Figure::Cost, _, Some((row, worth))) if worth.sum() < 0.0 => {
            format!("{what}: {} costs most ({})", row.cure, both(figure, *worth))
        }
        (_, Some((row, worth)), _) if worth.sum() > 0.0 => {
            format!("{what}: most is {} ({})", row.cure, both(figure, *worth))
        }
        _ => what.to_owned(),
    }
}

pub(super) fn draw<DB: DrawingBackend>(area: &Sheet<DB>, record: &RunRecord, figure: Figure) -> Result<(), ChartError> {
    let (rows, _) = changing(record, figure);
    let values = rows
        .iter()
        .flat_map(|(_, worth)| [worth.alone, worth.without])
        .flatten();
    let axis = Axis::signed(values, |at| signed(figure, at));
    let mut plot = ChartBuilder::on(area)
        .margin_left(u(16.0))
        .margin_right(u(RIGHT_PX))
        .x_label_area_size(u(AXIS_PX))
        .build_cartesian_2d(axis.clone(), Axis::rows(rows.len()))?;
    plot.configure_mesh()
        .bold_line_style(GRID.stroke_width(u(1.0) as u32))
        .disable_y_mesh()
        .axis_style(AXIS.stroke_width(u(1.0) as u32))
        .set_all_tick_mark_size(u(4.0))
        .label_style(font::style(12.0, Weight::Regular, FAINT))
        .draw()?;
    panel::foot(area, "for the better", RIGHT_PX)?;
    let zero = vec![(0.0, 0.0), (0.0, rows.len() as f64)];
    plot.draw_series([PathElement::new(zero, AXIS.stroke_width(u(1.5) as u32))])?;
    for (n, (row, worth)) in rows.iter().enumerate() {
        let bold = font::style(13.0, Weight::Bold, INK);
        area.draw_text(&row.cure, &bold, (u(16.0), u(n as f64 * ROW_PX + 3.0)))?;
        bars(&mut plot, *worth, n as f64, &axis, figure)?;
    }
    Ok(())
}

fn bars<DB: DrawingBackend>(
    plot: &mut Plot<DB>,
    worth: Worth,
    row: f64,
    axis: &Axis,
    figure: Figure,
) -> Result<(), ChartError> {
    for (n, gain) in [worth.alone, worth.without].into_iter().enumerate() {
        let top = row + (NAME_PX + n as f64 * (BAR_PX + 1.0)) / ROW_PX;
        let corners = (top, top + BAR_PX / ROW_PX);
        let text = match gain {
            Some(gain) => {
                bar(plot, gain, corners, palette::part(n))?;
                signed(figure, gain)
            }
            None => "not played: its settings contradict the others".to_owned(),
        };
        let (from, gap) = (gain.unwrap_or(0.0), (axis.end() - axis.start()) * 0.007);
        let (at, side) = if from < 0.0 {
            (from - gap, HPos::Right)
        } else {
            (from + gap, HPos::Left)
        };
        let style = font::style(11.0, Weight::Regular, FAINT).pos(Pos::new(side, VPos::Center));
        plot.draw_series([Text::new(text, (at, f64::midpoint(corners.0, corners.1)), style)])?;
    }
    Ok(())
}

fn bar<DB: DrawingBackend>(
    plot: &mut Plot<DB>,
    gain: f64,
    (top, bottom): (f64, f64),
    color: RGBColor,
) -> Result<(), ChartError> {
    let corners = [(gain.min(0.0), top), (gain.max(0.0), bottom)];
    plot.draw_series([Rectangle::new(corners, color.filled())])?;
    Ok(())
}
