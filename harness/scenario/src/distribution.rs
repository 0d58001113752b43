//! Distributions of durations and counts, drawn by inverse CDF over pure-Rust maths.
//!
//! One uniform number in, one value out, so that a draw never depends on how many draws came before it. No use is made
//! of the platform's libm: its logarithms differ in the last bit between systems.

mod gamma;

use serde::Serialize;

/// A distribution over non-negative numbers. The unit is the owner's: microseconds for times, tokens for lengths.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Distribution {
    /// Always the same.
    Constant {
        /// The value.
        value: f64,
    },
    /// Evenly between two bounds.
    Uniform {
        /// Lower bound, included.
        min: f64,
        /// Upper bound, included.
        max: f64,
    },
    /// Exponential: the gaps of a Poisson process.
    Exponential {
        /// The mean.
        mean: f64,
    },
    /// Normal, cut off at zero.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },
    /// Lognormal, given by its median and its 99th percentile, shifted to the right by a floor.
    Lognormal {
        /// Median, the shift included.
        p50: f64,
        /// 99th percentile, the shift included.
        p99: f64,
        /// Nothing is below this.
        shift: f64,
    },
    /// Gamma: sums of waits, and lengths with a long tail.
    Gamma {
        /// The mean.
        mean: f64,
        /// 1 is exponential, more is more even, less is burstier.
        shape: f64,
    },
    /// One of the listed values, each as likely as the others.
    Empirical {
        /// The values, ascending.
        values: Vec<f64>,
    },
    /// One of several distributions, by weight.
    Mixture {
        /// The parts; their weights sum to 1.
        parts: Vec<Part>,
    },
}

/// A part of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Share of the draws.
    pub weight: f64,
    /// Where these draws come from.
    pub of: Distribution,
}

/// The standard normal quantile of 0.99.
const Z99: f64 = 2.326_347_874_040_841;

/// Shapes whose quantiles can be found: below, almost all draws are 0; above, all are the mean.
const SHAPES: std::ops::RangeInclusive<f64> = 0.01..=10_000.0;

impl Distribution {
    /// The value below which the share `u` of all draws falls, for `u` in (0, 1).
    ///
    /// For a mixture `u` first chooses the part and is then stretched over it, so one number still decides.
    pub fn quantile(&self, u: f64) -> f64 {
        match self {
            Self::Constant { value } => *value,
            Self::Uniform { min, max } => min + (max - min) * u,
            Self::Exponential { mean } => -mean * libm::log1p(-u),
            Self::Normal { mean, deviation } => (mean + deviation * normal_quantile(u)).max(0.0),
            Self::Lognormal { p50, p99, shift } => {
                let sigma = libm::log((p99 - shift) / (p50 - shift)) / Z99;
                shift + (p50 - shift) * libm::exp(sigma * normal_quantile(u))
            }
            Self::Gamma { mean, shape } => mean * gamma::quantile(*shape, u, normal_quantile(u)),
            Self::Empirical { values } => {
                let at = (u * values.len() as f64) as usize;
                values[at.min(values.len() - 1)]
            }
            Self::Mixture { parts } => {
                let mut below = 0.0;
                for (position, part) in parts.iter().enumerate() {
                    if u < below + part.weight || position + 1 == parts.len() {
                        let within = ((u - below) / part.weight).clamp(f64::EPSILON, 1.0 - f64::EPSILON);
                        return part.of.quantile(within);
                    }
                    below += part.weight;
                }
                0.0
            }
        }
    }

    /// Why nothing can be drawn from it, and what to write instead; `None` if all is well.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        if let Self::Mixture { parts } = self
            && let Some(problem) = parts.iter().find_map(|part| part.of.problem())
        {
            return Some(problem);
        }
        if self
            .numbers()
            .iter()
            .any(|number| !(0.0..f64::INFINITY).contains(number))
        {
            return Some((
                "a number of this distribution is below 0 or no number",
                "write numbers from 0 on",
            ));
        }
        match self {
            Self::Lognormal { p50, p99, .. } if p50 > p99 => Some((
                "p50 is above p99: no distribution has such percentiles",
                "swap them, or raise p99",
            )),
            Self::Lognormal { p50, shift, .. } if shift >= p50 => Some((
                "the shift is not below p50",
                "the shift is the smallest possible value: make it smaller than p50",
            )),
            Self::Uniform { min, max } if min > max => Some(("min is above max", "swap them")),
            Self::Gamma { shape, .. } if !SHAPES.contains(shape) => Some((
                "the shape of a gamma distribution is from 0.01 to 10000",
                "write shape = 1.0 for an exponential distribution, more for a more even one, less for a burstier one",
            )),
            Self::Empirical { values } if values.is_empty() => {
                Some(("there are no values to draw from", "list at least one value"))
            }
            Self::Mixture { parts } => {
                let sum: f64 = parts.iter().map(|part| part.weight).sum();
                let bad = parts.iter().any(|part| part.weight <= 0.0) || (sum - 1.0).abs() > 1e-9;
                bad.then_some((
                    "the weights of the parts do not sum to 1",
                    "give every part a weight above 0, together 1",
                ))
            }
            _ => None,
        }
    }

    /// The numbers that make it up, those of parts left out.
    fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Constant { value } => vec![*value],
            Self::Uniform { min, max } => vec![*min, *max],
            Self::Exponential { mean } => vec![*mean],
            Self::Normal { mean, deviation } => vec![*mean, *deviation],
            Self::Lognormal { p50, p99, shift } => vec![*p50, *p99, *shift],
            Self::Gamma { mean, shape } => vec![*mean, *shape],
            Self::Empirical { values } => values.clone(),
            Self::Mixture { parts } => parts.iter().map(|part| part.weight).collect(),
        }
    }

    /// The largest value that can be drawn, up to one draw in 10^9.
    pub fn upper(&self) -> f64 {
        self.quantile(1.0 - 1e-9)
    }
}

/// Inverse of the standard normal distribution function.
///
/// Acklam's rational approximation (relative error under 1.15e-9), which is far below the microsecond that times are
/// rounded to.
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    const LOW: f64 = 0.024_25;

    let poly = |c: &[f64], x: f64| c.iter().fold(0.0, |sum, k| sum * x + k);
    let tail = |q: f64| poly(&C, q) / (poly(&D, q) * q + 1.0);
    if p < LOW {
        tail(libm::sqrt(-2.0 * libm::log(p)))
    } else if p <= 1.0 - LOW {
        let q = p - 0.5;
        let r = q * q;
        poly(&A, r) * q / (poly(&B, r) * r + 1.0)
    } else {
        -tail(libm::sqrt(-2.0 * libm::log1p(-p)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lognormal_meets_the_percentiles_it_was_given() {
        let d = Distribution::Lognormal {
            p50: 350_000.0,
            p99: 1_200_000.0,
            shift: 0.0,
        };
        assert!((d.quantile(0.5) - 350_000.0).abs() < 1.0);
        assert!((d.quantile(0.99) - 1_200_000.0).abs() < 1.0);
        let shifted = Distribution::Lognormal {
            p50: 350_000.0,
            p99: 1_200_000.0,
            shift: 100_000.0,
        };
        assert!((shifted.quantile(0.99) - 1_200_000.0).abs() < 1.0);
        assert!(shifted.quantile(1e-9) > 100_000.0);
    }

    #[test]
    fn normal_quantile_matches_tabled_values() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.001, -3.090_232_306), (0.99, Z99)] {
            assert!((normal_quantile(p) - z).abs() < 1e-7, "{p}: {}", normal_quantile(p));
        }
    }

    #[test]
    fn a_mixture_gives_each_part_its_share() {
        let d = Distribution::Mixture {
            parts: vec![
                Part {
                    weight: 0.97,
                    of: Distribution::Constant { value: 1.0 },
                },
                Part {
                    weight: 0.03,
                    of: Distribution::Constant { value: 20.0 },
                },
            ],
        };
        let slow = (0..10_000)
            .filter(|i| d.quantile((f64::from(*i) + 0.5) / 10_000.0) > 10.0)
            .count();
        assert_eq!(slow, 300);
    }

    #[test]
    fn what_cannot_be_drawn_from_is_told() {
        let part = |weight, of| Part { weight, of };
        let one = Distribution::Constant { value: 1.0 };
        for (bad, words) in [
            (Distribution::Constant { value: -1.0 }, "below 0"),
            (Distribution::Exponential { mean: f64::NAN }, "no number"),
            (
                Distribution::Normal {
                    mean: 1.0,
                    deviation: -1.0,
                },
                "below 0",
            ),
            (
                Distribution::Uniform {
                    min: 0.0,
                    max: f64::INFINITY,
                },
                "no number",
            ),
            (Distribution::Gamma { mean: 1.0, shape: 0.0 }, "shape"),
            (Distribution::Empirical { values: vec![] }, "no values"),
            (
                Distribution::Mixture {
                    parts: vec![part(f64::NAN, one.clone())],
                },
                "no number",
            ),
            (
                Distribution::Mixture {
                    parts: vec![part(1.0, Distribution::Constant { value: f64::NAN })],
                },
                "no number",
            ),
            (
                Distribution::Mixture {
                    parts: vec![part(0.5, one.clone())],
                },
                "sum to 1",
            ),
        ] {
            let problem = bad.problem().map(|(message, _)| message);
            assert!(
                problem.is_some_and(|message| message.contains(words)),
                "{bad:?}: {problem:?}"
            );
        }
        assert_eq!(one.problem(), None);
    }

    proptest! {
        #[test]
        fn quantiles_never_fall(a in 0.000_1..0.999_9f64, b in 0.000_1..0.999_9f64) {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            for d in [
                Distribution::Lognormal { p50: 10.0, p99: 90.0, shift: 1.0 },
                Distribution::Normal { mean: 10.0, deviation: 2.0 },
                Distribution::Exponential { mean: 3.0 },
                Distribution::Gamma { mean: 3.0, shape: 0.7 },
                Distribution::Uniform { min: 1.0, max: 2.0 },
            ] {
                prop_assert!(d.quantile(low) <= d.quantile(high));
                prop_assert!(d.quantile(low) >= 0.0);
            }
        }
    }
}
