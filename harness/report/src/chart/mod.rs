//! The charts of a run, each drawn by one function for SVG and for PNG alike.
//!
//! - `axis`: scales and their ticks; `font`, `palette`: letters and colours;
//! - `face`: what stands above a plot: title, note, legend; `panel`, `bars`: the two kinds of plot;
//! - one file a chart;
//! - `svg`, `bitmap`: the two ways out.
//!
//! A chart of a record that has nothing to show says so. Numbers are taken from the record as they are: no chart
//! smooths, and a long run is binned with a note.

mod ablation;
mod attribution;
mod axis;
mod bars;
mod bins;
mod bitmap;
mod face;
mod font;
mod latency_over_time;
mod outcomes_over_time;
mod palette;
mod panel;
mod percentiles;
mod replicas;
mod svg;
mod titles;
mod token_histograms;
mod tokens;

use brownout_measure::ablation::Figure;
use brownout_measure::record::RunRecord;
use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, DrawingAreaErrorKind, DrawingBackend, IntoDrawingArea, WHITE};

use face::{Face, Heading};

/// Units to the CSS pixel. Backends count in whole units, so curves keep a quarter of a pixel.
const UNITS: i32 = 4;

/// A surface to draw on.
type Sheet<DB> = DrawingArea<DB, Shift>;

/// CSS pixels as units.
const fn u(px: f64) -> i32 {
    (px * UNITS as f64) as i32
}

/// One of the charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chart {
    /// Latency against percentile, one line a variant.
    Percentiles,
    /// Second by second: the median and the slowest.
    LatencyOverTime,
    /// Second by second: replicas that were ready, and restarts.
    Replicas,
    /// Second by second: what became of the requests.
    OutcomesOverTime,
    /// Billed, delivered and wasted tokens.
    Tokens,
    /// Where the slowest hundredth spent its time.
    Attribution,
    /// What each cure is worth, in one figure.
    Ablation(Figure),
}

/// How wide a chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// For a page or a document.
    Wide,
    /// For a phone or an overview.
    Narrow,
}

impl Shape {
    const fn width(self) -> f64 {
        match self {
            Self::Wide => 920.0,
            Self::Narrow => 400.0,
        }
    }
}

/// A chart that could not be drawn. In memory this means a defect: the fonts are part of the program.
#[derive(Debug, thiserror::Error)]
#[error("the chart could not be drawn: {0}; please report this with the run's run.json")]
pub struct ChartError(String);

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for ChartError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self(error.to_string())
    }
}

impl Chart {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 9] = [
        Self::Percentiles,
        Self::LatencyOverTime,
        Self::Replicas,
        Self::OutcomesOverTime,
        Self::Tokens,
        Self::Attribution,
        Self::Ablation(Figure::Goodput),
        Self::Ablation(Figure::P99),
        Self::Ablation(Figure::Cost),
    ];

    /// Those that are drawn of this run: all, but for what only some runs have and this one has not.
    pub fn of(record: &RunRecord) -> Vec<Self> {
        let is_there = |chart: &Self| match chart {
            Self::Replicas => replicas::is_eventful(record),
            Self::Ablation(_) => !record.results.ablation.is_empty(),
            _ => true,
        };
        Self::ALL.into_iter().filter(is_there).collect()
    }

    /// The stem of its files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Percentiles => "percentiles",
            Self::LatencyOverTime => "latency-over-time",
            Self::Replicas => "replicas",
            Self::OutcomesOverTime => "outcomes-over-time",
            Self::Tokens => "tokens",
            Self::Attribution => "attribution",
            Self::Ablation(Figure::Goodput) => "ablation-goodput",
            Self::Ablation(Figure::P99) => "ablation-p99",
            Self::Ablation(Figure::Cost) => "ablation-cost",
        }
    }

    /// What is seen on it, in a sentence.
    pub fn title(self, record: &RunRecord) -> String {
        titles::of(self, record)
    }

    /// The chart that tells most about this run: failures first, then waste, then latency.
    pub fn headline(record: &RunRecord) -> Self {
        let variants = &record.results.variants;
        let worst =
            |of: fn(&brownout_measure::record::VariantRecord) -> f64| variants.iter().map(of).fold(0.0, f64::max);
        if worst(|v| crate::figures::ratio(v.requests.failed, v.requests.due).unwrap_or(0.0)) > 0.01 {
            Self::OutcomesOverTime
        } else if worst(|v| v.tokens.wasted_ratio) > 0.01 {
            Self::Tokens
        } else {
            Self::Percentiles
        }
    }

    /// As an SVG document, which may also stand inside a page.
    pub fn svg(self, record: &RunRecord, shape: Shape) -> Result<String, ChartError> {
        let sketch = Sketch::new(self, record, shape)?;
        svg::document(&sketch, &self.title(record))
    }

    /// As a PNG file, two pixels to the CSS pixel.
    pub fn png(self, record: &RunRecord, shape: Shape) -> Result<Vec<u8>, ChartError> {
        bitmap::png(&Sketch::new(self, record, shape)?)
    }
}

/// A chart laid out, not yet drawn.
struct Sketch<'r> {
    chart: Chart,
    record: &'r RunRecord,
    shape: Shape,
    heading: Heading,
    body: f64,
    missing: Option<String>,
}

impl<'r> Sketch<'r> {
    fn new(chart: Chart, record: &'r RunRecord, shape: Shape) -> Result<Self, ChartError> {
        font::register()?;
        let face = match chart {
            Chart::Percentiles => percentiles::face(record, shape),
            Chart::LatencyOverTime => latency_over_time::face(record, shape),
            Chart::Replicas => replicas::face(record, shape),
            Chart::OutcomesOverTime => outcomes_over_time::face(record, shape),
            Chart::Tokens => tokens::face(record, shape),
            Chart::Attribution => attribution::face(record, shape),
            Chart::Ablation(figure) => ablation::face(record, figure),
        };
        let Face {
            note,
            legend,
            body,
            missing,
        } = face;
        let heading = match missing {
            None => Heading::new(&chart.title(record), &note, legend, shape.width()),
            Some(_) => Heading::new(&chart.title(record), "", Vec::new(), shape.width()),
        };
        let body = if missing.is_some() { face::MISSING_PX } else { body };
        Ok(Self {
            chart,
            record,
            shape,
            heading,
            body,
            missing,
        })
    }

    /// Width and height in CSS pixels.
    fn size(&self) -> (u32, u32) {
        (
            self.shape.width() as u32,
            (self.heading.height() + self.body).ceil() as u32,
        )
    }

    /// Width and height in units.
    fn units(&self) -> (u32, u32) {
        let (width, height) = self.size();
        (width * UNITS as u32, height * UNITS as u32)
    }

    /// The one drawing function, for every backend.
    fn draw<DB: DrawingBackend>(&self, backend: DB) -> Result<(), ChartError> {
        let sheet = backend.into_drawing_area();
        sheet.fill(&WHITE)?;
        self.heading.draw(&sheet)?;
        let (_, body) = sheet.split_vertically(u(self.heading.height()));
        match (&self.missing, self.chart) {
            (Some(why), _) => face::draw_missing(&body, why)?,
            (None, Chart::Percentiles) => percentiles::draw(&body, self.record)?,
            (None, Chart::LatencyOverTime) => latency_over_time::draw(&body, self.record, self.shape)?,
            (None, Chart::Replicas) => replicas::draw(&body, self.record, self.shape)?,
            (None, Chart::OutcomesOverTime) => outcomes_over_time::draw(&body, self.record, self.shape)?,
            (None, Chart::Tokens) => tokens::draw(&body, self.record, self.shape)?,
            (None, Chart::Attribution) => attribution::draw(&body, self.record)?,
            (None, Chart::Ablation(figure)) => ablation::draw(&body, self.record, figure)?,
        }
        sheet.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
