//! How a value is spread: median, 99th percentile, largest. Exact, from all values.

use std::fmt;

/// Durations in microseconds, told in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Half of the values are at most this.
    pub p50: u64,
    /// 99 in 100 of the values are at most this.
    pub p99: u64,
    /// 999 in 1,000 of the values are at most this.
    pub p999: u64,
    /// All values are at most this.
    pub max: u64,
}

impl Spread {
    /// Of `values`; of none, everything is 0.
    pub fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let at = |per_mille: usize| {
            let rank = (values.len() * per_mille).div_ceil(1_000).max(1);
            values.get(rank - 1).copied().unwrap_or_default()
        };
        Self {
            p50: at(500),
            p99: at(990),
            p999: at(999),
            max: at(1_000),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999, max] = [self.p50, self.p99, self.p999, self.max].map(|us| us as f64 / 1_000.0);
        write!(
            f,
            "p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, max {max:.2} ms"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_value_at_its_rank() {
        let spread = Spread::of((1..=1_000).rev().collect());
        let expected = Spread {
            p50: 500,
            p99: 990,
            p999: 999,
            max: 1_000,
        };
        assert_eq!(spread, expected);
        let three = Spread::of(vec![7, 1, 3]);
        assert_eq!((three.p50, three.p99, three.max), (3, 7, 7));
        assert_eq!(Spread::of(Vec::new()).max, 0);
    }
}
