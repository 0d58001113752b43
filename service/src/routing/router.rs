//! The decision. Pure: it is told what is known and answers.
//!
//! First the policy ranks all providers; whoever a request asks for by name goes before them. Then comes what no policy
//! overrules: a provider without room for the prompt is left out, and so is one that the purse does not cover; one
//! whose room is doubtful goes last, as does one that is failing where others may stand in for it. When the purse is low,
//! the cheapest is first. Where nobody may stand in for anybody, the first is the only one.

use std::time::Duration;

use super::candidate::{Candidate, Load, Room};
use super::reason::{Cause, Reason};
use super::{Policy, Route, RouteSettings};
use crate::draws::{Purpose, bits};
use crate::settings::{Settings, Usd};
use crate::upstream::estimate;

/// A purse that covers fewer requests like this one is low.
const LOW: u64 = 10;

/// What a request wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The provider that it asks for by name.
    pub(crate) named: Option<usize>,
    /// What it says that it is for.
    pub(crate) task: Option<&'a str>,
    pub(crate) prompt_bytes: usize,
    pub(crate) messages: usize,
    pub(crate) max_tokens: Option<u32>,
    /// Names the request where chance decides.
    pub(crate) request_id: &'a str,
}

/// What is known of a provider at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outlook {
    /// How soon it is expected to begin; nothing if it was not tried lately.
    pub(crate) begins_in: Duration,
    /// Whether it is known to fail.
    pub(crate) failing: bool,
}

/// Nobody has room for the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom {
    /// Tokens that are needed, about.
    pub(crate) needed: u64,
    /// Tokens that the largest window takes.
    pub(crate) window: u64,
}

/// Decides for one instance.
#[derive(Debug)]
pub(crate) struct Router {
    settings: RouteSettings,
    fallback: bool,
    candidates: Vec<Candidate>,
    seed: u64,
}

impl Router {
    pub(crate) fn new(settings: &Settings, seed: u64) -> Self {
        Self {
            settings: settings.route,
            fallback: settings.fallback,
            candidates: settings.providers.iter().map(Candidate::new).collect(),
            seed,
        }
    }

    /// Who is to be asked for `wanted`, with an outlook for each provider and, for a key with a budget, what is left of it.
    pub(crate) fn decide(&self, wanted: Wanted<'_>, outlook: &[Outlook], purse: Option<Usd>) -> Result<Route, NoRoom> {
        let decision = Decision {
            router: self,
            load: load(wanted),
            wanted,
            outlook,
            purse,
        };
        decision.route()
    }

    /// The bound of an answer for which nobody named one, from the first of `route`: so that its window is not said to be
    /// too small because of a bound that nobody asked for.
    pub(crate) fn longest_answer(&self, route: &Route, prompt_bytes: usize) -> u32 {
        let first = route.order.first().and_then(|place| self.candidates.get(*place));
        let room = first.map_or(u64::MAX, |first| first.answer_room(prompt_bytes));
        u32::try_from(room).map_or(estimate::LONGEST_ANSWER, |room| room.min(estimate::LONGEST_ANSWER))
    }
}

fn load(wanted: Wanted<'_>) -> Load {
    Load {
        least: estimate::at_least(wanted.prompt_bytes),
        likely: estimate::likely(wanted.prompt_bytes),
        most: estimate::at_most(wanted.prompt_bytes, wanted.messages),
        answer: wanted.max_tokens.map(u64::from),
    }
}

/// One decision on its way.
#[derive(Clone, Copy)]
struct Decision<'a> {
    router: &'a Router,
    wanted: Wanted<'a>,
    load: Load,
    outlook: &'a [Outlook],
    purse: Option<Usd>,
}

impl<'a> Decision<'a> {
    fn route(self) -> Result<Route, NoRoom> {
        let ranked = self.ranked();
        let roomy = self.with_room(&ranked)?;
        let mut order = self.covered(&roomy);
        // Stable: among equals the ranking stands.
        order.sort_by_key(|place| self.demerits(*place));
        let cause = self.cause(&ranked, &roomy, &order);
        if !self.router.fallback {
            order.truncate(1);
        }
        let names: Vec<&str> = order.iter().map(|place| self.name(*place)).collect();
        let reason = Reason::new(cause, &names);
        Ok(Route {
            order,
            preferred: self.preferred(),
            reason,
        })
    }

    /// By policy, and the one that was named before all others; alone, where nobody may stand in for it.
    fn ranked(self) -> Vec<usize> {
        let mut places = self.ranked_by(self.policy());
        if let Some(named) = self.wanted.named {
            places.retain(|place| *place != named && self.router.fallback);
            places.insert(0, named);
        }
        places
    }

    /// Who is to answer, whatever the purse and the health of providers: who was named, else the first by the settings'
    /// policy that has room. Room is a matter of the question alone.
    fn preferred(self) -> usize {
        let ranked = self.ranked_by(self.router.settings.policy);
        let roomiest = ranked.into_iter().min_by_key(|place| self.room(*place));
        self.wanted.named.or(roomiest).unwrap_or_default()
    }

    fn ranked_by(self, policy: Policy) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.router.candidates.len()).collect();
        match policy {
            Policy::Order => {}
            Policy::Cost => places.sort_by_key(|place| self.expected_nanos(*place).unwrap_or(u64::MAX)),
            Policy::Latency => places.sort_by_key(|place| (self.state(*place).begins_in, self.lot(*place))),
            Policy::Task => places.sort_by_key(|place| self.candidate(*place).distance(self.wanted.task)),
        }
        places
    }

    /// Those that have room for the prompt, or may have.
    fn with_room(self, places: &[usize]) -> Result<Vec<usize>, NoRoom> {
        let fits = |place: &usize| self.room(*place) < Room::None;
        let roomy: Vec<usize> = places.iter().copied().filter(fits).collect();
        if !roomy.is_empty() {
            return Ok(roomy);
        }
        let windows = places.iter().filter_map(|place| self.candidate(*place).window());
        Err(NoRoom {
            needed: self.tokens(),
            window: windows.max().unwrap_or_default(),
        })
    }

    /// Those whose worst case the purse covers. If it covers nobody's, the cheapest, whom the budget will refuse.
    fn covered(self, places: &[usize]) -> Vec<usize> {
        let Some(left) = self.purse else {
            return places.to_vec();
        };
        let worst = |place: &usize| self.candidate(*place).worst(self.load).unwrap_or_default();
        let covered: Vec<usize> = places.iter().copied().filter(|place| worst(place) <= left).collect();
        if !covered.is_empty() {
            return covered;
        }
        places.iter().copied().min_by_key(worst).into_iter().collect()
    }

    /// What puts a provider behind the others. Nothing does for the one that was asked for by name.
    fn demerits(self, place: usize) -> (bool, Room) {
        if self.wanted.named == Some(place) {
            return (false, Room::Enough);
        }
        (self.left_for_failing(place), self.room(place))
    }

    /// Whether others go before it because it is failing: not where nobody may stand in for anybody.
    fn left_for_failing(self, place: usize) -> bool {
        self.router.fallback && self.state(place).failing
    }

    /// Why the first of `order` is the first, and not the first of `ranked`.
    fn cause(self, ranked: &[usize], roomy: &[usize], order: &[usize]) -> Cause<'a> {
        let (Some(first), Some(preferred)) = (order.first().copied(), ranked.first().copied()) else {
            return Cause::Order;
        };
        let name = self.name(preferred);
        let window = Cause::Window {
            preferred: name,
            tokens: self.tokens(),
        };
        let budget = self.purse.map(|left| Cause::Budget { left });
        if self.wanted.named == Some(first) {
            Cause::Asked
        } else if first == preferred {
            budget
                .filter(|_| self.is_low())
                .unwrap_or_else(|| self.by_policy(first))
        } else if !roomy.contains(&preferred) {
            window
        } else if let Some(budget) = budget.filter(|_| !order.contains(&preferred)) {
            budget
        } else if self.left_for_failing(preferred) {
            Cause::Health { preferred: name }
        } else {
            window
        }
    }

    fn by_policy(self, first: usize) -> Cause<'a> {
        match self.router.settings.policy {
            Policy::Order => Cause::Order,
            Policy::Cost => Cause::Cost(self.expected_nanos(first)),
            Policy::Latency => Cause::Latency(self.state(first).begins_in),
            Policy::Task => Cause::Task(self.wanted.task),
        }
    }

    /// A purse that is low knows only one policy.
    fn policy(self) -> Policy {
        if self.is_low() {
            Policy::Cost
        } else {
            self.router.settings.policy
        }
    }

    fn is_low(self) -> bool {
        let worst = self.router.candidates.iter().filter_map(|of| of.worst(self.load)).max();
        let (Some(left), Some(worst)) = (self.purse, worst) else {
            return false;
        };
        left.micros() < worst.micros().saturating_mul(LOW)
    }

    fn room(self, place: usize) -> Room {
        if self.router.settings.check_window {
            self.candidate(place).room(self.load)
        } else {
            Room::Enough
        }
    }

    fn expected_nanos(self, place: usize) -> Option<u64> {
        self.candidate(place).expected_nanos(self.load)
    }

    /// What the prompt and the answer asked for come to, most likely.
    const fn tokens(self) -> u64 {
        let answer = match self.load.answer {
            Some(answer) => answer,
            None => 0,
        };
        self.load.likely.saturating_add(answer)
    }

    /// Decides between providers that are alike.
    fn lot(self, place: usize) -> u128 {
        bits(self.router.seed, Purpose::Route, self.wanted.request_id, place as u64)
    }

    fn state(self, place: usize) -> Outlook {
        self.outlook.get(place).copied().unwrap_or_default()
    }

    fn candidate(self, place: usize) -> &'a Candidate {
        &self.router.candidates[place]
    }

    fn name(self, place: usize) -> &'a str {
        &self.candidate(place).name
    }
}

#[cfg(test)]
mod tests;
