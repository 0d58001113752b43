//! The calls that carry inputs: each goes out when it is full or its wait is over, and what comes back is handed out.
//!
//! A call belongs to all whose inputs it carries. Who leaves takes only its own input out: before the call goes out, it
//! goes without; after, its vector is thrown away, and only when all have left is the call given up. A failure is retried
//! for all of them together; a refusal of the request, which may be one input's fault, splits the batch until those that
//! are refused stand alone.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::BatchSettings;
use super::gather::{Added, Gather, Key, shares};
use crate::app::App;
use crate::error::Error;
use crate::resilience::classes::Class;
use crate::resilience::course::CallFailure;
use crate::resilience::deadline::Deadline;
use crate::sync::lock;
use crate::telemetry::Trace;
use crate::upstream::EmbeddingCall;

/// An input on its way.
pub(super) struct Input {
    pub(super) text: String,
    pub(super) request_id: String,
    pub(super) trace: Trace,
    /// Told when its call goes out.
    pub(super) begun: oneshot::Sender<()>,
    /// Told what came of it. Closed when nobody waits any more.
    pub(super) reply: oneshot::Sender<Result<Embedded, Failed>>,
}

/// What came of one input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Embedded {
    pub(super) vector: Vec<f32>,
    /// Its share of what the provider reported for the call.
    pub(super) prompt_tokens: u64,
    /// The model, in the provider's word.
    pub(super) model: String,
    /// Whether somebody may bill for another attempt, one that failed.
    pub(super) more_may_be_billed: bool,
}

/// Why there is no vector.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) error: Error,
    /// Whether somebody may bill for it all the same.
    pub(super) may_be_billed: bool,
}

/// Gathers the inputs of one instance.
pub(crate) struct Batcher {
    settings: BatchSettings,
    gather: Mutex<Gather<Input>>,
}

impl Batcher {
    pub(crate) fn new(settings: BatchSettings) -> Self {
        Self {
            settings,
            gather: Mutex::new(Gather::new(settings.size)),
        }
    }

    /// Takes `input` in; it goes out by itself.
    pub(super) fn submit(&self, app: &Arc<App>, key: Key, input: Input) {
        let added = lock(&self.gather).add(key, input);
        match added {
            Added::Joined => {}
            Added::Full(batch) => send(app, key, batch),
            Added::First(number) => {
                let (host, wait) = (Arc::clone(app), self.settings.wait);
                app.tasks.spawn(async move {
                    host.clock.sleep(wait).await;
                    let batch = lock(&host.batcher.gather).take(key, number);
                    deliver(&host, key, batch).await;
                });
            }
        }
    }
}

fn send(app: &Arc<App>, key: Key, batch: Vec<Input>) {
    let host = Arc::clone(app);
    app.tasks.spawn(async move { deliver(&host, key, batch).await });
}

/// Makes the call, or, where a part of it is refused, as many as it takes.
async fn deliver(app: &App, key: Key, batch: Vec<Input>) {
    // Each with whether a call that carried it before may be billed.
    let mut parts = vec![(begin(batch), false)];
    while let Some((mut part, before)) = parts.pop() {
        part.retain(|input| !input.reply.is_closed());
        if part.is_empty() {
            continue;
        }
        let asked = ask(app, key, texts(&part), first(&part));
        let answer = tokio::select! {
            biased;
            answer = asked => answer,
            () = all_have_left(&mut part) => continue,
        };
        match answer {
            Ok(embedded) => hand_out(part, embedded, before),
            Err(failure) if part.len() > 1 && is_refusal(&failure) => {
                let second = part.split_off(part.len() / 2);
                let before = before || failure.may_be_billed;
                parts.extend([(second, before), (part, before)]);
            }
            Err(failure) => tell(part, &failure, before),
        }
    }
}

/// Whether the request was at fault, which may be one input's doing.
fn is_refusal(failure: &CallFailure) -> bool {
    matches!(failure.last.class(), Class::ClientFault | Class::ContextLength)
}

/// An input whose call is on its way.
struct Sent {
    text: String,
    request_id: String,
    trace: Trace,
    reply: oneshot::Sender<Result<Embedded, Failed>>,
}

fn begin(batch: Vec<Input>) -> Vec<Sent> {
    let sent = |input: Input| {
        let Input {
            text,
            request_id,
            trace,
            begun,
            reply,
        } = input;
        // Who has left does not hear it.
        let _ = begun.send(());
        Sent {
            text,
            request_id,
            trace,
            reply,
        }
    };
    batch.into_iter().map(sent).collect()
}

fn texts(part: &[Sent]) -> Vec<String> {
    part.iter().map(|input| input.text.clone()).collect()
}

/// In whose name the call is made, and whether it is the only one's.
fn first(part: &[Sent]) -> Option<(String, Trace, bool)> {
    let first = part.first()?;
    Some((first.request_id.clone(), first.trace.clone(), part.len() == 1))
}

async fn ask(
    app: &App,
    (provider, dimensions): Key,
    texts: Vec<String>,
    first: Option<(String, Trace, bool)>,
) -> Result<Vec<Embedded>, CallFailure> {
    let Some((request_id, trace, alone)) = first else {
        return Ok(Vec::new());
    };
    app.metrics.batch(texts.len());
    let call = EmbeddingCall {
        provider,
        inputs: &texts,
        dimensions,
        request_id: &request_id,
        trace: &trace,
        alone,
        // Of its own: the one that came first must not take the others with it when its time is up.
        deadline: Deadline::start(app.clock, app.settings.deadline),
    };
    let (answer, more_may_be_billed) = app.models.embed(call).await?;
    let weights: Vec<u64> = texts.iter().map(|text| text.len() as u64).collect();
    let tokens = shares(answer.prompt_tokens, &weights);
    let embedded = answer
        .vectors
        .into_iter()
        .zip(tokens)
        .map(|(vector, prompt_tokens)| Embedded {
            vector,
            prompt_tokens,
            model: answer.model.clone(),
            more_may_be_billed,
        });
    Ok(embedded.collect())
}

async fn all_have_left(part: &mut [Sent]) {
    for input in part {
        input.reply.closed().await;
    }
}

fn hand_out(part: Vec<Sent>, embedded: Vec<Embedded>, before: bool) {
    for (input, mut embedded) in part.into_iter().zip(embedded) {
        embedded.more_may_be_billed |= before;
        // Who has left does not hear it.
        let _ = input.reply.send(Ok(embedded));
    }
}

fn tell(part: Vec<Sent>, failure: &CallFailure, before: bool) {
    let failed = Failed {
        error: Error::from(failure.last),
        may_be_billed: before || failure.may_be_billed,
    };
    for input in part {
        let _ = input.reply.send(Err(failed.clone()));
    }
}
