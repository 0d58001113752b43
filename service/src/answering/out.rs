//! Where the pieces of an answer go: to a client who reads along, or together until the answer is whole.

use std::sync::Mutex;

use super::log::Log;
use super::models::{Answer, Done, Event};
use crate::resilience::disconnect::Sink;
use crate::sync::lock;
use crate::upstream::Usage;

/// How the provider is asked. A stream gives no less than a whole answer does, but not the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// For a stream of pieces.
    Stream,
    /// For the whole answer.
    Whole,
}

/// Where the pieces go.
#[derive(Clone, Copy)]
pub(super) enum Out<'a> {
    /// Nobody sees anything before all of it is there.
    Whole(&'a Collected),
    /// Each goes out at once.
    Stream(&'a Sink<Event>),
    /// Each is written down at once, for all who read along.
    Log(&'a Log, Mode),
}

/// The pieces of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Collected(Mutex<(String, Option<Usage>)>);

impl Out<'_> {
    /// How the provider is to be asked.
    pub(super) const fn mode(self) -> Mode {
        match self {
            Self::Whole(_) => Mode::Whole,
            Self::Stream(_) => Mode::Stream,
            Self::Log(_, mode) => mode,
        }
    }

    /// Hands a piece on.
    pub(super) async fn send(self, event: Event) {
        match self {
            Self::Whole(collected) => collected.take(event),
            Self::Stream(sink) => sink.send(event).await,
            Self::Log(log, _) => log.say(event),
        }
    }
}

impl Collected {
    fn take(&self, event: Event) {
        let mut parts = lock(&self.0);
        match event {
            Event::Delta(text) if parts.0.is_empty() => parts.0 = text,
            Event::Delta(text) => parts.0.push_str(&text),
            Event::Usage(usage) => parts.1 = Some(usage),
            Event::Begin { .. } | Event::Error(_) | Event::Done(_) => {}
        }
    }

    /// The whole, which ended with `done`.
    pub(super) fn answer(self, done: Done) -> Answer {
        let (content, usage) = self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Answer { content, usage, done }
    }
}
