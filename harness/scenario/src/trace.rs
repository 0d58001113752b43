//! Trace ids of planned requests: they say, wherever they turn up, which request something was done for.
//!
//! The high half of such an id is always the same, the low half is the request's number. What a service does with them
//! in between is its own affair: one that forwards `traceparent` is seen through, one that does not is still measured.

use std::fmt::Write;

/// High half of every trace id: says whose traces these are.
const HIGH: u64 = 0x6272_6f77_6e6f_7574;

/// The number of request `index`, which is never 0: an id of zeros is none. Source: W3C Trace Context, section 3.2.2.
pub const fn number(index: u64) -> u64 {
    index.wrapping_add(1)
}

/// The `traceparent` that request `index` is sent with.
pub fn traceparent(index: u64) -> String {
    let number = number(index);
    let mut text = String::with_capacity(55);
    let _ = write!(text, "00-{HIGH:016x}{number:016x}-{number:016x}-01");
    text
}

/// The request that a trace id, in hex, belongs to; `None` for traces that others opened.
pub fn request_of(trace_id: &str) -> Option<u64> {
    let is_hex = trace_id.len() == 32 && trace_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (high, low) = is_hex.then(|| trace_id.split_at(16))?;
    let [high, number] = [high, low].map(|half| u64::from_str_radix(half, 16).unwrap_or_default());
    (high == HIGH).then(|| number.checked_sub(1)).flatten()
}

/// The same, of a `traceparent` that was sent along.
pub fn caller_of(traceparent: &str) -> Option<u64> {
    let (version, rest) = traceparent.trim().split_once('-')?;
    let (trace_id, _) = rest.split_once('-')?;
    (version.len() == 2).then(|| request_of(trace_id)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_again_by_its_trace_whoever_continues_it() {
        for index in [0, 16, 4_999_999, 1 << 40] {
            let sent = traceparent(index);
            assert_eq!(sent.len(), 55);
            assert_eq!(caller_of(&sent), Some(index));
            let forwarded = format!("{}-00f067aa0ba902b7-00", &sent[..35]);
            assert_eq!(caller_of(&forwarded), Some(index), "{forwarded}");
            assert_eq!(request_of(&sent[3..35].to_uppercase()), Some(index));
        }
    }

    #[test]
    fn other_traces_belong_to_nobody() {
        let others = [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-62726f776e6f75740000000000000000-00f067aa0ba902b7-01",
            "00-62726f776e6f7574000000000000001-00f067aa0ba902b7-01",
            "00-62726f776e6f7574+000000000000011-00f067aa0ba902b7-01",
            "62726f776e6f75740000000000000011",
        ];
        for other in others {
            assert_eq!(caller_of(other), None, "{other:?}");
        }
        assert_eq!(request_of("62726f776e6f75740000000000000000"), None);
    }
}
