//! A variant's latency as a `.hgrm` file, which HdrHistogram's plotters read.
//!
//! The format is `brownout-measure`'s.

use brownout_measure::histogram::Histogram;
use brownout_measure::record::VariantRecord;
use brownout_measure::spectrum;

/// The percentile distribution of latency in milliseconds; of a histogram that cannot be read, an empty one.
pub fn latency_hgrm(variant: &VariantRecord) -> String {
    spectrum::hgrm(&Histogram::decode(&variant.latency.hdr).unwrap_or_default())
}
