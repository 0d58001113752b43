//! The record's HDR histograms, read back for counting by bin.
//!
//! `brownout-measure` owns the format; what it refuses, and what is empty, is `None` here: a chart then says that it has
//! no data.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use brownout_measure::histogram::Histogram as Checked;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

/// The histogram behind an `hdr` field, if it holds any value.
pub(crate) fn decode(hdr: &str) -> Option<Histogram<u64>> {
    Checked::decode(hdr).ok().filter(|histogram| !histogram.is_empty())?;
    let bytes = STANDARD.decode(hdr).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_no_data() {
        let one: Checked = [1_000].into_iter().collect();
        assert_eq!(decode(&one.encode()).map(|h| h.len()), Some(1));
        for hdr in ["", "bm9uc2Vuc2U=", "not base64!"] {
            assert!(decode(hdr).is_none(), "{hdr}");
        }
    }
}
