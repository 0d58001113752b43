//! Coalescing: of many equal questions at the same time one goes on, and all hear its answer.
//!
//! A failure before the first piece is everybody's, so that none of those who waited asks again. Unless it says nothing
//! about them: the one in front had no money or no time left. Then the next in line goes on, one at a time.

use std::sync::Arc;
use std::time::Duration;

use super::flight::{Boarded, Flights, Reader, Sharing};
use super::log::{Found, Log};
use super::models::Done;
use super::out::Out;
use crate::app::App;
use crate::cache::Question;
use crate::error::Error;
use crate::resilience::deadline::{Deadline, Phase};
use crate::telemetry::Trace;
use crate::telemetry::conventions::{header, span};

/// Where an answer comes from: a provider, asked for this request; or a call that was under way for an equal one.
const MISS: &str = "miss";
const COALESCED: &str = "coalesced";

/// Somebody who asks.
pub(super) struct Asker<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) trace: &'a Trace,
    pub(super) deadline: &'a Deadline,
    /// The name of the answer.
    pub(super) id: &'a str,
    /// Whether the answer has a bound that the question does not set.
    pub(super) bounded: bool,
}

/// Answers `question`, its pieces going to `out`, with the call that is under way for an equal one, or with `call`.
pub(super) async fn answer<F>(
    asker: Asker<'_>,
    question: &Question,
    out: Out<'_>,
    call: impl Fn(Arc<Log>) -> F,
) -> Result<Done, Error>
where
    F: Future<Output = Result<Done, Error>> + Send + 'static,
{
    let Asker {
        app, trace, deadline, ..
    } = asker;
    trace.say(header::CACHE, MISS.to_owned());
    if !app.settings.cache.coalesce || question.freshness.fresh {
        return read(Flights::alone(trace, deadline, call), &asker, out, &mut false).await;
    }
    let sharing = Sharing {
        key: question.key,
        bounded: asker.bounded,
    };
    let mut again = false;
    loop {
        let joined = match app.flights.board(sharing, out.mode(), trace, deadline, &call) {
            Boarded::Led(reader) => {
                app.metrics.coalesced(if again { "led_again" } else { "led" });
                trace.say(header::CACHE, MISS.to_owned());
                return read(reader, &asker, out, &mut false).await;
            }
            Boarded::Joined(reader) => reader,
        };
        app.metrics.coalesced("joined");
        trace.say(header::CACHE, COALESCED.to_owned());
        match follow(joined, &asker, out).await {
            Followed::Answered(answered) => return answered,
            Followed::LeftAlone => again = true,
        }
    }
}

/// What became of somebody who waited for another's call.
enum Followed {
    /// It is answered, or failed.
    Answered(Result<Done, Error>),
    /// The call ended before its first piece, and for reasons of the one who had asked.
    LeftAlone,
}

async fn follow(reader: Reader, asker: &Asker<'_>, out: Out<'_>) -> Followed {
    let _wait = asker.trace.span(span::WAIT_COALESCED);
    let mut heard = false;
    let reading = read(reader, asker, out, &mut heard);
    let read = asker.deadline.within(Phase::Total, reading).await;
    let answered = read.map_err(Error::from).flatten();
    match &answered {
        Err(error) if !heard && error.is_the_askers() && asker.deadline.allows(Duration::ZERO) => Followed::LeftAlone,
        _ => Followed::Answered(answered),
    }
}

/// Hands on what is said, to the end. `heard`: whether there was anything.
async fn read(mut reader: Reader, asker: &Asker<'_>, out: Out<'_>, heard: &mut bool) -> Result<Done, Error> {
    loop {
        match reader.next().await {
            Found::Event(event) => {
                *heard = true;
                // A client that reads slowly gets no more time than one that waits.
                asker.deadline.within(Phase::Total, out.send(event)).await?;
            }
            Found::Over(how) => {
                let id = asker.id.to_owned();
                return how.map(|done| Done { id, ..done });
            }
            Found::Lost => return Err(Error::TooSlow),
        }
    }
}
