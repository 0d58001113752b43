//! Routing: who may be asked, in which order, and why.
//!
//! - `router`: the decision, by policy and by what always holds (room for the prompt, money, health). Pure.
//! - `candidate`: what the settings say of a provider, as far as it matters here. `pace`: how soon it begins to answer.
//! - `reason`: why the first one is the first, in a word and in a sentence.
//!
//! That a provider fails in the middle of a call is not its business; that is [`crate::resilience::fallback`]'s, which
//! walks along the order that is given here.

mod candidate;
mod pace;
mod reason;
mod router;

use std::time::Duration;

pub(crate) use self::pace::{Kind, Pace, Try};
pub(crate) use self::reason::Reason;
pub(crate) use self::router::{NoRoom, Outlook, Router, Wanted};

/// Parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteSettings {
    /// What decides who is asked first.
    pub policy: Policy,
    /// Whether a provider is left out whose context window has no room for the prompt and the answer.
    pub check_window: bool,
    /// How long a slow first token is held against a provider: after so long half as much.
    pub half_life: Duration,
}

/// What decides who is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The settings: the first of the list.
    Order,
    /// The price of this prompt and of an answer to it.
    Cost,
    /// Who lately began to answer soonest.
    Latency,
    /// What the request says that it is for.
    Task,
}

/// Who may be asked, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// Places in the settings' list of providers, the preferred one first. Never empty.
    pub(crate) order: Vec<usize>,
    /// Who would be the first if nobody were failing and money were no matter: what others answer is a makeshift.
    pub(crate) preferred: usize,
    /// Why in this order.
    pub(crate) reason: Reason,
}

impl Route {
    /// To the provider at `place` and to nobody else, because it was asked for.
    pub(crate) fn only(place: usize, name: &str) -> Self {
        Self {
            order: vec![place],
            preferred: place,
            reason: Reason::asked(name),
        }
    }
}

/// Longest word for a task, in bytes.
pub(crate) const LONGEST_TASK: usize = 32;

/// Whether `word` can name a task: short, and without surprises in headers and settings.
pub(crate) fn is_task(word: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=LONGEST_TASK).contains(&word.len()) && word.chars().all(fits)
}
