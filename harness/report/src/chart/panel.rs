//! A plot with two axes: grid, ticks, a line of text above it, and the fault window behind it.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::prelude::{DrawingBackend, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, TRANSPARENT};

use super::axis::Axis;
use super::font::{self, Weight};
use super::palette::{AXIS, FAINT, GRID, INK, YELLOW};
use super::{ChartError, Sheet, u};
use crate::figures;

/// How strong a tinted area is.
pub(super) const TINT: f64 = 0.35;

/// Height of the line above a panel.
pub(super) const HEAD_PX: f64 = 28.0;

/// Room right of a panel, for half of the last tick's label.
const RIGHT_PX: f64 = 20.0;

/// Height below a panel for tick labels and the axis' title.
pub(super) const FOOT_PX: f64 = 46.0;

/// A plot to draw series on.
pub(super) type Plot<'a, DB> = ChartContext<'a, DB, Cartesian2d<Axis, Axis>>;

/// What a panel says: its name in bold, what its y axis counts, what its x axis counts.
pub(super) struct Words<'w> {
    pub(super) name: &'w str,
    pub(super) y: &'w str,
    pub(super) x: &'w str,
}

/// Axes, grid and words on `area`.
pub(super) fn plot<'a, DB: DrawingBackend + 'a>(
    area: &Sheet<DB>,
    words: &Words,
    x: &Axis,
    y: &Axis,
) -> Result<Plot<'a, DB>, ChartError> {
    head(area, words)?;
    let label = font::style(12.0, Weight::Regular, FAINT);
    let mut plot = ChartBuilder::on(area)
        .margin_top(u(HEAD_PX))
        .margin_right(u(RIGHT_PX))
        .x_label_area_size(u(FOOT_PX))
        .y_label_area_size(u(64.0))
        .build_cartesian_2d(x.clone(), y.clone())?;
    plot.configure_mesh()
        .bold_line_style(GRID.stroke_width(u(1.0) as u32))
        .light_line_style(TRANSPARENT)
        .axis_style(AXIS.stroke_width(u(1.0) as u32))
        .set_all_tick_mark_size(u(4.0))
        .label_style(label)
        .draw()?;
    foot(area, words.x, RIGHT_PX)?;
    Ok(plot)
}

fn head<DB: DrawingBackend>(area: &Sheet<DB>, words: &Words) -> Result<(), ChartError> {
    let bold = font::style(13.0, Weight::Bold, INK);
    let faint = font::style(12.0, Weight::Regular, FAINT);
    area.draw_text(words.name, &bold, (u(16.0), u(3.0)))?;
    let gap = if words.name.is_empty() {
        0.0
    } else {
        font::width(words.name, &bold) + 10.0
    };
    area.draw_text(words.y, &faint, (u(16.0 + gap), u(4.0)))?;
    Ok(())
}

/// The title of the x axis, in the lower right corner, `right` CSS pixels from the edge.
pub(super) fn foot<DB: DrawingBackend>(area: &Sheet<DB>, text: &str, right: f64) -> Result<(), ChartError> {
    let (width, height) = area.dim_in_pixel();
    let style = font::style(12.0, Weight::Regular, FAINT).pos(Pos::new(HPos::Right, VPos::Bottom));
    area.draw_text(
        text,
        &style,
        (width.cast_signed() - u(right), height.cast_signed() - u(6.0)),
    )?;
    Ok(())
}

/// Tints the fault window and, where there is room, writes its name into it.
pub(super) fn shade<DB: DrawingBackend>(
    plot: &mut Plot<DB>,
    window: Option<(f64, f64)>,
    x: &Axis,
    y: &Axis,
) -> Result<(), ChartError> {
    let Some((from, until)) = window else { return Ok(()) };
    let (left, right) = (x.clamp(from), x.clamp(until));
    if right <= left {
        return Ok(());
    }
    let corners = [(left, y.start()), (right, y.end())];
    plot.draw_series([Rectangle::new(corners, YELLOW.mix(TINT).filled())])?;
    let style = font::style(11.0, Weight::Regular, FAINT).pos(Pos::new(HPos::Center, VPos::Top));
    let text = format!("fault {}", figures::span((from, until)));
    let area = plot.plotting_area();
    let pixels = |at: f64| area.map_coordinate(&(at, y.end())).0;
    if f64::from(pixels(right) - pixels(left)) > font::width(&text, &style) * f64::from(super::UNITS) {
        let height = y.end() - (y.end() - y.start()) * 0.03;
        plot.draw_series([Text::new(text, (f64::midpoint(left, right), height), style)])?;
    }
    Ok(())
}

/// The legend's words for the fault windows of a run: with its times if all variants share them.
pub(super) fn window_key(windows: &[Option<(f64, f64)>]) -> Option<super::face::Key> {
    let mut known = windows.iter().flatten();
    let first = known.next()?;
    let text = if known.all(|other| other == first) {
        format!("fault window, {}", figures::span(*first))
    } else {
        "fault window".to_owned()
    };
    Some(super::face::Key::new(text, YELLOW, super::face::Mark::Tint))
}
