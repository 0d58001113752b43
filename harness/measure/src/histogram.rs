//! The one histogram: whole numbers from 0 to 3.6 * 10^9 at three significant digits, mergeable, in constant memory.
//!
//! Holds microseconds (up to an hour) or token counts. Draws nothing: points for charts and the text format are in
//! [`crate::spectrum`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

use crate::record::{Distribution, TokenHistogram};

/// The largest value told apart from larger ones: an hour in microseconds. Larger ones are counted here.
pub const HIGHEST: u64 = 3_600_000_000;
/// Significant decimal digits.
const DIGITS: u8 = 3;
/// Bytes of a V2 header; its first word is the format, its second the length of what follows.
const HEADER: usize = 40;

/// Counts of values. All histograms have the same bounds, so any two can be merged.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    counts: Hdr<u64>,
}

/// Text that is no histogram of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`hdr` does not hold a histogram ({why}): the record was edited or cut; play the run again")]
pub struct HistogramError {
    why: String,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        let counts = Hdr::new_with_bounds(1, HIGHEST, DIGITS).expect("constant bounds that hdrhistogram accepts");
        Self { counts }
    }

    /// Counts `value`; above [`HIGHEST`] it counts as that.
    pub fn record(&mut self, value: u64) {
        self.counts.saturating_record(value);
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.counts
            .add(&other.counts)
            .expect("all histograms have the same bounds");
    }

    /// Values counted.
    pub fn count(&self) -> u64 {
        self.counts.len()
    }

    /// True before the first value.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Smallest value; 0 when empty.
    pub fn min(&self) -> u64 {
        self.counts.min()
    }

    /// Largest value, to three digits; 0 when empty.
    pub fn max(&self) -> u64 {
        if self.is_empty() { 0 } else { self.counts.max() }
    }

    /// Mean, to three digits; 0 when empty.
    pub fn mean(&self) -> f64 {
        self.counts.mean()
    }

    /// The value that the share `q` of all values does not exceed; 0 when empty.
    pub fn quantile(&self, q: f64) -> u64 {
        if self.is_empty() {
            0
        } else {
            self.counts.value_at_quantile(q)
        }
    }

    /// What is underneath, for iteration.
    pub(crate) fn hdr(&self) -> &Hdr<u64> {
        &self.counts
    }

    /// V2, uncompressed, base64; empty text for an empty histogram.
    pub fn encode(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.counts, &mut bytes)
            .expect("a Vec takes every byte and counts fit i64");
        STANDARD.encode(bytes)
    }

    /// Reads what [`Histogram::encode`] wrote. The text may come from a file anybody edited.
    pub fn decode(text: &str) -> Result<Self, HistogramError> {
        let error = |why: &str| HistogramError { why: why.to_owned() };
        if text.is_empty() {
            return Ok(Self::new());
        }
        let bytes = STANDARD.decode(text).map_err(|e| error(&e.to_string()))?;
        if !has_our_header(&bytes) {
            return Err(error("other bounds, another format or another length"));
        }
        let counts = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| error(&e.to_string()))?;
        Ok(Self { counts })
    }

    /// As a distribution of microseconds.
    pub fn distribution(&self) -> Distribution {
        if self.is_empty() {
            return Distribution::default();
        }
        let ms = |us: u64| us as f64 / 1e3;
        Distribution {
            count: self.count(),
            min_ms: ms(self.min()),
            p50_ms: ms(self.quantile(0.5)),
            p95_ms: ms(self.quantile(0.95)),
            p99_ms: ms(self.quantile(0.99)),
            p999_ms: ms(self.quantile(0.999)),
            max_ms: ms(self.max()),
            mean_ms: self.mean() / 1e3,
            hdr: self.encode(),
        }
    }

    /// As a histogram of tokens.
    pub fn tokens(&self) -> TokenHistogram {
        TokenHistogram {
            count: self.count(),
            p50: self.quantile(0.5),
            p95: self.quantile(0.95),
            p99: self.quantile(0.99),
            max: self.max(),
            hdr: self.encode(),
        }
    }
}

impl FromIterator<u64> for Histogram {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        let mut histogram = Self::new();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }
}

/// Whether `bytes` start as every histogram of ours does and are as long as they say: checked before the decoder
/// allocates what they ask for.
fn has_our_header(bytes: &[u8]) -> bool {
    let Some((header, counts)) = bytes.split_at_checked(HEADER) else {
        return false;
    };
    let bounds = [1u64.to_be_bytes(), HIGHEST.to_be_bytes()].concat();
    let expected = [&[0; 4], &u32::from(DIGITS).to_be_bytes(), bounds.as_slice()].concat();
    header[4..8] == (counts.len() as u32).to_be_bytes() && header[8..32] == expected
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_digits_are_kept() {
        let histogram: Histogram = [2_345_678].into_iter().collect();
        let error = histogram.quantile(0.5).abs_diff(2_345_678);
        assert!(error * 1000 <= 2_345_678, "{error}");
    }

    #[test]
    fn more_than_an_hour_counts_as_an_hour() {
        let histogram: Histogram = [u64::MAX, 0].into_iter().collect();
        assert_eq!(histogram.count(), 2);
        assert_eq!(histogram.min(), 0);
        assert!(histogram.max() >= HIGHEST && histogram.max() < HIGHEST + HIGHEST / 500);
    }

    #[test]
    fn an_empty_histogram_is_all_zeros_and_no_text() {
        assert_eq!(Histogram::new().distribution(), Distribution::default());
        assert_eq!(Histogram::new().tokens(), TokenHistogram::default());
        assert_eq!(Histogram::decode(""), Ok(Histogram::new()));
    }

    #[test]
    fn foreign_bytes_are_refused_before_they_allocate() {
        let good = [7, 8].into_iter().collect::<Histogram>().encode();
        let mut bytes = STANDARD.decode(&good).expect("ours");
        assert!(Histogram::decode(&STANDARD.encode(&bytes)).is_ok());
        bytes[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(
            Histogram::decode(&STANDARD.encode(&bytes)).is_err(),
            "a length of 4 GiB"
        );
        for text in ["%", "AAAA", &good[..good.len() - 8]] {
            assert!(Histogram::decode(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn merging_equals_recording_all(a in prop::collection::vec(0u64..5_000_000_000, 0..200), b in prop::collection::vec(0u64..5_000_000_000, 0..200)) {
            let mut merged: Histogram = a.iter().copied().collect();
            merged.merge(&b.iter().copied().collect());
            let all: Histogram = a.into_iter().chain(b).collect();
            prop_assert_eq!(merged.encode(), all.encode());
            prop_assert_eq!(merged, all);
        }

        #[test]
        fn what_is_encoded_is_read_back(values in prop::collection::vec(0u64..4_000_000_000, 0..200)) {
            let histogram: Histogram = values.into_iter().collect();
            let back = Histogram::decode(&histogram.encode()).expect("ours");
            prop_assert_eq!(back.distribution(), histogram.distribution());
            prop_assert_eq!(back.tokens(), histogram.tokens());
        }
    }
}
