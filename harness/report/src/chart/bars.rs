//! Horizontal stacked bars, one a variant, with a line of text above each and the value inside each part.

use plotters::chart::ChartBuilder;
use plotters::prelude::{DrawingBackend, PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor, WHITE};

use super::axis::Axis;
use super::font::{self, Weight};
use super::palette::{self, AXIS, FAINT, INK};
use super::panel::{self, Plot};
use super::{ChartError, Sheet, u};

/// Height of a bar with its text.
pub(super) const BAR_PX: f64 = 56.0;

/// Height of the axis below.
pub(super) const AXIS_PX: f64 = 46.0;

/// One bar.
pub(super) struct Bar {
    /// In bold.
    pub(super) name: String,
    /// Beside the name.
    pub(super) note: String,
    /// From the left.
    pub(super) parts: Vec<Part>,
}

/// A part of a bar.
pub(super) struct Part {
    pub(super) size: f64,
    pub(super) color: RGBColor,
    pub(super) label: String,
}

/// Room right of the bars, for half of the last tick's label.
const RIGHT_PX: f64 = 28.0;

/// Draws the bars from top to bottom over one axis.
pub(super) fn draw<DB: DrawingBackend>(
    area: &Sheet<DB>,
    bars: &[Bar],
    axis: &Axis,
    title: &str,
) -> Result<(), ChartError> {
    let mut plot = ChartBuilder::on(area)
        .margin_left(u(16.0))
        .margin_right(u(RIGHT_PX))
        .x_label_area_size(u(AXIS_PX))
        .build_cartesian_2d(axis.clone(), Axis::rows(bars.len()))?;
    plot.configure_mesh()
        .disable_mesh()
        .axis_style(AXIS.stroke_width(u(1.0) as u32))
        .set_all_tick_mark_size(u(4.0))
        .label_style(font::style(12.0, Weight::Regular, FAINT))
        .draw()?;
    panel::foot(area, title, RIGHT_PX)?;
    for (row, bar) in bars.iter().enumerate() {
        words(area, bar, row)?;
        stack(&mut plot, &bar.parts, row as f64, axis)?;
    }
    Ok(())
}

/// The parts of the bar in `row`, each with its label where there is room for it.
fn stack<DB: DrawingBackend>(plot: &mut Plot<DB>, parts: &[Part], row: f64, axis: &Axis) -> Result<(), ChartError> {
    let (top, bottom) = (row + 22.0 / BAR_PX, row + 48.0 / BAR_PX);
    let mut from = 0.0;
    for part in parts.iter().filter(|part| part.size > 0.0) {
        let until = axis.clamp(from + part.size);
        plot.draw_series([Rectangle::new([(from, top), (until, bottom)], part.color.filled())])?;
        let inside = plot.plotting_area();
        let pixels = inside.map_coordinate(&(until, top)).0 - inside.map_coordinate(&(from, top)).0;
        let style =
            font::style(12.0, Weight::Regular, palette::on(part.color)).pos(Pos::new(HPos::Center, VPos::Center));
        if pixels > u(font::width(&part.label, &style) + 8.0) {
            let middle = (f64::midpoint(from, until), f64::midpoint(top, bottom));
            plot.draw_series([Text::new(part.label.clone(), middle, style)])?;
        }
        let edge = vec![(until, top), (until, bottom)];
        plot.draw_series([PathElement::new(edge, WHITE.stroke_width(u(1.0) as u32))])?;
        from = until;
    }
    Ok(())
}

fn words<DB: DrawingBackend>(area: &Sheet<DB>, bar: &Bar, row: usize) -> Result<(), ChartError> {
    let bold = font::style(13.0, Weight::Bold, INK);
    let faint = font::style(12.0, Weight::Regular, FAINT);
    let y = u(row as f64 * BAR_PX + 4.0);
    area.draw_text(&bar.name, &bold, (u(16.0), y))?;
    let x = 16.0 + font::width(&bar.name, &bold) + 10.0;
    area.draw_text(&bar.note, &faint, (u(x), y + u(1.0)))?;
    Ok(())
}
