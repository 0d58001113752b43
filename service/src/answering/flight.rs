//! A call that is under way for everybody who reads along: it ends with its answer, or with its last reader.
//!
//! The call belongs to its readers together. Whoever is awake drives it, so a reader that takes nothing holds nobody up, and
//! one reader alone takes the answer at its own pace. The last one to leave drops it, and with it the connection to the
//! provider. Does not know which questions are the same; that is [`crate::cache`]'s.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::log::{Found, Log};
use super::models::Done;
use super::out::Mode;
use crate::cache::Key;
use crate::error::Error;
use crate::resilience::deadline::Deadline;
use crate::sync::lock;
use crate::telemetry::Trace;

/// The calls of an instance that others may join.
#[derive(Default)]
pub(crate) struct Flights {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    flights: BTreeMap<(Sharing, Mode), (u64, Weak<Flight>)>,
    begun: u64,
}

/// What has to be equal for a call to be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sharing {
    pub(super) key: Key,
    /// Whether the answer has a bound that the question does not set: who has no limits gets no answer that is cut off by
    /// somebody else's.
    pub(super) bounded: bool,
}

/// A call under way.
struct Flight {
    log: Arc<Log>,
    work: Shared<BoxFuture<'static, ()>>,
    /// Of the request that it was begun for.
    trace: Trace,
    deadline: Deadline,
    listed: Option<Listed>,
}

/// Where a flight can be found.
struct Listed {
    flights: Weak<Flights>,
    under: (Sharing, Mode),
    number: u64,
}

/// Who reads along. Dropping it is leaving.
pub(super) struct Reader {
    flight: Arc<Flight>,
    /// Until it is done.
    work: Option<Shared<BoxFuture<'static, ()>>>,
    number: u64,
}

/// How somebody came by a call.
pub(super) enum Boarded {
    /// It was begun for this one.
    Led(Reader),
    /// It was under way.
    Joined(Reader),
}

impl Flights {
    /// Joins the call under `sharing`, or begins it with `call` for somebody with that trace and deadline. Who wants the
    /// whole answer may read a stream along; who wants a stream would learn nothing before the end from a call for the
    /// whole.
    pub(super) fn board<F>(
        self: &Arc<Self>,
        sharing: Sharing,
        mode: Mode,
        trace: &Trace,
        deadline: &Deadline,
        call: impl FnOnce(Arc<Log>) -> F,
    ) -> Boarded
    where
        F: Future<Output = Result<Done, Error>> + Send + 'static,
    {
        // Dropped after the lock is free again: the last holder of a flight takes it off the list.
        let mut seen = Vec::new();
        let mut open = lock(&self.open);
        let joinable: &[Mode] = match mode {
            Mode::Stream => &[Mode::Stream],
            Mode::Whole => &[Mode::Stream, Mode::Whole],
        };
        for mode in joinable {
            let known = open.flights.get(&(sharing, *mode));
            if let Some(flight) = known.and_then(|(_, flight)| flight.upgrade()) {
                let reader = flight.lasts(deadline).then(|| Reader::joining(&flight)).flatten();
                if let Some(reader) = reader {
                    flight.trace.shared_with(trace);
                    return Boarded::Joined(reader);
                }
                seen.push(flight);
            }
        }
        open.begun += 1;
        let listed = Listed {
            flights: Arc::downgrade(self),
            under: (sharing, mode),
            number: open.begun,
        };
        let number = listed.number;
        let reader = Reader::begin(Some(listed), trace, deadline, call);
        open.flights
            .insert((sharing, mode), (number, Arc::downgrade(&reader.flight)));
        Boarded::Led(reader)
    }

    /// Begins a call that nobody can join.
    pub(super) fn alone<F>(trace: &Trace, deadline: &Deadline, call: impl FnOnce(Arc<Log>) -> F) -> Reader
    where
        F: Future<Output = Result<Done, Error>> + Send + 'static,
    {
        Reader::begin(None, trace, deadline, call)
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        lock(&self.open).flights.len()
    }
}

impl Flight {
    /// Whether it lasts at least half as long as somebody with that deadline can wait: it ends for all when the time of the
    /// one in front is up.
    fn lasts(&self, deadline: &Deadline) -> bool {
        match (self.deadline.remaining(), deadline.remaining()) {
            (Some(left), Some(wanted)) => left * 2 >= wanted,
            (left, _) => left.is_none(),
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(listed) = &self.listed else { return };
        let Some(flights) = listed.flights.upgrade() else {
            return;
        };
        let open = &mut lock(&flights.open).flights;
        // Another may have taken its place.
        if open
            .get(&listed.under)
            .is_some_and(|(number, _)| *number == listed.number)
        {
            open.remove(&listed.under);
        }
    }
}

impl Reader {
    /// Begins a call, with its first reader.
    fn begin<F>(listed: Option<Listed>, trace: &Trace, deadline: &Deadline, call: impl FnOnce(Arc<Log>) -> F) -> Self
    where
        F: Future<Output = Result<Done, Error>> + Send + 'static,
    {
        let (log, number) = Log::with_reader();
        let log = Arc::new(log);
        let (call, told) = (call(Arc::clone(&log)), Arc::clone(&log));
        let work = async move { told.end(call.await) }.boxed().shared();
        let flight = Flight {
            log,
            work: work.clone(),
            trace: trace.clone(),
            deadline: *deadline,
            listed,
        };
        Self {
            flight: Arc::new(flight),
            work: Some(work),
            number,
        }
    }

    /// One more reader of `flight`, unless it is too late for one.
    fn joining(flight: &Arc<Flight>) -> Option<Self> {
        Some(Self {
            number: flight.log.board()?,
            flight: Arc::clone(flight),
            work: Some(flight.work.clone()),
        })
    }

    /// What is said next.
    pub(super) async fn next(&mut self) -> Found {
        loop {
            let news = self.flight.log.news();
            if let Some(found) = self.flight.log.next(self.number) {
                return found;
            }
            let Some(work) = &mut self.work else {
                // It is over, and said so; kept from waiting for ever all the same.
                return Found::Over(Err(Error::ShuttingDown));
            };
            tokio::select! {
                biased;
                () = news => {}
                () = work => self.work = None,
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.flight.log.leave(self.number);
    }
}
