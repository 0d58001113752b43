//! The bill at a round number of requests a day: what a variant costs, and how much of that a cure could save at most.
//!
//! Scales what was measured; it knows no prices.

use brownout_measure::record::VariantRecord;

use crate::figures;

/// Requests a day that the bill is for.
const REQUESTS: u64 = 100_000;

/// The columns.
pub(crate) const HEAD: [&str; 4] = ["variant", "USD a day", "of it for tokens nobody used", "saved"];

/// A row a variant; none when nothing was paid for in vain.
pub(crate) fn rows(variants: &[VariantRecord]) -> Vec<[String; 4]> {
    let wasted = |v: &VariantRecord| daily(v, v.wasted_picodollars);
    let Some(dearest) = variants
        .iter()
        .max_by_key(|v| wasted(v))
        .filter(|v| v.wasted_picodollars > 0)
    else {
        return Vec::new();
    };
    let row = |v: &VariantRecord| {
        let saved = wasted(dearest).saturating_sub(wasted(v));
        let saved = if v.name == dearest.name {
            figures::NONE.to_owned()
        } else {
            format!(
                "{} of at most {}, against {}",
                usd(saved),
                usd(wasted(dearest)),
                dearest.name
            )
        };
        [v.name.clone(), usd(daily(v, v.cost_picodollars)), usd(wasted(v)), saved]
    };
    variants.iter().map(row).collect()
}

/// What the table says, in words.
pub(crate) const TITLE: &str = "The bill at 100,000 requests a day";
/// How to read the table.
pub(crate) const NOTE: &str = "Scaled from the requests of this run at list prices. What a variant pays for tokens nobody \
    used is the ceiling of what any cure can save it.";

/// Picodollars a day, from those of the run.
fn daily(variant: &VariantRecord, picodollars: u64) -> u64 {
    let scaled = u128::from(picodollars) * u128::from(REQUESTS) / u128::from(variant.requests.sent.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn usd(picodollars: u64) -> String {
    figures::usd(picodollars as f64 / 1e12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_scaled_to_a_day_by_its_requests() {
        let mut variant = VariantRecord {
            cost_picodollars: 3_000_000_000,
            ..VariantRecord::default()
        };
        variant.requests.sent = 50;
        assert_eq!(daily(&variant, variant.cost_picodollars), 6_000_000_000_000);
    }
}
