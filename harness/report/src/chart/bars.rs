//! Horizontal stacked bars, one a variant, with a line of text above each and the value inside each part.

use plotters::chart::ChartBuilder;
use plotters::prelude::{DrawingBackend, PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor, TRANSPARENT, WHITE};

use super::axis::Axis;
use super::font::{self, Weight};
use super::palette::{self, AXIS, FAINT, GRID, INK};
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

/// Draws the bars from top to bottom over one axis.
pub(super) fn draw<DB: DrawingBackend>(area: &Sheet<DB>, bars: &[Bar], axis: &Axis, title: &str) -> Result<(), ChartError> {
    let rows = bars.len().max(1) as f64;
    let mut plot = ChartBuilder::on(area)
        .margin_left(u(16.0))
        .margin_right(u(28.0))
        .x_label_area_size(u(AXIS_PX))
        .build_cartesian_2d(axis.spec(), rows..0.0)?;
    plot.configure_mesh()
        .disable_y_mesh()
        .bold_line_style(GRID.stroke_width(u(1.0) as u32))
        .light_line_style(TRANSPARENT)
        .axis_style(AXIS.stroke_width(u(1.0) as u32))
        .set_all_tick_mark_size(u(4.0))
        .label_style(font::style(12.0, Weight::Regular, FAINT))
        .x_label_formatter(&|at| axis.label(*at))
        .draw()?;
    let (width, height) = area.dim_in_pixel();
    let style = font::style(12.0, Weight::Regular, FAINT).pos(Pos::new(HPos::Right, VPos::Bottom));
    area.draw_text(title, &style, (width as i32 - u(28.0), height as i32 - u(6.0)))?;
    for (row, bar) in bars.iter().enumerate() {
        words(area, bar, row)?;
        let (top, bottom) = (row as f64 + 22.0 / BAR_PX, row as f64 + 48.0 / BAR_PX);
        let mut from = 0.0;
        for part in bar.parts.iter().filter(|part| part.size > 0.0) {
            let until = axis.clamp(from + part.size);
            plot.draw_series([Rectangle::new([(from, top), (until, bottom)], part.color.filled())])?;
            let inside = plot.plotting_area();
            let (left, right) = (inside.map_coordinate(&(from, top)).0, inside.map_coordinate(&(until, top)).0);
            let style = font::style(12.0, Weight::Regular, palette::on(part.color)).pos(Pos::new(HPos::Center, VPos::Center));
            if f64::from(right - left) > (font::width(&part.label, &style) + 8.0) * f64::from(super::UNITS) {
                let middle = (f64::midpoint(from, until), f64::midpoint(top, bottom));
                plot.draw_series([Text::new(part.label.clone(), middle, style)])?;
            }
            let edge = vec![(until, top), (until, bottom)];
            plot.draw_series([PathElement::new(edge, WHITE.stroke_width(u(1.0) as u32))])?;
            from = until;
        }
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
