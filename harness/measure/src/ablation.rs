//! What a cure is worth: the figures it is judged by, with it alone and with everything but it.
//!
//! Three figures, each with a good direction: goodput, p99, and the price of a valid answer. A difference is a gain where
//! it is above zero, whatever the figure. Does not know what a cure is, nor what is played.

use crate::record::{AblationFigures, AblationRecord, RunRecord, VariantRecord};

/// A figure that cures are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Valid answers, as a share of what was due.
    Goodput,
    /// 99th percentile of latency, in milliseconds.
    P99,
    /// US dollars per valid answer.
    Cost,
}

/// What one cure changes in one figure; above zero it is for the better. `None` where there is no figure to compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worth {
    /// What the base gains with this cure alone.
    pub alone: Option<f64>,
    /// What the whole loses without it.
    pub without: Option<f64>,
}

impl Worth {
    /// Both together: what the order goes by.
    pub fn sum(&self) -> f64 {
        self.alone.unwrap_or(0.0) + self.without.unwrap_or(0.0)
    }
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Goodput, Self::P99, Self::Cost];

    /// The figure, if there is one.
    pub fn of(self, figures: &AblationFigures) -> Option<f64> {
        match self {
            Self::Goodput => {
                let due = figures.requests.due;
                (due > 0).then(|| figures.requests.valid() as f64 / due as f64)
            }
            Self::P99 => figures.p99_ms,
            Self::Cost => figures.cost_per_valid_usd,
        }
    }

    /// What is gained from the first to the second.
    fn gain(self, from: Option<&AblationFigures>, to: Option<&AblationFigures>) -> Option<f64> {
        let change = self.of(to?)? - self.of(from?)?;
        Some(match self {
            Self::Goodput => change,
            Self::P99 | Self::Cost => -change,
        })
    }
}

/// The figures of a variant.
pub fn figures(variant: &VariantRecord) -> AblationFigures {
    AblationFigures {
        requests: variant.requests,
        goodput_rps: variant.goodput_rps,
        p99_ms: (variant.latency.count > 0).then_some(variant.latency.p99_ms),
        cost_usd: variant.cost_usd,
        cost_picodollars: variant.cost_picodollars,
        cost_per_valid_usd: variant.cost_per_valid_usd(),
    }
}

/// What the cure of `row` changes in `figure`, in a run that holds its two ends.
pub fn worth(run: &RunRecord, row: &AblationRecord, figure: Figure) -> Worth {
    let end = |name: &str| {
        run.results
            .variants
            .iter()
            .find(|variant| variant.name == name)
            .map(figures)
    };
    let (base, full) = (end(&row.base), end(&row.full));
    Worth {
        alone: figure.gain(base.as_ref(), row.alone.as_ref()),
        without: figure.gain(row.without.as_ref(), full.as_ref()),
    }
}

/// The cures of a run by what they are worth in `figure`, the best first; equal ones by name.
pub fn ranking(run: &RunRecord, figure: Figure) -> Vec<(&AblationRecord, Worth)> {
    let mut rows: Vec<_> = run
        .results
        .ablation
        .iter()
        .map(|row| (row, worth(run, row, figure)))
        .collect();
    rows.sort_by(|(a, x), (b, y)| y.sum().total_cmp(&x.sum()).then_with(|| a.cure.cmp(&b.cure)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RequestCounts;
    use crate::testing::{meta, plan, variant_record};

    fn figures_of(answered: u64, p99_ms: f64, cost: f64) -> AblationFigures {
        AblationFigures {
            requests: RequestCounts {
                due: 100,
                answered,
                ..RequestCounts::default()
            },
            p99_ms: Some(p99_ms),
            cost_per_valid_usd: Some(cost),
            ..AblationFigures::default()
        }
    }

    /// A run of 90 answers of 100 at both ends, p99 of 200 and 100 ms.
    fn run(rows: Vec<AblationRecord>) -> RunRecord {
        let end = |name, p99_us| VariantRecord {
            requests: figures_of(90, 0.0, 0.0).requests,
            ..variant_record(name, p99_us)
        };
        let ends = vec![end("naive", 200_000), end("resilient", 100_000)];
        let plan = plan(&["naive", "resilient"], vec![]);
        let mut run = crate::run::assemble(&plan, meta(crate::record::ClockKind::Virtual), ends);
        run.results.ablation = rows;
        run
    }

    fn row(cure: &str, alone: AblationFigures, without: Option<AblationFigures>) -> AblationRecord {
        AblationRecord {
            cure: cure.to_owned(),
            keys: vec![cure.to_owned()],
            base: "naive".to_owned(),
            full: "resilient".to_owned(),
            alone: Some(alone),
            without,
        }
    }

    #[test]
    fn a_gain_is_above_zero_whichever_way_the_figure_points() {
        let run = run(vec![row(
            "retry",
            figures_of(95, 150.0, 0.1),
            Some(figures_of(80, 400.0, 0.1)),
        )]);
        let row = &run.results.ablation[0];
        let goodput = worth(&run, row, Figure::Goodput);
        assert!((goodput.alone.unwrap() - 0.05).abs() < 1e-9, "{goodput:?}");
        assert!((goodput.without.unwrap() - 0.10).abs() < 1e-9, "{goodput:?}");
        let p99 = worth(&run, row, Figure::P99);
        assert!(p99.alone.unwrap() > 40.0 && p99.without.unwrap() > 290.0, "{p99:?}");
    }

    #[test]
    fn the_best_cure_comes_first_and_what_could_not_be_played_counts_for_nothing() {
        let run = run(vec![
            row("b", figures_of(90, 200.0, 0.1), None),
            row("best", figures_of(99, 200.0, 0.1), Some(figures_of(85, 100.0, 0.1))),
            row("a", figures_of(90, 200.0, 0.1), None),
            row("harmful", figures_of(50, 200.0, 0.1), Some(figures_of(90, 100.0, 0.1))),
        ]);
        let order: Vec<&str> = ranking(&run, Figure::Goodput)
            .iter()
            .map(|(row, _)| row.cure.as_str())
            .collect();
        assert_eq!(order, ["best", "a", "b", "harmful"]);
        assert_eq!(worth(&run, &run.results.ablation[0], Figure::P99).without, None);
    }
}
