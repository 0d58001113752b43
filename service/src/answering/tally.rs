//! The tally of one answer: what it used is written down however the request ends. Paying for it is [`crate::limits`]'s.
//!
//! All attempts count, not only the one that answered. Complete: by the providers' own reports; where an attempt has none,
//! and where the answer is dropped before that, by its client or at its deadline: by the pieces that came, and said to be
//! an estimate. A whole answer that was left shows no piece on the way: then there is nothing to write.

use std::time::Duration;

use crate::app::App;
use crate::clock::Clock;
use crate::resilience::deadline::{Deadline, Deadlines};
use crate::storage::{Account, Provenance, UsageRow};
use crate::tasks::Tasks;
use crate::telemetry::Trace;
use crate::telemetry::conventions::span;
use crate::upstream::{Call, Usage};

/// How long it may take to write down what an answer used that was left.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What is owed for one answer until it is settled.
pub(super) struct Tally {
    open: Option<Open>,
    tasks: Tasks,
    trace: Trace,
    clock: Clock,
    deadline: Deadline,
}

/// Where it is to be written down.
struct Open {
    account: Account,
    answer_id: String,
    session: String,
}

impl Tally {
    /// From here on somebody may bill for `call`.
    pub(super) fn begin(app: &App, call: &Call, account: Account, answer_id: String, session: String) -> Self {
        let open = Open {
            account,
            answer_id,
            session,
        };
        Self {
            open: Some(open),
            tasks: app.tasks.clone(),
            trace: call.trace.clone(),
            clock: app.clock,
            deadline: call.deadline,
        }
    }

    /// There will be no usage: the answer failed, or its provider reported none.
    pub(super) fn abandon(&mut self) {
        self.open = None;
    }

    /// The answer is complete, and `provider` reported `usage` for its attempt. What all attempts used is written down to the end, whoever leaves meanwhile.
    pub(super) async fn settle(mut self, usage: Usage, provider: &str) {
        let attempts = self.trace.attempts_used();
        let (usage, provenance) = attempts.unwrap_or((usage, Provenance::Authoritative));
        if let Some(writing) = self.write(usage, provider.to_owned(), provenance, self.deadline) {
            self.tasks.finish(writing).await;
        }
    }

    fn write(
        &mut self,
        usage: Usage,
        provider: String,
        provenance: Provenance,
        deadline: Deadline,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let Open {
            account,
            answer_id,
            session,
        } = self.open.take()?;
        self.trace.used(usage, provenance);
        let row = UsageRow {
            answer_id,
            session,
            provider,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            provenance,
        };
        let trace = self.trace.clone();
        Some(async move { account.close(&row, &trace, &deadline).await })
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // A job that is dropped is done again, by somebody: its row is the one of the run that comes to its end.
        if self.trace.name() == span::JOB {
            return;
        }
        let begun_by = self.trace.begun_by().filter(|_| self.open.is_some());
        let Some((provider, (usage, _))) = begun_by.zip(self.trace.attempts_used()) else {
            return;
        };
        // The request's own time may be what is over.
        let limits = Deadlines {
            total: Some(LAST_WORDS),
            ..Deadlines::default()
        };
        let deadline = Deadline::start(self.clock, limits);
        if let Some(writing) = self.write(usage, provider, Provenance::Estimated, deadline) {
            drop(self.tasks.finish(writing));
        }
    }
}
