//! The engines that put a script on the wire, and which one a plan needs.
//!
//! `wiremock` serves what it can: status, headers, body and a delay, on the real clock. All else is `streaming`'s.

mod frames;
pub(crate) mod streaming;
#[cfg(test)]
pub(crate) mod tests;
pub mod wiremock;

use brownout_scenario::plan::{FaultEffect, FaultPlan, ProviderPlan};

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// A `wiremock::MockServer`: real sockets, whole bodies, no view of a caller that leaves.
    Wiremock,
    /// Our own hyper service: any network, paced streams, sees callers leave.
    Streaming,
}

/// What a run needs from an engine, beyond the provider's own plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Answers are asked for token by token.
    pub streams: bool,
    /// Callers that leave before the end must be noticed.
    pub sees_hang_ups: bool,
    /// The run is played on the virtual clock.
    pub virtual_clock: bool,
}

/// Chooses the engine for a provider, and says why in words for the record.
pub fn choose(plan: &ProviderPlan, needs: Needs) -> (EngineKind, String) {
    let reasons = [
        (needs.virtual_clock, "the virtual clock needs the in-memory network"),
        (needs.streams, "answers are streamed, wiremock sends whole bodies only"),
        (
            needs.sees_hang_ups,
            "callers may leave before the end, wiremock can't see that",
        ),
        (
            beyond_wiremock(plan).is_some(),
            "a fault breaks the connection or the pace of a body",
        ),
    ];
    match reasons.into_iter().find(|(needed, _)| *needed) {
        Some((_, reason)) => (EngineKind::Streaming, format!("streaming engine: {reason}")),
        None => (
            EngineKind::Wiremock,
            format!(
                "wiremock: `{}` needs only status, headers, body and delay on the real clock",
                plan.name
            ),
        ),
    }
}

/// The first fault that is more than status, headers, a whole body and a delay.
fn beyond_wiremock(plan: &ProviderPlan) -> Option<&FaultPlan> {
    plan.faults.iter().find(|fault| {
        matches!(
            fault.effect,
            FaultEffect::Stall { lasts: None, .. }
                | FaultEffect::Blackhole
                | FaultEffect::RefuseConnection
                | FaultEffect::ResetBeforeHeaders
                | FaultEffect::FinWithoutTerminator { .. }
                | FaultEffect::ResetMidStream { .. }
                | FaultEffect::Trickle { .. }
        )
    })
}

#[cfg(test)]
mod choice_tests {
    use super::*;
    use crate::samples::{fault, plan, plan_with, status};
    use brownout_net::RunClock;
    use brownout_scenario::seed::SeedTree;

    #[test]
    fn wiremock_serves_what_needs_only_status_headers_body_and_delay() {
        let mut plan = plan();
        plan.faults = vec![status(503, None)];
        assert_eq!(choose(&plan, Needs::default()).0, EngineKind::Wiremock);
    }

    #[test]
    fn a_fault_that_breaks_a_connection_is_more_than_wiremock_can_play() {
        for effect in [
            FaultEffect::Blackhole,
            FaultEffect::ResetMidStream { after_tokens: None },
        ] {
            let plan = plan_with(|plan| plan.faults = vec![fault(effect)]);
            assert_eq!(choose(&plan, Needs::default()).0, EngineKind::Streaming);
            let refused = wiremock::Script::new(plan, SeedTree::new(1), RunClock::start());
            assert!(refused.unwrap_err().to_string().contains("#0"));
        }
    }

    #[test]
    fn each_need_beyond_that_asks_for_the_streaming_engine_and_is_named() {
        let none = Needs::default();
        for (needs, word) in [
            (Needs { streams: true, ..none }, "streamed"),
            (
                Needs {
                    sees_hang_ups: true,
                    ..none
                },
                "leave",
            ),
            (
                Needs {
                    virtual_clock: true,
                    ..none
                },
                "virtual clock",
            ),
        ] {
            let (engine, reason) = choose(&plan(), needs);
            assert_eq!(engine, EngineKind::Streaming);
            assert!(reason.contains(word), "{reason}");
        }
    }
}
