//! Tokens: what was billed and what became of it in sums, then per request.

use brownout_measure::record::{RunRecord, WastedBy};
use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;

use super::axis::Axis;
use super::bars::{self, Bar, Part};
use super::face::{Face, Key, Mark};
use super::{ChartError, Shape, Sheet, palette, token_histograms, u};
use crate::figures;

/// Why a token was wasted: its name, its colour, where it is counted.
type Reason = (&'static str, RGBColor, fn(&WastedBy) -> u64);

const REASONS: [Reason; 5] = [
    ("abandoned", palette::VERMILLION, |w| w.abandoned),
    ("superseded", palette::ORANGE, |w| w.superseded),
    ("discarded", palette::PURPLE, |w| w.discarded),
    ("truncated", palette::SKY, |w| w.truncated),
    ("unfetched", palette::GREY, |w| w.unfetched),
];

pub(super) fn face(record: &RunRecord, shape: Shape) -> Face {
    let variants = &record.results.variants;
    let mut legend = vec![Key::new("used", palette::GREEN, Mark::Fill)];
    let happens = |of: fn(&WastedBy) -> u64| variants.iter().any(|v| of(&v.tokens.wasted_by) > 0);
    let wasted = REASONS.iter().filter(|(_, _, of)| happens(*of));
    legend.extend(wasted.map(|(name, color, _)| Key::new(format!("wasted: {name}"), *color, Mark::Fill)));
    let bars = variants.len() as f64 * bars::BAR_PX + bars::AXIS_PX;
    Face {
        note: "Above: all completion tokens on the invoice. Below: how they spread over the requests.".to_owned(),
        legend,
        body: bars + token_histograms::height(variants.len(), shape),
        missing: variants
            .iter()
            .all(|v| v.tokens.billed == 0)
            .then(|| "no provider billed a token".to_owned()),
    }
}

pub(super) fn draw<DB: DrawingBackend>(area: &Sheet<DB>, record: &RunRecord, shape: Shape) -> Result<(), ChartError> {
    let variants = &record.results.variants;
    let bars: Vec<_> = variants
        .iter()
        .map(|variant| {
            let tokens = &variant.tokens;
            let part = |size: u64, color| Part {
                size: size as f64,
                color,
                label: figures::count(size),
            };
            let used = part(tokens.used, palette::GREEN);
            let wasted = REASONS.iter().map(|(_, color, of)| part(of(&tokens.wasted_by), *color));
            Bar {
                name: variant.name.clone(),
                note: format!(
                    "{} billed, {} wasted",
                    figures::count(tokens.billed),
                    figures::share(tokens.wasted_ratio)
                ),
                parts: std::iter::once(used).chain(wasted).collect(),
            }
        })
        .collect();
    let most = variants.iter().map(|v| v.tokens.billed).max().unwrap_or(0);
    let (sums, spread) = area.split_vertically(u(bars.len() as f64 * bars::BAR_PX + bars::AXIS_PX));
    bars::draw(
        &sums,
        &bars,
        &Axis::counts(most as f64, 1.0),
        "completion tokens in all",
    )?;
    token_histograms::draw(&spread, record, shape)
}
