//! Where the slowest hundredth of the requests spent its time: one bar a variant.

use std::collections::BTreeMap;

use brownout_measure::record::RunRecord;
use plotters::prelude::DrawingBackend;

use super::axis::Axis;
use super::bars::{self, Bar, Part};
use super::face::{Face, Key, Mark};
use super::{ChartError, Shape, Sheet, palette};
use crate::{figures, names};

pub(super) fn face(record: &RunRecord, _: Shape) -> Face {
    let phases = phases(record);
    let key = |(index, phase): (usize, &String)| Key::new(names::phase(phase), palette::part(index), Mark::Fill);
    Face {
        note: "Share of the time between due and the answer, over the slowest 1 % of the answered and failed requests."
            .to_owned(),
        legend: phases.iter().enumerate().map(key).collect(),
        body: record.results.variants.len() as f64 * bars::BAR_PX + bars::AXIS_PX,
        missing: phases.is_empty().then(|| {
            "no spans came from inside the service, so the time of the slowest requests cannot be split".to_owned()
        }),
    }
}

pub(super) fn draw<DB: DrawingBackend>(area: &Sheet<DB>, record: &RunRecord) -> Result<(), ChartError> {
    let phases = phases(record);
    let bars: Vec<_> = record
        .results
        .variants
        .iter()
        .map(|variant| {
            let share = |phase: &String| variant.attribution.get(phase).copied().unwrap_or(0.0);
            let part = |(index, phase)| Part {
                size: share(phase),
                color: palette::part(index),
                label: figures::share(share(phase)),
            };
            Bar {
                name: variant.name.clone(),
                note: match (variant.attribution.is_empty(), variant.latency.count) {
                    (true, _) => "no spans".to_owned(),
                    (false, 0) => String::new(),
                    (false, _) => format!("p99 {}", figures::milliseconds(variant.latency.p99_ms)),
                },
                parts: phases.iter().enumerate().map(part).collect(),
            }
        })
        .collect();
    bars::draw(area, &bars, &Axis::shares(), "share of the slowest requests' time")
}

/// The phases of all variants, the largest first.
fn phases(record: &RunRecord) -> Vec<String> {
    let mut sums: BTreeMap<&String, f64> = BTreeMap::new();
    for (phase, share) in record.results.variants.iter().flat_map(|v| &v.attribution) {
        *sums.entry(phase).or_default() += share;
    }
    let mut phases: Vec<_> = sums.into_iter().filter(|(_, share)| *share > 0.0).collect();
    phases.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    phases.into_iter().map(|(phase, _)| phase.clone()).collect()
}
