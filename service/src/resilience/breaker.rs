//! Circuit breaker: a provider that fails is left alone for a while, and asked again by one request at a time.
//!
//! Closed: traffic flows. Open: nothing is sent, and whoever asks is told so at once. Half-open: one probe is under way, and
//! everybody else waits for what becomes of it. Pure: it is told the time and answers. Does not know HTTP, nor which
//! failures count: that is [`super::classes`]'s.

mod window;

use std::time::Duration;

use tokio::time::Instant;

use self::window::Window;

/// Parameters. Without `failures` and `error_ratio` it never opens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerSettings {
    /// So many failures in a row open it. Absent: they don't.
    pub failures: Option<u32>,
    /// Such a share of failures within `window` opens it. Absent: it doesn't.
    pub error_ratio: Option<f64>,
    /// How far back the share looks.
    pub window: Duration,
    /// Attempts within the window before their share says anything.
    pub min_attempts: u32,
    /// How long it stays open at first. Doubles with every probe that fails.
    pub cooldown: Duration,
    /// How long it stays open at most, give or take the jitter.
    pub cooldown_cap: Duration,
}

impl BreakerSettings {
    /// Whether it ever opens.
    pub(crate) const fn is_on(&self) -> bool {
        self.failures.is_some() || self.error_ratio.is_some()
    }
}

/// How far a cooldown is from what the settings say, either way: replicas that opened together do not probe together.
const JITTER: f64 = 0.1;
/// When to ask again while somebody else's probe is under way.
const WHILE_PROBING: Duration = Duration::from_secs(1);

/// Whether an attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admit {
    /// It may.
    Yes(Ticket),
    /// It may, and all others wait for what becomes of it.
    Probe(Ticket),
    /// Not now.
    No {
        /// When it makes sense to ask again.
        retry_in: Duration,
    },
}

/// What an attempt was admitted under. What is told of it later counts only as long as nothing has changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Well.
    Success,
    /// With a failure of the provider's.
    Failure {
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// With a failure that lasts until somebody has seen to it.
    Down,
    /// In a way that says nothing about the provider, or not at all: nobody wanted it any more.
    Nothing,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Traffic flows.
    Closed,
    /// The next attempt is a probe, or one is under way.
    HalfOpen,
    /// Nothing is sent.
    Open,
}

impl Standing {
    /// A word for readiness and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    /// A number for a gauge.
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// What it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { in_a_row: u32 },
    Open { until: Instant },
    Probing,
}

/// Policy: the breaker of one provider.
#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    window: Window,
    /// Times in a row that it opened, without a success in between.
    opened: u32,
    /// Counts the changes of state: what was admitted before the last one says nothing about now.
    era: u64,
}

impl Breaker {
    /// A closed breaker.
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            state: State::Closed { in_a_row: 0 },
            window: Window::over(settings.window),
            opened: 0,
            era: 0,
        }
    }

    /// Whether an attempt may be made now. Whoever gets a yes tells [`Breaker::record`] what came of it, exactly once.
    pub(crate) fn admit(&mut self, now: Instant) -> Admit {
        match self.state {
            State::Closed { .. } => Admit::Yes(Ticket(self.era)),
            State::Open { until } if until <= now => {
                self.enter(State::Probing);
                Admit::Probe(Ticket(self.era))
            }
            State::Open { until } => Admit::No { retry_in: until - now },
            State::Probing => Admit::No {
                retry_in: WHILE_PROBING,
            },
        }
    }

    /// An attempt ended. What was admitted before the last change of state is of no interest any more. `draw` is in
    /// [0, 1), and says how long it stays open if it opens now.
    pub(crate) fn record(&mut self, now: Instant, ticket: Ticket, outcome: Outcome, draw: f64) {
        let jitter = 1.0 - JITTER + 2.0 * JITTER * draw;
        if !self.settings.is_on() || ticket.0 != self.era {
            return;
        }
        match (self.state, outcome) {
            (_, Outcome::Down) => self.open(now, self.settings.cooldown_cap.mul_f64(jitter), None),
            (State::Probing, Outcome::Success) => {
                self.opened = 0;
                self.window = Window::over(self.settings.window);
                self.enter(State::Closed { in_a_row: 0 });
            }
            (State::Probing, Outcome::Failure { retry_after }) => {
                self.open(now, self.next_cooldown().mul_f64(jitter), retry_after);
            }
            // It told nothing: the next attempt is a probe again.
            (State::Probing, Outcome::Nothing) => self.enter(State::Open { until: now }),
            (State::Closed { .. }, Outcome::Success) => {
                self.window.saw(now, false);
                self.state = State::Closed { in_a_row: 0 };
            }
            (State::Closed { in_a_row }, Outcome::Failure { retry_after }) => {
                self.window.saw(now, true);
                let in_a_row = in_a_row.saturating_add(1);
                self.state = State::Closed { in_a_row };
                if self.has_enough_of(in_a_row, now) {
                    self.open(now, self.next_cooldown().mul_f64(jitter), retry_after);
                }
            }
            (State::Closed { .. }, Outcome::Nothing) | (State::Open { .. }, _) => {}
        }
    }

    /// Where it stands. Changes nothing.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match self.state {
            State::Closed { .. } => Standing::Closed,
            State::Open { until } if now < until => Standing::Open,
            State::Open { .. } | State::Probing => Standing::HalfOpen,
        }
    }

    /// Whether an attempt would not be admitted now. Changes nothing.
    pub(crate) fn refuses(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => false,
            State::Open { until } => now < until,
            State::Probing => true,
        }
    }

    fn has_enough_of(&self, in_a_row: u32, now: Instant) -> bool {
        let counted = self.settings.failures.is_some_and(|failures| in_a_row >= failures);
        let (attempts, failed) = self.window.counts(now);
        let ratio =
            |most: f64| attempts >= self.settings.min_attempts && f64::from(failed) >= most * f64::from(attempts);
        counted || self.settings.error_ratio.is_some_and(ratio)
    }

    fn next_cooldown(&self) -> Duration {
        let doubled = self.settings.cooldown.saturating_mul(1 << self.opened.min(16));
        doubled.min(self.settings.cooldown_cap)
    }

    /// Opens for `cooldown`, and not for less than the provider asked for, up to the cap.
    fn open(&mut self, now: Instant, cooldown: Duration, retry_after: Option<Duration>) {
        let floor = retry_after.unwrap_or_default().min(self.settings.cooldown_cap);
        self.opened = self.opened.saturating_add(1);
        self.enter(State::Open {
            until: now + cooldown.max(floor),
        });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }
}

#[cfg(test)]
mod laws;
