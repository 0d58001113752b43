//! The bill at a round number of requests a day: what a variant costs, and how much of that a cure could save at most.
//!
//! Scales what was measured; it knows no prices.

use brownout_measure::record::VariantRecord;

use crate::figures;

/// Requests a day that the bill is for.
const REQUESTS: u64 = 100_000;

/// The columns.
pub(crate) const HEAD: [&str; 4] = ["variant", "USD a day", "of it for tokens nobody used", "saved"];

/// A row a variant; none when nothing was paid for in vain. A saving is told against the variant of the same endpoint
/// that pays most in vain: a stream and a unary call are not each other's cure.
pub(crate) fn rows(variants: &[VariantRecord]) -> Vec<[String; 4]> {
    if variants.iter().all(|v| v.wasted_picodollars == 0) {
        return Vec::new();
    }
    variants.iter().map(|v| row(v, variants)).collect()
}

fn row(variant: &VariantRecord, all: &[VariantRecord]) -> [String; 4] {
    let wasted = |v: &VariantRecord| daily(v, v.wasted_picodollars);
    // From the last to the first: of equals, the one that the file names first is told.
    let rivals = all.iter().rev().filter(|v| v.endpoint == variant.endpoint);
    let dearest = rivals
        .max_by_key(|v| wasted(v))
        .filter(|v| wasted(v) > 0 && v.name != variant.name);
    let saved = dearest.map_or(figures::NONE.to_owned(), |dearest| {
        let (saved, ceiling) = (wasted(dearest).saturating_sub(wasted(variant)), wasted(dearest));
        format!("{} of at most {}, against {}", usd(saved), usd(ceiling), dearest.name)
    });
    let cost = daily(variant, variant.cost_picodollars);
    [variant.name.clone(), usd(cost), usd(wasted(variant)), saved]
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

    #[test]
    fn a_saving_is_told_against_the_dearest_of_the_same_endpoint() {
        let variant = |name: &str, endpoint: &str, wasted| {
            let mut variant = VariantRecord {
                wasted_picodollars: wasted,
                ..VariantRecord::default()
            };
            (variant.name, variant.endpoint, variant.requests.sent) = (name.to_owned(), endpoint.to_owned(), 100_000);
            variant
        };
        let usd = 1_000_000_000_000;
        let rows = rows(&[
            variant("stream-on", "stream", 4 * usd),
            variant("stream-cancel", "stream", usd),
            variant("unary-on", "chat", 9 * usd),
            variant("stream-too", "stream", 4 * usd),
        ]);
        let saved: Vec<_> = rows.iter().map(|row| row[3].as_str()).collect();
        let cancel = "$3.00 of at most $4.00, against stream-on";
        let too = "$0 of at most $4.00, against stream-on";
        assert_eq!(saved, [figures::NONE, cancel, figures::NONE, too]);
        assert!(super::rows(&[variant("calm", "chat", 0)]).is_empty());
    }
}
