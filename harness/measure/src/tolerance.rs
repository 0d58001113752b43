//! How far two runs of the same plan may lie apart when at least one was played on the real clock.
//!
//! Integers only. The virtual clock allows nothing; nobody asks here then.

/// Counts: 5 %, three standard deviations of a Poisson count, or 2, whichever is most.
pub fn count(larger: u64) -> u64 {
    (larger / 20).max(larger.saturating_mul(9).isqrt()).max(2)
}

/// Medians in microseconds: 10 % or 2 ms, whichever is more.
pub fn median_us(larger: u64) -> u64 {
    (larger / 10).max(2_000)
}

/// Sums of tokens or money over requests: 5 %, or three standard deviations of a sum of `requests` independent parts.
pub fn sum(larger: u64, requests: u64) -> u64 {
    (larger / 20)
        .max(larger.saturating_mul(3) / requests.isqrt().max(1))
        .max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_may_differ_by_noise_and_many_by_a_twentieth() {
        assert_eq!(count(0), 2);
        assert_eq!(count(100), 30);
        assert_eq!(count(1_000_000), 50_000);
    }

    #[test]
    fn short_medians_may_differ_by_two_milliseconds() {
        assert_eq!(median_us(5_000), 2_000);
        assert_eq!(median_us(500_000), 50_000);
    }

    #[test]
    fn a_sum_is_as_certain_as_the_number_of_its_parts() {
        assert_eq!(sum(10_000, 100), 3_000);
        assert_eq!(sum(10_000, 1_000_000), 500);
    }
}
