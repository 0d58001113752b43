//! What the exit code of `brownout` says.

use brownout_measure::record::Verdict;

/// The exit codes of `brownout`. 101 is never ours: it is a Rust panic, or a `cargo run` that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All that was expected holds.
    Pass = 0,
    /// Something that has no code of its own, such as a folder that cannot be written.
    Unexpected = 1,
    /// The command line is wrong.
    Usage = 2,
    /// An expectation does not hold.
    ExpectationFailed = 100,
    /// A scenario file is wrong.
    ScenarioInvalid = 102,
    /// The service did not start, or died.
    ServiceNotStarted = 103,
    /// A provider did not start.
    ProviderNotStarted = 104,
    /// Interrupted; what was measured is written.
    Interrupted = 105,
    /// The books do not balance, or the harness was the bottleneck.
    RunInvalid = 106,
    /// There is not enough to judge.
    Inconclusive = 107,
    /// Worse than the baseline, or different from it where it must be equal.
    WorseThanBaseline = 108,
}

impl Exit {
    /// The one that is told when several apply: the one further to the front of the list.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        const PRECEDENCE: [Exit; 11] = [
            Exit::Usage,
            Exit::Unexpected,
            Exit::Interrupted,
            Exit::ServiceNotStarted,
            Exit::ProviderNotStarted,
            Exit::ScenarioInvalid,
            Exit::RunInvalid,
            Exit::WorseThanBaseline,
            Exit::ExpectationFailed,
            Exit::Inconclusive,
            Exit::Pass,
        ];
        let rank = |exit| PRECEDENCE.iter().position(|p| *p == exit);
        if rank(self) <= rank(other) { self } else { other }
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Pass,
            Verdict::Failed => Self::ExpectationFailed,
            Verdict::Invalid => Self::RunInvalid,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_run_says_so_whatever_else_it_found() {
        assert_eq!(Exit::ExpectationFailed.or_worse(Exit::Interrupted), Exit::Interrupted);
        assert_eq!(
            Exit::Inconclusive.or_worse(Exit::ExpectationFailed),
            Exit::ExpectationFailed
        );
        assert_eq!(
            Exit::Interrupted.or_worse(Exit::Unexpected),
            Exit::Unexpected,
            "it was not written"
        );
        assert_eq!(Exit::Pass.or_worse(Exit::Inconclusive), Exit::Inconclusive);
        assert_eq!(Exit::RunInvalid.or_worse(Exit::WorseThanBaseline), Exit::RunInvalid);
    }
}
