//! What was said of an answer so far, for all who read along, each at a pace of its own.
//!
//! Who comes late is given what was said before in one piece. Bounded: an answer that grows beyond the bound takes nobody on
//! any more and forgets what all have read; whoever is so far behind that it is forgotten is cut off.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::models::{Done, Event};
use crate::error::Error;
use crate::sync::lock;
use crate::upstream::Usage;

/// Bytes of an answer that are kept for those who come late or read slowly.
const MOST: usize = 4 << 20;
/// What a piece takes besides its text, in bytes.
const PIECE: usize = 64;
/// A reader that is more pieces behind is given the rest in one.
const STEP: usize = 16;

/// The answer so far.
#[derive(Debug)]
pub(super) struct Log {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Whose words they are: from which piece on, counted from the first. One for each model that took over.
    models: Vec<(usize, String)>,
    /// Pieces that were forgotten, and those that were not.
    forgotten: usize,
    pieces: VecDeque<Arc<str>>,
    bytes: usize,
    usage: Option<Usage>,
    over: Option<Result<Done, Error>>,
    /// The readers, by what they have read.
    readers: BTreeMap<u64, Read>,
    turn: u64,
}

/// What a reader has read.
#[derive(Debug, Clone, Copy, Default)]
struct Read {
    models: usize,
    pieces: usize,
    usage: bool,
}

/// What a reader finds.
#[derive(Debug)]
pub(super) enum Found {
    /// The next event.
    Event(Event),
    /// The end.
    Over(Result<Done, Error>),
    /// What it had not read yet is forgotten.
    Lost,
}

impl Log {
    /// Nothing was said yet, and one reader waits for it.
    pub(super) fn with_reader() -> (Self, u64) {
        let mut state = State::default();
        let reader = state.board();
        let log = Self {
            state: Mutex::new(state),
            news: Notify::new(),
        };
        (log, reader)
    }

    /// Writes down what was said.
    pub(super) fn say(&self, event: Event) {
        lock(&self.state).say(event, MOST);
        self.news.notify_waiters();
    }

    /// Nothing more will be said.
    pub(super) fn end(&self, how: Result<Done, Error>) {
        lock(&self.state).over = Some(how);
        self.news.notify_waiters();
    }

    /// A new reader, unless it is too late for one.
    pub(super) fn board(&self) -> Option<u64> {
        let mut state = lock(&self.state);
        let too_late = state.forgotten > 0 || state.over.is_some();
        (!too_late).then(|| state.board())
    }

    /// A reader is gone.
    pub(super) fn leave(&self, reader: u64) {
        lock(&self.state).readers.remove(&reader);
    }

    /// What `reader` has not read yet, if there is something.
    pub(super) fn next(&self, reader: u64) -> Option<Found> {
        lock(&self.state).next(reader)
    }

    /// Wakes when something is said. To be made before looking.
    pub(super) fn news(&self) -> Notified<'_> {
        self.news.notified()
    }

    /// All that was said, where all of it is still known.
    pub(super) fn text(&self) -> Option<(String, Option<Usage>)> {
        let state = lock(&self.state);
        let text = || state.pieces.iter().map(AsRef::as_ref).collect();
        (state.forgotten == 0).then(|| (text(), state.usage))
    }
}

impl State {
    fn board(&mut self) -> u64 {
        self.turn += 1;
        self.readers.insert(self.turn, Read::default());
        self.turn
    }

    fn say(&mut self, event: Event, most: usize) {
        match event {
            Event::Begin { model } => self.models.push((self.forgotten + self.pieces.len(), model)),
            Event::Delta(text) => {
                self.bytes += text.len() + PIECE;
                self.pieces.push_back(text.into());
                self.forget(most);
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Error(error) => self.over = Some(Err(error)),
            Event::Done(done) => self.over = Some(Ok(done)),
        }
    }

    /// Forgets what is beyond the bound, but never the last piece.
    fn forget(&mut self, most: usize) {
        while self.bytes > most && self.pieces.len() > 1 {
            if let Some(piece) = self.pieces.pop_front() {
                self.bytes -= piece.len() + PIECE;
                self.forgotten += 1;
            }
        }
    }

    fn next(&mut self, reader: u64) -> Option<Found> {
        let read = self.readers.get_mut(&reader)?;
        let change = self.models.get(read.models);
        if let Some((_, model)) = change.filter(|(from, _)| *from <= read.pieces) {
            read.models += 1;
            let model = model.clone();
            return Some(Found::Event(Event::Begin { model }));
        }
        let Some(at) = read.pieces.checked_sub(self.forgotten) else {
            return Some(Found::Lost);
        };
        // No piece holds the words of two.
        let until = change.map_or(self.pieces.len(), |(from, _)| from - self.forgotten);
        let unread = until - at;
        if unread > 0 {
            let taken = if unread > STEP { unread } else { 1 };
            read.pieces += taken;
            let text = self.pieces.range(at..at + taken).map(AsRef::as_ref).collect();
            return Some(Found::Event(Event::Delta(text)));
        }
        if let Some(usage) = self.usage.filter(|_| !read.usage) {
            read.usage = true;
            return Some(Found::Event(Event::Usage(usage)));
        }
        self.over.clone().map(Found::Over)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delta(text: &str) -> Event {
        Event::Delta(text.to_owned())
    }

    fn said(log: &Log, reader: u64) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(found) = log.next(reader) {
            said.push(match found {
                Found::Event(Event::Delta(text)) => text,
                Found::Event(Event::Begin { model }) => format!("<{model}>"),
                Found::Event(Event::Usage(usage)) => format!("<{}>", usage.completion_tokens),
                Found::Event(_) => unreachable!(),
                Found::Over(how) => {
                    said.push(if how.is_ok() { "<done>" } else { "<error>" }.to_owned());
                    break;
                }
                Found::Lost => {
                    said.push("<lost>".to_owned());
                    break;
                }
            });
        }
        said
    }

    #[test]
    fn who_comes_late_is_given_what_was_said_and_then_reads_along() {
        let (log, first) = Log::with_reader();
        log.say(Event::Begin { model: "m".to_owned() });
        for _ in 0..20 {
            log.say(delta("x"));
            assert!(said(&log, first).concat().ends_with('x'));
        }
        let late = log.board().unwrap();
        assert_eq!(said(&log, late), ["<m>", &"x".repeat(20)]);
        log.say(delta("y"));
        log.say(Event::Usage(Usage {
            prompt_tokens: 1,
            completion_tokens: 21,
        }));
        log.end(Err(Error::Truncated));
        for reader in [first, late] {
            assert_eq!(said(&log, reader), ["y", "<21>", "<error>"]);
        }
        assert_eq!(log.board(), None, "it is over");
    }

    #[test]
    fn every_reader_is_told_whose_words_they_are_where_another_model_takes_over() {
        let begin = |model: &str| Event::Begin {
            model: model.to_owned(),
        };
        let (log, first) = Log::with_reader();
        let mut along = Vec::new();
        let mut say = |event: Event| {
            log.say(event);
            along.extend(said(&log, first));
        };
        say(begin("m1"));
        for _ in 0..20 {
            say(delta("x"));
        }
        say(begin("m2"));
        let late = log.board().unwrap();
        for _ in 0..20 {
            say(delta("y"));
        }
        assert_eq!(along.concat(), format!("<m1>{}<m2>{}", "x".repeat(20), "y".repeat(20)));
        assert_eq!(said(&log, late), ["<m1>", &"x".repeat(20), "<m2>", &"y".repeat(20)]);
    }

    #[test]
    fn who_falls_behind_the_bound_is_cut_off_and_who_keeps_up_is_not() {
        let mut state = State {
            readers: BTreeMap::from([(1, Read::default()), (2, Read::default())]),
            ..State::default()
        };
        let most = 3 * (PIECE + 1);
        for n in 0..10 {
            state.say(delta("x"), most);
            assert!(matches!(state.next(1), Some(Found::Event(Event::Delta(_)))), "{n}");
        }
        assert_eq!((state.forgotten, state.pieces.len()), (7, 3));
        assert!(matches!(state.next(2), Some(Found::Lost)));
        let whole = "x".repeat(10 * most);
        state.say(delta(&whole), most);
        let next = state.next(1);
        assert!(matches!(next, Some(Found::Event(Event::Delta(text))) if text == whole));
    }

    fn begin(n: usize) -> Event {
        Event::Begin { model: n.to_string() }
    }

    fn heard(event: Event) -> String {
        match event {
            Event::Begin { model } => format!("<{model}>"),
            Event::Delta(text) => text,
            _ => String::new(),
        }
    }

    proptest! {
        #[test]
        fn every_reader_reads_all_of_it_once_in_order_whenever_it_comes(
            steps in proptest::collection::vec((0_usize..5, 0_usize..5), 1..150),
        ) {
            let (log, _) = Log::with_reader();
            let (mut all, mut readers) = (String::new(), Vec::new());
            for (n, (what, who)) in steps.into_iter().enumerate() {
                match what {
                    0 => readers.push((log.board().unwrap(), String::new())),
                    1 if !readers.is_empty() => {
                        let who = who % readers.len();
                        let (reader, read) = &mut readers[who];
                        if let Some(Found::Event(event)) = log.next(*reader) {
                            read.push_str(&heard(event));
                        }
                        prop_assert!(all.starts_with(&*read));
                    }
                    2 => {
                        all.push_str(&heard(begin(n)));
                        log.say(begin(n));
                    }
                    _ => {
                        let text = format!("{n} ");
                        all.push_str(&text);
                        log.say(Event::Delta(text));
                    }
                }
            }
            log.end(Err(Error::Truncated));
            for (reader, mut read) in readers {
                while let Some(Found::Event(event)) = log.next(reader) {
                    read.push_str(&heard(event));
                }
                prop_assert_eq!(&read, &all);
            }
        }
    }
}
