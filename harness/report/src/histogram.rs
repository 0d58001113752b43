//! The record's HDR histograms, read back: V2, uncompressed, base64.
//!
//! A histogram that is empty or cannot be read is `None`; a chart then says that it has no data.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

/// The histogram behind an `hdr` field, if it holds any value.
pub(crate) fn decode(hdr: &str) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(hdr).ok()?;
    let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).ok()?;
    (!histogram.is_empty()).then_some(histogram)
}

#[cfg(test)]
pub(crate) fn encode(histogram: &Histogram<u64>) -> String {
    use hdrhistogram::serialization::{Serializer, V2Serializer};
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(histogram, &mut bytes).expect("a Vec takes all");
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_no_data() {
        let mut histogram = Histogram::<u64>::new(3).expect("3 digits");
        assert!(decode(&encode(&histogram)).is_none(), "empty");
        histogram.record(1_000).expect("resizes");
        assert_eq!(decode(&encode(&histogram)).map(|h| h.len()), Some(1));
        assert!(decode("").is_none());
        assert!(decode("bm9uc2Vuc2U=").is_none());
        assert!(decode("not base64!").is_none());
    }
}
