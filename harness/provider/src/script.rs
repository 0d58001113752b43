//! The script: what one attempt gets, decided entirely when it arrives.
//!
//! Pure: no clock, no wire, no state. Which fault applies is [`crate::faults`]'s part, which needs to count.

mod schedule;

use brownout_scenario::distribution::Distribution;
use brownout_scenario::plan::{FaultEffect, FaultPlan, ProviderPlan};
use brownout_scenario::seed::{Draws, Purpose, SeedTree};
use brownout_scenario::units::{Micros, PromptId};

pub(crate) use schedule::Schedule;

/// No answer is longer, and nobody thinks longer, whatever is drawn.
pub(crate) const MAX_OUTPUT_TOKENS: u64 = 131_072;

/// No wait for a single token is longer, whatever is drawn.
pub(crate) const MAX_WAIT: Micros = Micros::from_secs(3_600);

/// One attempt, as far as the script cares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    /// The prompt.
    pub(crate) prompt: PromptId,
    /// How often the provider had seen it before.
    pub(crate) attempt: u32,
    /// When the request had been read.
    pub(crate) arrived: Micros,
    /// When work on it begins.
    pub(crate) begins: Micros,
    /// Tokens of the prompt that have to be read, those in the cache left out.
    pub(crate) prefill_tokens: u64,
    /// Tokens of the answer that the request brings along: the model goes on after them.
    pub(crate) begun: u64,
    /// The most tokens it may be answered with, thinking included.
    pub(crate) max_tokens: u64,
    /// All waits are multiplied by this.
    pub(crate) slowness: f64,
    /// The answer is to come token by token.
    pub(crate) streams: bool,
}

/// What an attempt gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// An error answer, at once.
    Error(Refusal),
    /// A body that is no answer of the model, with status 200, at once.
    Page(Page),
    /// Nothing, ever.
    Silence,
    /// A connection that breaks before a byte is said.
    Reset,
    /// An answer.
    Answer(Course),
}

/// What an error answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// This status.
    Status {
        /// HTTP status.
        status: u16,
        /// When to try again.
        retry_after: Option<Micros>,
        /// A `Retry-After` of exactly this text.
        retry_after_text: Option<String>,
        /// The dialect's code, if not the usual one.
        code: Option<String>,
    },
    /// Prompt and answer are too long together.
    ContextLength,
}

/// A body that is no answer of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// A web page.
    Html,
    /// No byte.
    Nothing,
    /// An empty JSON object.
    EmptyObject,
}

/// How an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Course {
    /// When each token is due; as many as are generated.
    pub(crate) schedule: Schedule,
    /// Visible tokens that the model had to say, of which a cut or a filter leaves fewer in `schedule`.
    pub(crate) wanted: u64,
    /// Why it has no more tokens, if it is complete.
    pub(crate) limit: Option<Limit>,
    /// How it ends on the wire.
    pub(crate) ending: Ending,
    /// What is odd about it on the way.
    pub(crate) quirk: Option<Quirk>,
}

/// What keeps an answer short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The caller's `max_tokens`.
    MaxTokens,
    /// A filter.
    Filter,
}

/// How an answer ends on the wire, after its last token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As it should.
    Complete,
    /// Complete, but nothing says so.
    NoTerminator,
    /// The body ends in good order, too early.
    CleanEof,
    /// FIN, too early.
    Fin,
    /// RST, too early.
    Reset,
    /// An error of this status, in the stream.
    Error(u16),
    /// It does not end.
    Silence,
}

impl Ending {
    /// Whether the provider breaks the answer off.
    pub(crate) fn is_broken(self) -> bool {
        !matches!(self, Self::Complete | Self::NoTerminator)
    }
}

/// What is odd about an answer on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// Half a frame comes before this token's.
    MalformedBefore(u64),
    /// This token's frame comes twice.
    Twice(u64),
    /// The body leaves in pieces.
    Trickle {
        /// Bytes in a piece.
        bytes: u64,
        /// From one piece to the next.
        every: Micros,
    },
    /// It breaks the schema that was asked for.
    Garbage,
}

/// Decides what an attempt gets.
///
/// Lengths depend on the prompt alone, so that a second attempt, or another provider, can produce the same text.
pub(crate) fn decide(plan: &ProviderPlan, seed: SeedTree, fault: Option<&FaultPlan>, ask: &Ask) -> Decision {
    let effect = fault.map(|fault| &fault.effect);
    match effect {
        Some(FaultEffect::Status {
            status,
            retry_after,
            retry_after_text,
            code,
        }) => Decision::Error(Refusal::Status {
            status: *status,
            retry_after: *retry_after,
            retry_after_text: retry_after_text.clone(),
            code: code.clone(),
        }),
        Some(FaultEffect::ErrorEvent { status, .. }) if !ask.streams => Decision::Error(Refusal::Status {
            status: *status,
            retry_after: None,
            retry_after_text: None,
            code: None,
        }),
        Some(FaultEffect::ContextLength) => Decision::Error(Refusal::ContextLength),
        Some(FaultEffect::Html200) => Decision::Page(Page::Html),
        Some(FaultEffect::Empty200 { object: true }) => Decision::Page(Page::EmptyObject),
        Some(FaultEffect::Empty200 { object: false }) => Decision::Page(Page::Nothing),
        Some(FaultEffect::Blackhole) => Decision::Silence,
        Some(FaultEffect::Stall { lasts: None, .. }) if !ask.streams => Decision::Silence,
        Some(FaultEffect::ResetBeforeHeaders) => Decision::Reset,
        _ => Decision::Answer(course(plan, seed, effect, ask)),
    }
}

fn course(plan: &ProviderPlan, seed: SeedTree, effect: Option<&FaultEffect>, ask: &Ask) -> Course {
    let length = |purpose, distribution| {
        let drawn = seed.stream(purpose, "", ask.prompt, 0).whole(distribution);
        drawn.min(MAX_OUTPUT_TOKENS)
    };
    let thinks = length(Purpose::ReasoningLength, &plan.reasoning_tokens);
    let all = length(Purpose::OutputLength, &plan.output_tokens).max(1);
    let wanted = all.saturating_sub(ask.begun);
    let hidden = thinks.min(ask.max_tokens);
    let visible = wanted.min(ask.max_tokens - hidden);
    let mut course = Course {
        schedule: Schedule::draw(plan, seed, effect, ask, (hidden, visible)),
        wanted,
        limit: (visible < wanted).then_some(Limit::MaxTokens),
        ending: Ending::Complete,
        quirk: None,
    };
    if let Some(effect) = effect {
        suffer(&mut course, effect, ask, |purpose| {
            seed.stream(purpose, &plan.name, ask.prompt, ask.attempt)
        });
    }
    course
}

/// Lets an answer suffer a fault, other than slower draws.
fn suffer(course: &mut Course, effect: &FaultEffect, ask: &Ask, draws: impl Fn(Purpose) -> Draws) {
    let visible = course.schedule.visible();
    let strike = |after: &Option<Distribution>| match after {
        Some(after) => draws(Purpose::FaultPosition).whole(after).min(visible),
        None => visible / 2,
    };
    let breaking = match effect {
        FaultEffect::ErrorEvent { after_tokens, status } => Some((after_tokens, Ending::Error(*status))),
        FaultEffect::CleanEof { after_tokens } => Some((after_tokens, Ending::CleanEof)),
        FaultEffect::FinWithoutTerminator { after_tokens } => Some((after_tokens, Ending::Fin)),
        FaultEffect::ResetMidStream { after_tokens } => Some((after_tokens, Ending::Reset)),
        // Half a unary body is all that a malformed frame can mean there.
        FaultEffect::MalformedFrame { after_tokens } if !ask.streams => Some((after_tokens, Ending::CleanEof)),
        FaultEffect::Stall {
            after_tokens,
            lasts: None,
        } => Some((after_tokens, Ending::Silence)),
        _ => None,
    };
    if let Some((after, ending)) = breaking {
        course.ending = ending;
        // A unary answer is generated whole and breaks on its way.
        if ask.streams {
            course.schedule.cut(strike(after));
        }
        return;
    }
    match effect {
        FaultEffect::Stall {
            after_tokens,
            lasts: Some(lasts),
        } => {
            let pause = Micros(draws(Purpose::StallLength).whole(lasts)).min(MAX_WAIT);
            course.schedule.stall(strike(after_tokens), pause);
        }
        FaultEffect::ContentFilter { after_tokens } => {
            let after = if after_tokens.is_none() {
                0
            } else {
                strike(after_tokens)
            };
            course.schedule.cut(after);
            course.limit = Some(Limit::Filter);
        }
        FaultEffect::MissingDone => course.ending = Ending::NoTerminator,
        FaultEffect::MalformedFrame { after_tokens } => {
            course.quirk = last_index(visible).map(|last| Quirk::MalformedBefore(strike(after_tokens).min(last)));
        }
        FaultEffect::DuplicateFrame { after_tokens } => {
            course.quirk = last_index(visible).map(|last| Quirk::Twice(strike(after_tokens).min(last)));
        }
        FaultEffect::Trickle { bytes, every } => {
            course.quirk = Some(Quirk::Trickle {
                bytes: *bytes,
                every: *every,
            });
        }
        FaultEffect::GarbageOutput => course.quirk = Some(Quirk::Garbage),
        _ => {}
    }
}

fn last_index(tokens: u64) -> Option<u64> {
    tokens.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{ask_at, fault, lognormal, plan, plan_with, spike};

    fn ask(prompt: u64, attempt: u32, max_tokens: u64) -> Ask {
        Ask {
            attempt,
            max_tokens,
            ..ask_at(prompt, Micros::from_secs(1))
        }
    }

    fn course_of(decision: Decision) -> Course {
        match decision {
            Decision::Answer(course) => course,
            other => panic!("no answer: {other:?}"),
        }
    }

    fn answer(decision: Decision) -> (Schedule, bool) {
        let course = course_of(decision);
        (course.schedule, course.limit == Some(Limit::MaxTokens))
    }

    fn suffering(effect: FaultEffect, streams: bool) -> Decision {
        let ask = Ask {
            streams,
            ..ask(7, 0, 100)
        };
        decide(&plan(), SeedTree::new(1), Some(&fault(effect)), &ask)
    }

    const fn after(tokens: f64) -> Distribution {
        Distribution::Constant { value: tokens }
    }

    #[test]
    fn tokens_fall_due_at_first_token_plus_the_gaps() {
        let (schedule, cut) = answer(decide(&plan(), SeedTree::new(1), None, &ask(7, 0, 100)));
        assert_eq!(schedule.visible(), 5);
        assert!(!cut);
        let due: Vec<u64> = (0..5).map(|n| schedule.due(n).0).collect();
        assert_eq!(due, [1_100_000, 1_110_000, 1_120_000, 1_130_000, 1_140_000]);
        assert_eq!(schedule.due_by(Micros(1_099_999)), 0);
        assert_eq!(schedule.due_by(Micros(1_100_000)), 1);
        assert_eq!(schedule.due_by(Micros(1_139_999)), 4);
        assert_eq!(schedule.due_by(schedule.end()), 5);
    }

    #[test]
    fn the_request_limit_cuts_and_an_exact_fit_does_not() {
        let tokens = |max| {
            let (schedule, cut) = answer(decide(&plan(), SeedTree::new(1), None, &ask(7, 0, max)));
            (schedule.visible(), cut)
        };
        assert_eq!(tokens(4), (4, true));
        assert_eq!(tokens(5), (5, false));
        assert_eq!(tokens(6), (5, false));
    }

    #[test]
    fn length_depends_on_the_prompt_alone_and_pace_on_provider_and_attempt() {
        let mut one = plan();
        one.output_tokens = Distribution::Uniform { min: 1.0, max: 900.0 };
        one.first_token = lognormal(350_000.0, 1_200_000.0);
        let mut other = one.clone();
        other.name = "other".to_owned();
        let seed = SeedTree::new(3);
        let base = answer(decide(&one, seed, None, &ask(7, 0, 1_000))).0;
        for (plan, attempt) in [(&one, 1), (&other, 0)] {
            let again = answer(decide(plan, seed, None, &ask(7, attempt, 1_000))).0;
            assert_eq!(again.visible(), base.visible());
            assert_ne!(again.first(), base.first());
        }
        let next = answer(decide(&one, seed, None, &ask(8, 0, 1_000))).0;
        assert_ne!(next.visible(), base.visible());
    }

    #[test]
    fn a_spike_replaces_only_what_it_names() {
        let mut plan = plan();
        plan.inter_token = lognormal(10_000.0, 30_000.0);
        let seed = SeedTree::new(5);
        let calm = answer(decide(&plan, seed, None, &ask(1, 0, 100))).0;
        let fault = spike(Some(Distribution::Constant { value: 3e6 }), None);
        let slow = answer(decide(&plan, seed, Some(&fault), &ask(1, 0, 100))).0;
        assert_eq!(slow.first(), Micros::from_secs(4));
        assert_eq!(slow.end().since(slow.first()), calm.end().since(calm.first()));
    }

    #[test]
    fn who_goes_on_says_the_rest_only_and_nothing_if_nothing_is_left() {
        let visible = |begun| {
            let ask = Ask {
                begun,
                ..ask(7, 0, 100)
            };
            let course = course_of(decide(&plan(), SeedTree::new(1), None, &ask));
            (course.schedule.visible(), course.wanted, course.limit)
        };
        assert_eq!(visible(2), (3, 3, None));
        assert_eq!(visible(5), (0, 0, None));
        assert_eq!(visible(9), (0, 0, None));
    }

    #[test]
    fn an_absurd_draw_is_held_to_the_bound() {
        let mut plan = plan();
        plan.first_token = Distribution::Constant { value: 1e18 };
        let (schedule, _) = answer(decide(&plan, SeedTree::new(1), None, &ask(1, 0, 1)));
        assert_eq!(schedule.first(), Micros::from_secs(1).plus(MAX_WAIT));
    }

    #[test]
    fn who_thinks_first_is_later_and_needs_room_for_it() {
        let plan = plan_with(|plan| plan.reasoning_tokens = Distribution::Constant { value: 3.0 });
        let course = |max| course_of(decide(&plan, SeedTree::new(1), None, &ask(7, 0, max)));
        let whole = course(100);
        assert_eq!(whole.schedule.hidden(), 3);
        assert_eq!(whole.schedule.visible(), 5);
        assert_eq!(
            whole.schedule.first(),
            Micros(1_130_000),
            "three gaps after the first thought"
        );
        assert_eq!(
            (course(6).schedule.visible(), course(6).limit),
            (3, Some(Limit::MaxTokens))
        );
        let only_thought = course(3);
        assert_eq!(
            (only_thought.schedule.hidden(), only_thought.schedule.visible()),
            (3, 0)
        );
        assert_eq!(only_thought.schedule.first(), only_thought.schedule.end());
    }

    #[test]
    fn prompt_tokens_to_be_read_and_slowness_make_the_first_token_later() {
        let plan = plan_with(|plan| plan.prefill = Micros(50));
        let ask = Ask {
            prefill_tokens: 1_000,
            slowness: 3.0,
            begins: Micros::from_secs(2),
            ..ask(7, 0, 100)
        };
        let schedule = course_of(decide(&plan, SeedTree::new(1), None, &ask)).schedule;
        assert_eq!(schedule.first(), Micros(2_000_000 + 3 * (100_000 + 50_000)));
        assert_eq!(schedule.end().since(schedule.first()), Micros(3 * 40_000));
    }

    #[test]
    fn a_stream_breaks_off_where_the_fault_says_and_in_the_middle_if_it_does_not() {
        for (effect, ending) in [
            (
                FaultEffect::CleanEof {
                    after_tokens: Some(after(3.0)),
                },
                Ending::CleanEof,
            ),
            (
                FaultEffect::FinWithoutTerminator {
                    after_tokens: Some(after(3.0)),
                },
                Ending::Fin,
            ),
            (
                FaultEffect::ResetMidStream {
                    after_tokens: Some(after(3.0)),
                },
                Ending::Reset,
            ),
            (
                FaultEffect::ErrorEvent {
                    after_tokens: Some(after(3.0)),
                    status: 529,
                },
                Ending::Error(529),
            ),
            (
                FaultEffect::Stall {
                    after_tokens: Some(after(3.0)),
                    lasts: None,
                },
                Ending::Silence,
            ),
        ] {
            let course = course_of(suffering(effect, true));
            assert_eq!((course.schedule.visible(), course.ending), (3, ending));
            assert!(course.ending.is_broken());
        }
        let middle = course_of(suffering(FaultEffect::CleanEof { after_tokens: None }, true));
        assert_eq!(middle.schedule.visible(), 2);
        let beyond = course_of(suffering(
            FaultEffect::CleanEof {
                after_tokens: Some(after(99.0)),
            },
            true,
        ));
        assert_eq!(beyond.schedule.visible(), 5, "after the last token, before the end");
    }

    #[test]
    fn a_unary_answer_breaks_as_a_whole() {
        let cut = course_of(suffering(
            FaultEffect::ResetMidStream {
                after_tokens: Some(after(1.0)),
            },
            false,
        ));
        assert_eq!((cut.schedule.visible(), cut.ending), (5, Ending::Reset));
        let half = course_of(suffering(FaultEffect::MalformedFrame { after_tokens: None }, false));
        assert_eq!((half.ending, half.quirk), (Ending::CleanEof, None));
        let silent = FaultEffect::Stall {
            after_tokens: None,
            lasts: None,
        };
        assert_eq!(suffering(silent, false), Decision::Silence);
        let event = FaultEffect::ErrorEvent {
            after_tokens: None,
            status: 500,
        };
        assert!(matches!(
            suffering(event, false),
            Decision::Error(Refusal::Status { status: 500, .. })
        ));
    }

    #[test]
    fn a_stall_that_ends_delays_what_comes_after_it() {
        let stall = FaultEffect::Stall {
            after_tokens: Some(after(2.0)),
            lasts: Some(after(5e6)),
        };
        let course = course_of(suffering(stall, true));
        let due: Vec<u64> = (0..5).map(|n| course.schedule.due(n).0).collect();
        assert_eq!(due, [1_100_000, 1_110_000, 6_120_000, 6_130_000, 6_140_000]);
        assert_eq!(course.ending, Ending::Complete);
    }

    #[test]
    fn a_filter_takes_effect_at_once_unless_it_says_where() {
        let at_once = course_of(suffering(FaultEffect::ContentFilter { after_tokens: None }, true));
        assert_eq!((at_once.schedule.visible(), at_once.limit), (0, Some(Limit::Filter)));
        assert_eq!(at_once.ending, Ending::Complete);
        let later = course_of(suffering(
            FaultEffect::ContentFilter {
                after_tokens: Some(after(4.0)),
            },
            false,
        ));
        assert_eq!(later.schedule.visible(), 4);
    }
}
