//! The player: serves a tape again, every answer with its timings, on either clock.
//!
//! Does not invent: a request that is not on the tape is told so. Does not check keys: any will do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brownout_net::{Listener, RunClock, serve};
use bytes::Bytes;
use http::{Request, Response, StatusCode, request};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio_util::sync::CancellationToken;

use super::asked::Asked;
use super::error::TapeError;
use super::file;
use super::format::Answer;
use super::intake::{self, CallerLeft};
use super::paced::Paced;
use super::running::{Running, Work};
use super::secrets::Secrets;

/// Serves the answers of a tape.
#[derive(Debug)]
pub struct Player {
    tape: PathBuf,
    answers: BTreeMap<Asked, Turns>,
    clock: RunClock,
    work: Work,
}

/// The recorded answers to one request, in order, and whose turn it is.
#[derive(Debug, Default)]
struct Turns {
    answers: Vec<Arc<Answer>>,
    taken: AtomicUsize,
}

impl Turns {
    /// The next answer; after the last one, the last one again and again.
    fn take(&self) -> Option<Arc<Answer>> {
        let turn = self.taken.fetch_add(1, Ordering::Relaxed);
        self.answers.get(turn).or(self.answers.last()).cloned()
    }
}

impl Player {
    /// Starts playing the tape `file`. Call it inside the runtime that plays the run.
    ///
    /// An answer is found by method, path, query and body, keys aside; several recordings of the same request are given
    /// in turn.
    pub fn start(
        file: &Path,
        listener: Listener,
        clock: RunClock,
        shutdown: &CancellationToken,
    ) -> Result<Running, TapeError> {
        let own = shutdown.child_token();
        let (running, work) = Running::new(listener.authority().to_owned(), own.clone());
        let mut answers: BTreeMap<Asked, Turns> = BTreeMap::new();
        for (asked, answer) in file::read(file)? {
            answers.entry(asked).or_default().answers.push(Arc::new(answer));
        }
        let player = Arc::new(Self {
            tape: file.to_owned(),
            answers,
            clock,
            work,
        });
        let service = service_fn(move |request| Arc::clone(&player).play(request));
        tokio::spawn(serve(listener, service, own, Duration::ZERO));
        Ok(running)
    }

    /// One exchange, up to the head of its answer.
    async fn play(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Either<Full<Bytes>, Paced>>, CallerLeft> {
        let (head, body) = request.into_parts();
        let Some(body) = intake::whole(body).await? else {
            return Ok(intake::too_large().map(Either::Left));
        };
        let arrived_us = self.clock.now_us();
        let answer = match self.find(&head, &body) {
            Ok(answer) => answer,
            Err(asked) => {
                self.work.miss();
                return Ok(self.not_recorded(&asked).map(Either::Left));
            }
        };
        self.work.count();
        self.clock
            .sleep_until(arrived_us.saturating_add(answer.head_at_us))
            .await;
        let mut response = Response::new(());
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers.clone();
        let body = Paced::new(answer, arrived_us, self.clock, self.work.clone());
        Ok(response.map(|()| Either::Right(body)))
    }

    /// The answer whose turn it is; else what was asked, fit to be repeated.
    ///
    /// The recorder has struck the caller's secrets out of what was asked. Here they may be others, or dummies that
    /// occur in the text by chance: so as it is first, then with them struck out.
    fn find(&self, head: &request::Parts, body: &[u8]) -> Result<Arc<Answer>, Asked> {
        let take = |asked: &Asked| self.answers.get(asked).and_then(Turns::take);
        let as_it_is = Asked::new(&head.method, &head.uri, body, &Secrets::default());
        if let Some(answer) = take(&as_it_is) {
            return Ok(answer);
        }
        let secrets = Secrets::of_request(&head.headers, head.uri.query().unwrap_or_default());
        let stripped = Asked::new(&head.method, &head.uri, body, &secrets);
        take(&stripped).ok_or(stripped)
    }

    fn not_recorded(&self, asked: &Asked) -> Response<Full<Bytes>> {
        let near = self
            .answers
            .keys()
            .filter(|known| known.is_but_for_the_body(asked))
            .count();
        let near = match near {
            0 => "nothing of this method, path and query".to_owned(),
            1 => "another body for it".to_owned(),
            several => format!("{several} other bodies for it"),
        };
        let message = format!(
            "The tape {} has no answer to {asked}; it has {near}. Record it: run `brownout provider --record FILE \
             --upstream URL`, send this request to it once, and play that file.",
            self.tape.display(),
        );
        intake::problem(StatusCode::NOT_FOUND, "not_recorded", &message)
    }
}
