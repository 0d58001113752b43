//! Exact quantiles of small sets, by nearest rank.
//!
//! For buckets and seconds, where a histogram would cost more than the values; everything else is a histogram.

/// The smallest value that at least `per_mille` thousandths of the values do not exceed. `values` must be ascending.
pub(crate) fn quantile(values: &[u64], per_mille: u64) -> Option<u64> {
    let rank = (values.len() as u64 * per_mille).div_ceil(1000).max(1);
    values.get(rank as usize - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<u64> = (1..=20).collect();
        assert_eq!(quantile(&values, 500), Some(10));
        assert_eq!(quantile(&values, 950), Some(19));
        assert_eq!(quantile(&values, 951), Some(20));
        assert_eq!(quantile(&values, 0), Some(1));
        assert_eq!(quantile(&[], 500), None);
    }
}
