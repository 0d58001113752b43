//! The answer to a call for embeddings: a vector for each input, and a row for each in the ledger.
//!
//! Such a call takes as long as a first token would. It is worked off to its end whoever leaves: there is nothing to stop.

use brownout_scenario::observe::{CallInput, Finish};
use brownout_scenario::plan::ModelPlan;
use brownout_scenario::tracer;
use brownout_scenario::units::Picodollars;
use http::StatusCode;

use super::attempt::Attempt;
use super::state::State;
use super::{Begin, Content, Desk, Reply};
use crate::dialect::{Described, openai};
use crate::script::Course;

impl Desk {
    /// Answers with vectors, when they are due.
    pub(super) fn vectors(
        &self,
        state: &mut State,
        attempt: &Attempt<'_>,
        model: &ModelPlan,
        course: &Course,
    ) -> Reply {
        let (arrived, due) = (attempt.ask.arrived, course.schedule.first());
        let call = state.ticket();
        if let Some(capacity) = &mut state.capacity {
            capacity.hold(call, due);
        }
        attempt.refund_all(state);
        let status = StatusCode::OK;
        let alone = attempt.request.passages.len() == 1;
        for (place, (text, tokens)) in (0..).zip(attempt.inputs()) {
            let mut row = attempt.row(&state.plan, status.as_u16(), Finish::Stop);
            let for_call = if place == 0 { model.price.per_call.0 } else { 0 };
            row.prompt = tracer::prompt_of(text);
            // Whose an input of several is, nobody said.
            row.caller = row.caller.filter(|_| alone);
            row.input = Some(CallInput { call, place });
            row.ended = due;
            (row.prompt_tokens, row.billed_prompt) = (tokens, tokens);
            (row.cached_tokens, row.cache_write_tokens) = (0, 0);
            row.price = Picodollars(tokens * model.price.prompt.0 + for_call);
            self.ledger.enter(row);
        }
        let headers = self.wire.headers(&Described {
            now: due,
            processing: due.since(arrived),
            ..attempt.describe(state, status)
        });
        Reply {
            begin: Begin::Head,
            status,
            headers,
            body: Content::Whole(openai::embeddings::whole(attempt.request, attempt.prompt.tokens).into()),
            due: Some(due),
            admitted: None,
        }
    }
}
