//! The pages of a ledger: rows by position, the work that is open, and what leaves for the writer.
//!
//! Positions count from the first attempt of all and stay, whatever has been forgotten. Rows leave in the order in which
//! they become final, so that one attempt that never ends holds up nobody.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, Write};

use brownout_scenario::observe::{Finish, LedgerRow};
use brownout_scenario::plan::OnDisconnect;
use brownout_scenario::units::{Micros, Picodollars};

use super::{CutShort, Retention, Terms, Totals, Work};

/// All that a ledger knows.
pub(super) struct Book {
    retention: Retention,
    /// Rows that may still change.
    rows: BTreeMap<usize, LedgerRow>,
    next: usize,
    /// Rows that are final, in the order in which they became so. Once it is full, this ring stays where it is: rows that
    /// were allocated one by one would scatter over the heaps of several threads, and leave holes when they go.
    kept: VecDeque<(usize, LedgerRow)>,
    /// Attempts whose end somebody will report.
    open: BTreeMap<usize, Work>,
    /// Attempts whose end nobody will see, by when it will be. Their rows are already written as if it had come.
    unseen: BTreeMap<(Micros, usize), Work>,
    totals: Totals,
    sink: Option<Box<dyn Write + Send>>,
    broken_sink: Option<io::Error>,
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book")
            .field("rows", &(self.rows.len() + self.kept.len()))
            .field("open", &self.open.len())
            .field("totals", &self.totals)
            .finish_non_exhaustive()
    }
}

impl Book {
    pub(super) fn new(retention: Retention, sink: Option<Box<dyn Write + Send>>) -> Self {
        Self {
            retention,
            rows: BTreeMap::new(),
            next: 0,
            kept: VecDeque::new(),
            open: BTreeMap::new(),
            unseen: BTreeMap::new(),
            totals: Totals::default(),
            sink,
            broken_sink: None,
        }
    }

    pub(super) fn rows(&self) -> Vec<LedgerRow> {
        let kept = self.kept.iter().map(|(position, row)| (position, row));
        let by_position: BTreeMap<_, _> = self.rows.iter().chain(kept).collect();
        by_position.into_values().cloned().collect()
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn open_at(&self, now: Micros) -> usize {
        self.open.len() + self.unseen.range((now.plus(Micros(1)), 0)..).count()
    }

    pub(super) fn enter(&mut self, row: LedgerRow) {
        let position = self.push(row);
        self.finalise(position);
    }

    pub(super) fn open(&mut self, row: LedgerRow, work: Work) -> usize {
        let position = self.push(row);
        self.open.insert(position, work);
        position
    }

    fn push(&mut self, row: LedgerRow) -> usize {
        let position = self.next;
        self.rows.insert(position, row);
        self.next += 1;
        position
    }

    pub(super) fn flushed(&mut self, position: usize, tokens: u64) {
        if let (Some(work), Some(row)) = (self.open.get(&position), self.rows.get_mut(&position)) {
            (row.flushed, row.repeated) = (tokens, work.repeated(tokens));
        }
    }

    pub(super) fn complete(&mut self, position: usize) {
        if let Some(work) = self.open.remove(&position) {
            self.finish_whole(position, &work);
            self.finalise(position);
        }
    }

    pub(super) fn complete_unseen(&mut self, position: usize, now: Micros) {
        if let Some(work) = self.open.remove(&position) {
            self.finish_whole(position, &work);
            self.unseen.insert((work.schedule.end(), position), work);
        }
        self.let_go(now);
    }

    /// Attempts that nobody sees end have ended by `now`.
    pub(super) fn let_go(&mut self, now: Micros) {
        while let Some(oldest) = self.unseen.first_entry().filter(|oldest| oldest.key().0 <= now) {
            let ((_, position), _) = oldest.remove_entry();
            self.finalise(position);
        }
    }

    pub(super) fn hang_up(&mut self, position: usize, now: Micros) -> Option<CutShort> {
        let work = self.open.remove(&position)?;
        let ended = match work.terms.on_disconnect {
            OnDisconnect::Stop { lag } => now.plus(lag).min(work.schedule.end().max(now)),
            OnDisconnect::RunToCompletion => work.schedule.end().max(now),
        };
        if let Some(row) = self.rows.get_mut(&position) {
            row.hung_up = Some(now);
        }
        let cut = self.settle(position, &work, ended, Finish::HungUp);
        self.finalise(position);
        Some(cut)
    }

    pub(super) fn close(&mut self, now: Micros) {
        for (position, work) in std::mem::take(&mut self.open) {
            self.leave_unfinished(position, &work, now);
            self.finalise(position);
        }
        for ((end, position), work) in std::mem::take(&mut self.unseen) {
            if end > now {
                if let Some(row) = self.rows.get_mut(&position) {
                    (row.flushed, row.repeated) = (0, 0);
                }
                self.leave_unfinished(position, &work, now);
            }
            self.finalise(position);
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let (None, Some(sink)) = (&self.broken_sink, &mut self.sink) {
            self.broken_sink = sink.flush().err();
        }
        self.broken_sink.take().map_or(Ok(()), Err)
    }

    fn finish_whole(&mut self, position: usize, work: &Work) {
        if let Some(row) = self.rows.get_mut(&position) {
            (row.flushed, row.repeated) = (work.hands_over, work.repeated(work.hands_over));
        }
        self.settle(position, work, work.schedule.end(), work.whole);
    }

    fn leave_unfinished(&mut self, position: usize, work: &Work, now: Micros) {
        let ended = now.min(work.schedule.end());
        // On the real clock a token may leave between the reading of `now` and this line.
        let due = work.schedule.due_by(ended);
        if let Some(row) = self.rows.get_mut(&position) {
            row.flushed = row.flushed.min(due);
            row.repeated = row.repeated.min(row.flushed);
        }
        self.settle(position, work, ended, Finish::Unfinished);
    }

    /// Bills an attempt as far as it has come by `ended`.
    fn settle(&mut self, position: usize, work: &Work, ended: Micros, finish: Finish) -> CutShort {
        let Work { schedule, terms, .. } = work;
        let generated = schedule.generated_by(ended);
        let cut = CutShort { ended, generated };
        let Some(row) = self.rows.get_mut(&position) else {
            return cut;
        };
        row.first_token = Some(schedule.first()).filter(|first| schedule.visible() > 0 && *first <= ended);
        row.ended = ended.max(row.arrived);
        row.generated = generated;
        row.reasoning = generated.min(schedule.hidden());
        row.finish = finish;
        bill(row, terms, ended >= work.begins);
        debug_assert!(
            row.flushed + row.reasoning <= row.generated,
            "handed over before it was due: {row:?}"
        );
        cut
    }

    /// A row changes no more: it goes into the totals and to the writer, and may be forgotten.
    fn finalise(&mut self, position: usize) {
        let Some(row) = self.rows.remove(&position) else {
            return;
        };
        let totals = &mut self.totals;
        totals.attempts += u64::from(row.is_call());
        totals.failed += u64::from(!matches!(
            row.finish,
            Finish::Stop | Finish::Length | Finish::Filtered | Finish::HungUp | Finish::Unfinished
        ));
        totals.hung_up += u64::from(row.finish == Finish::HungUp);
        totals.billed_prompt += row.billed_prompt;
        totals.billed += row.billed;
        totals.price.0 += row.price.0;
        if let (None, Some(sink)) = (&self.broken_sink, &mut self.sink) {
            let written = serde_json::to_vec(&row).map_err(io::Error::from).and_then(|mut line| {
                line.push(b'\n');
                sink.write_all(&line)
            });
            self.broken_sink = written.err();
        }
        if let Retention::Last(most) = self.retention {
            while self.rows.len() + self.kept.len() >= most && self.kept.pop_front().is_some() {}
        }
        self.kept.push_back((position, row));
    }
}

/// Prices what the row says was generated; nothing if the work had not `begun`.
fn bill(row: &mut LedgerRow, terms: &Terms, begun: bool) {
    let free = row.status != 200
        || !begun
        || (row.finish == Finish::Fault && !terms.bill_broken)
        || (row.finish == Finish::Filtered && row.generated == 0 && !terms.bill_empty_refusals);
    if free {
        (row.billed, row.billed_prompt, row.price) = (0, 0, Picodollars(0));
        return;
    }
    row.billed = row.generated;
    row.billed_prompt = row.prompt_tokens;
    let price = &terms.price;
    let special = row.cached_tokens + row.cache_write_tokens;
    let prompt = row.prompt_tokens.saturating_sub(special) * price.prompt.0
        + row.cached_tokens * price.cached.0
        + row.cache_write_tokens * price.cache_write.0;
    row.price = Picodollars(prompt + row.billed * price.completion.0 + price.per_call.0);
}

#[cfg(test)]
mod tests;
