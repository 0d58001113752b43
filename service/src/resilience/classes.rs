//! Classes of failures: one table that says for each what follows.
//!
//! Which class a failure belongs to is said by [`crate::upstream::AttemptFailure::class`]; when the next attempt is made
//! and where, by [`super::course`].

/// What a failed attempt says about another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It may pass: 5xx, 408, 409, a connection that failed or broke, an error within a stream.
    Transient,
    /// 429: too much was asked for, and waiting cures it.
    RateLimited,
    /// Nothing came in time. Whoever was silent once is not waited for a second time.
    Silent,
    /// 401, 403, 404, an account without money: no request will do better before somebody has seen to it.
    HardDown,
    /// Another 4xx: the request is wrong, wherever it goes.
    ClientFault,
    /// The prompt does not fit into the model.
    ContextLength,
    /// The provider will not answer this.
    ContentFilter,
    /// An answer that cannot be understood.
    Malformed,
    /// Nothing was asked: the provider's breaker is open.
    Open,
    /// Nothing was asked: one of our own limits leaves no room for it.
    Unaffordable,
    /// The request's own time is over.
    OutOfTime,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether the same provider may be asked again, after a back-off.
    pub(crate) retried: bool,
    /// Whether others may be asked.
    pub(crate) falls_back: FallsBack,
    /// What the provider's breaker makes of it.
    pub(crate) mark: Mark,
    /// Whether somebody may bill for it, unless it was refused before there was any work.
    pub(crate) may_be_billed: bool,
}

/// Who else may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FallsBack {
    /// Nobody.
    No,
    /// Whoever is next.
    ToNext,
    /// Whoever has a larger context window.
    ToLarger,
}

/// What a breaker makes of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing: it says nothing about the provider.
    None,
    /// It counts.
    Failure,
    /// The breaker opens at once, for as long as it may.
    Down,
}

impl Class {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 11] = [
        Self::Transient,
        Self::RateLimited,
        Self::Silent,
        Self::HardDown,
        Self::ClientFault,
        Self::ContextLength,
        Self::ContentFilter,
        Self::Malformed,
        Self::Open,
        Self::Unaffordable,
        Self::OutOfTime,
    ];

    /// Policy: the table.
    #[rustfmt::skip]
    #[expect(clippy::match_same_arms, reason = "a row for each class")]
    pub(crate) const fn verdict(self) -> Verdict {
        use FallsBack::{No, ToLarger, ToNext};
        use Mark::{Down, Failure};
        match self {
            //                          retried  falls back  breaker     may be billed
            Self::Transient     => row(true,     ToNext,     Failure,    true),
            // A full bucket is no sick provider: it says itself when to come back.
            Self::RateLimited   => row(true,     ToNext,     Mark::None, false),
            Self::Silent        => row(false,    ToNext,     Failure,    true),
            Self::HardDown      => row(false,    ToNext,     Down,       false),
            Self::ClientFault   => row(false,    No,         Mark::None, false),
            Self::ContextLength => row(false,    ToLarger,   Mark::None, false),
            // What one provider will not say is not asked of the others until one does.
            Self::ContentFilter => row(false,    No,         Mark::None, true),
            Self::Malformed     => row(true,     ToNext,     Failure,    true),
            Self::Open          => row(false,    ToNext,     Mark::None, false),
            // Whoever is asked, it costs.
            Self::Unaffordable  => row(false,    No,         Mark::None, false),
            // The last attempt was cut short by those before it.
            Self::OutOfTime     => row(false,    No,         Mark::None, true),
        }
    }
}

const fn row(retried: bool, falls_back: FallsBack, mark: Mark, may_be_billed: bool) -> Verdict {
    Verdict {
        retried,
        falls_back,
        mark,
        may_be_billed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(class: Class) -> (bool, FallsBack, Mark, bool) {
        let verdict = class.verdict();
        (verdict.retried, verdict.falls_back, verdict.mark, verdict.may_be_billed)
    }

    #[test]
    fn what_may_pass_is_tried_again_here_and_elsewhere_and_counts() {
        for class in [Class::Transient, Class::Malformed] {
            assert_eq!(
                judged(class),
                (true, FallsBack::ToNext, Mark::Failure, true),
                "{class:?}"
            );
        }
    }

    #[test]
    fn a_rate_limit_is_waited_for_and_is_no_mark_against_anybody() {
        assert_eq!(judged(Class::RateLimited), (true, FallsBack::ToNext, Mark::None, false));
    }

    #[test]
    fn a_silent_provider_is_left_and_not_asked_again() {
        assert_eq!(judged(Class::Silent), (false, FallsBack::ToNext, Mark::Failure, true));
    }

    #[test]
    fn what_somebody_has_to_see_to_is_left_for_long() {
        assert_eq!(judged(Class::HardDown), (false, FallsBack::ToNext, Mark::Down, false));
    }

    #[test]
    fn a_wrong_request_goes_back_to_whoever_sent_it() {
        assert_eq!(judged(Class::ClientFault), (false, FallsBack::No, Mark::None, false));
    }

    #[test]
    fn a_prompt_that_is_too_long_goes_to_a_larger_model_alone() {
        assert_eq!(
            judged(Class::ContextLength),
            (false, FallsBack::ToLarger, Mark::None, false)
        );
    }

    #[test]
    fn what_is_filtered_is_asked_of_nobody_else() {
        assert_eq!(judged(Class::ContentFilter), (false, FallsBack::No, Mark::None, true));
    }

    #[test]
    fn what_cannot_be_paid_for_is_asked_of_nobody_and_held_against_nobody() {
        assert_eq!(judged(Class::Unaffordable), (false, FallsBack::No, Mark::None, false));
    }

    #[test]
    fn an_open_breaker_costs_nothing_and_is_passed_over() {
        assert_eq!(judged(Class::Open), (false, FallsBack::ToNext, Mark::None, false));
    }

    #[test]
    fn a_request_whose_time_is_over_ends() {
        assert_eq!(judged(Class::OutOfTime), (false, FallsBack::No, Mark::None, true));
    }

    #[test]
    fn nothing_is_retried_that_nobody_else_may_be_asked() {
        for class in Class::ALL {
            let verdict = class.verdict();
            assert!(!verdict.retried || verdict.falls_back == FallsBack::ToNext, "{class:?}");
        }
    }
}
