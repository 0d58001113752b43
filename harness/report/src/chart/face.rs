//! What stands above a plot: the title, a note on how to read it, the legend.
//!
//! Lays out and draws text; it knows no data.

use plotters::prelude::{Circle, DrawingBackend, PathElement, Rectangle};
use plotters::style::{Color, RGBColor, TextStyle};

use super::font::{self, Weight};
use super::palette::{FAINT, INK};
use super::{ChartError, Sheet, u};

/// What a chart says about itself.
pub(super) struct Face {
    /// How to read it.
    pub(super) note: String,
    /// What the colours mean.
    pub(super) legend: Vec<Key>,
    /// Height of the plot in CSS pixels.
    pub(super) body: f64,
    /// Why there is nothing to see, if there is nothing.
    pub(super) missing: Option<String>,
}

/// An entry of a legend.
pub(super) struct Key {
    text: String,
    color: RGBColor,
    mark: Mark,
}

/// How an entry is drawn.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    Line,
    Fill,
    Tint,
    Dot,
}

impl Key {
    pub(super) fn new(text: impl Into<String>, color: RGBColor, mark: Mark) -> Self {
        Self {
            text: text.into(),
            color,
            mark,
        }
    }
}

/// Height of the plot that says that there is nothing to plot.
pub(super) const MISSING_PX: f64 = 72.0;

const EDGE: f64 = 16.0;
const TITLE: f64 = 17.0;
const TITLE_LINE: f64 = 22.0;
const NOTE: f64 = 13.0;
const NOTE_LINE: f64 = 18.0;
const KEY_LINE: f64 = 22.0;
const SWATCH: f64 = 18.0;

/// A heading, laid out.
pub(super) struct Heading {
    title: Vec<String>,
    note: Vec<String>,
    legend: Vec<(f64, usize, Key)>,
    rows: usize,
}

impl Heading {
    pub(super) fn new(title: &str, note: &str, legend: Vec<Key>, width: f64) -> Self {
        let room = width - 2.0 * EDGE;
        let title = font::balanced(title, &title_style(), room);
        let note = font::wrap(note, &note_style(), room);
        let (mut x, mut row) = (0.0, 0);
        let mut placed = Vec::with_capacity(legend.len());
        for key in legend {
            let wide = SWATCH + 6.0 + font::width(&key.text, &key_style());
            if x > 0.0 && x + wide > room {
                (x, row) = (0.0, row + 1);
            }
            placed.push((x, row, key));
            x += wide + 18.0;
        }
        let rows = if placed.is_empty() { 0 } else { row + 1 };
        Self {
            title,
            note,
            legend: placed,
            rows,
        }
    }

    /// In CSS pixels.
    pub(super) fn height(&self) -> f64 {
        let notes = self.note.len() as f64 * NOTE_LINE;
        let legend = if self.rows > 0 {
            6.0 + self.rows as f64 * KEY_LINE
        } else {
            0.0
        };
        EDGE + self.title.len() as f64 * TITLE_LINE + notes + legend + 8.0
    }

    pub(super) fn draw<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Result<(), ChartError> {
        let mut y = EDGE;
        for line in &self.title {
            sheet.draw_text(line, &title_style(), (u(EDGE), u(y)))?;
            y += TITLE_LINE;
        }
        for line in &self.note {
            sheet.draw_text(line, &note_style(), (u(EDGE), u(y)))?;
            y += NOTE_LINE;
        }
        y += 6.0;
        for (x, row, key) in &self.legend {
            key.draw(sheet, EDGE + x, y + *row as f64 * KEY_LINE)?;
        }
        Ok(())
    }
}

impl Key {
    fn draw<DB: DrawingBackend>(&self, sheet: &Sheet<DB>, x: f64, y: f64) -> Result<(), ChartError> {
        let middle = y + 7.0;
        match self.mark {
            Mark::Line => {
                let line = vec![(u(x), u(middle)), (u(x + SWATCH), u(middle))];
                sheet.draw(&PathElement::new(line, self.color.stroke_width(u(3.0) as u32)))?;
            }
            Mark::Fill | Mark::Tint => {
                let corners = [(u(x + 2.0), u(middle - 6.0)), (u(x + SWATCH - 2.0), u(middle + 6.0))];
                let strength = if matches!(self.mark, Mark::Fill) {
                    1.0
                } else {
                    super::panel::TINT
                };
                sheet.draw(&Rectangle::new(corners, self.color.mix(strength).filled()))?;
            }
            Mark::Dot => {
                let centre = (u(x + SWATCH / 2.0), u(middle));
                sheet.draw(&Circle::new(centre, u(3.5), self.color.filled()))?;
            }
        }
        sheet.draw_text(&self.text, &key_style(), (u(x + SWATCH + 6.0), u(y)))?;
        Ok(())
    }
}

/// Says why there is no plot.
pub(super) fn draw_missing<DB: DrawingBackend>(body: &Sheet<DB>, why: &str) -> Result<(), ChartError> {
    let (width, _) = body.dim_in_pixel();
    let room = f64::from(width) / f64::from(super::UNITS) - 2.0 * EDGE;
    for (row, line) in font::wrap(&format!("no data: {why}"), &note_style(), room)
        .iter()
        .enumerate()
    {
        body.draw_text(line, &note_style(), (u(EDGE), u(6.0 + row as f64 * NOTE_LINE)))?;
    }
    Ok(())
}

fn title_style() -> TextStyle<'static> {
    font::style(TITLE, Weight::Bold, INK)
}

fn note_style() -> TextStyle<'static> {
    font::style(NOTE, Weight::Regular, FAINT)
}

fn key_style() -> TextStyle<'static> {
    font::style(NOTE, Weight::Regular, INK)
}
