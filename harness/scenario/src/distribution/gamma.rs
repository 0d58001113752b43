//! The gamma distribution with mean 1: its distribution function, and the inverse of that.
//!
//! Knows shapes only; whoever owns the distribution multiplies by the mean.

/// Terms of a series or a fraction, and steps of the search. All end far earlier for the shapes that plans allow.
const MOST_STEPS: u32 = 2_000;
const SMALL: f64 = 1e-300;

/// The share of all draws that are at most `x`, for a `shape` above 0 and mean `shape`, and the share that are above.
///
/// Both halves of the regularised incomplete gamma function: a power series up to its bend, a continued fraction beyond
/// it (Abramowitz and Stegun 6.5.29 and 6.5.31), so that neither share is ever the small difference of two large numbers.
fn shares(shape: f64, x: f64) -> (f64, f64) {
    if x <= 0.0 {
        return (0.0, 1.0);
    }
    let front = libm::exp(shape * libm::log(x) - x - libm::lgamma(shape));
    if x < shape + 1.0 {
        let (mut term, mut sum) = (1.0 / shape, 1.0 / shape);
        for n in 1..=MOST_STEPS {
            term *= x / (shape + f64::from(n));
            sum += term;
            if term < sum * 1e-16 {
                break;
            }
        }
        let below = (front * sum).min(1.0);
        (below, 1.0 - below)
    } else {
        let above = (front * fraction(shape, x)).min(1.0);
        (1.0 - above, above)
    }
}

/// The continued fraction of the upper half, by the modified method of Lentz.
fn fraction(shape: f64, x: f64) -> f64 {
    let away_from_zero = |v: f64| if libm::fabs(v) < SMALL { SMALL } else { v };
    let mut partial = x + 1.0 - shape;
    let (mut upper, mut lower) = (1.0 / SMALL, 1.0 / partial);
    let mut value = lower;
    for step in (1..=MOST_STEPS).map(f64::from) {
        let numerator = -step * (step - shape);
        partial += 2.0;
        lower = 1.0 / away_from_zero(numerator * lower + partial);
        upper = away_from_zero(partial + numerator / upper);
        value *= upper * lower;
        if libm::fabs(upper * lower - 1.0) < 1e-15 {
            break;
        }
    }
    value
}

/// The value below which the share `u` of all draws falls, in multiples of the mean.
///
/// Newton's steps from a first guess, kept within an interval that only shrinks: where a step would leave it, it is
/// halved. `normal` is the quantile of `u` under the standard normal distribution.
pub(super) fn quantile(shape: f64, u: f64, normal: f64) -> f64 {
    let mut x = first_guess(shape, u, normal);
    let (mut low, mut high) = (0.0, f64::INFINITY);
    for _ in 0..MOST_STEPS {
        let (below, above) = shares(shape, x);
        // The smaller share tells more digits.
        let over = if u < 0.5 { below - u } else { (1.0 - u) - above };
        if over > 0.0 {
            high = x;
        } else {
            low = x;
        }
        let density = libm::exp((shape - 1.0) * libm::log(x) - x - libm::lgamma(shape));
        let step = x - over / density;
        let next = match (step > low && step < high, high.is_finite()) {
            (true, _) => step,
            (false, true) => f64::midpoint(low, high),
            (false, false) => x * 2.0,
        };
        if libm::fabs(next - x) <= x * 1e-13 || next < SMALL {
            return next / shape;
        }
        x = next;
    }
    x / shape
}

/// Wilson and Hilferty's cube of a normal number for most, the leading term of the series for small values.
fn first_guess(shape: f64, u: f64, normal: f64) -> f64 {
    let spread = 1.0 / (9.0 * shape);
    let root = 1.0 - spread + normal * libm::sqrt(spread);
    let cube = shape * root * root * root;
    if shape > 0.5 && root > 0.3 {
        return cube;
    }
    libm::exp((libm::log(u) + libm::lgamma(shape + 1.0)) / shape).max(SMALL)
}

#[cfg(test)]
mod tests {
    use super::super::normal_quantile;
    use super::*;
    use proptest::prelude::*;

    fn at(shape: f64, u: f64) -> f64 {
        quantile(shape, u, normal_quantile(u))
    }

    /// Half the quantiles of the chi-squared distribution with twice as many degrees of freedom, as tables have them.
    #[test]
    fn quantiles_match_tabled_values() {
        for (degrees, u, chi_squared) in [
            (1.0, 0.5, 0.454_936_423),
            (1.0, 0.01, 0.000_157_088),
            (1.0, 0.99, 6.634_896_601),
            (2.0, 0.95, 5.991_464_547),
            (4.0, 0.5, 3.356_693_980),
            (10.0, 0.05, 3.940_299_136),
            (10.0, 0.99, 23.209_251_159),
            (30.0, 0.975, 46.979_242_244),
            (100.0, 0.01, 70.064_894_925),
        ] {
            let found = at(degrees / 2.0, u) * degrees;
            assert!((found - chi_squared).abs() < 1e-7, "{degrees} {u}: {found}");
        }
    }

    #[test]
    fn a_shape_of_one_is_exponential() {
        for u in [1e-9, 0.01, 0.5, 0.99, 1.0 - 1e-9] {
            let exponential = -libm::log1p(-u);
            assert!((at(1.0, u) / exponential - 1.0).abs() < 1e-7, "{u}");
        }
    }

    #[test]
    fn the_mean_is_one_whatever_the_shape() {
        for shape in [0.5, 0.93, 2.0, 40.0, 5_000.0] {
            let draws = 20_000;
            let sum: f64 = (0..draws)
                .map(|i| at(shape, (f64::from(i) + 0.5) / f64::from(draws)))
                .sum();
            assert!((sum / f64::from(draws) - 1.0).abs() < 0.01, "{shape}: {sum}");
        }
    }

    proptest! {
        #[test]
        fn the_quantile_undoes_the_distribution_function(log_shape in -2.3..4.0f64, u in 1e-6..0.999_999f64) {
            let shape = libm::exp10(log_shape);
            let x = at(shape, u) * shape;
            // Below this a value has underflowed, and is 0 as a time.
            prop_assume!(x > 1e-200);
            let (below, above) = shares(shape, x);
            prop_assert!((below / u - 1.0).abs() < 1e-8, "{} {}: {}", shape, u, below);
            prop_assert!((above / (1.0 - u) - 1.0).abs() < 1e-8, "{} {}: {}", shape, u, above);
        }
    }
}
