//! What is kept, what is forgotten, and what leaves for the writer.

use std::sync::{Arc, Mutex};

use brownout_scenario::plan::OnDisconnect;
use brownout_scenario::units::PromptId;

use super::*;
use crate::samples::{ask_at, plan_with};
use crate::script::{Course, Decision, decide};
use brownout_scenario::distribution::Distribution;
use brownout_scenario::seed::SeedTree;

fn row(prompt: u64) -> LedgerRow {
    LedgerRow {
        provider: "primary".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        prompt: PromptId(prompt),
        attempt: 0,
        caller: None,
        input: None,
        arrived: Micros::ZERO,
        first_token: None,
        ended: Micros::ZERO,
        status: 200,
        prompt_tokens: 100,
        cached_tokens: 0,
        cache_write_tokens: 0,
        generated: 0,
        reasoning: 0,
        begun: 0,
        flushed: 0,
        repeated: 0,
        billed: 0,
        billed_prompt: 0,
        price: Picodollars(0),
        fault: None,
        finish: Finish::Unfinished,
        hung_up: None,
    }
}

/// Five visible tokens at 100, 110, ... ms, after `thinks` thoughts.
fn work(thinks: f64) -> Work {
    let plan = plan_with(|plan| plan.reasoning_tokens = Distribution::Constant { value: thinks });
    let ask = crate::script::Ask {
        max_tokens: 1_000,
        streams: true,
        ..ask_at(1, Micros::ZERO)
    };
    let Decision::Answer(Course { schedule, .. }) = decide(&plan, SeedTree::new(1), None, &ask) else {
        panic!("no answer")
    };
    Work {
        hands_over: schedule.visible(),
        twice: None,
        begins: Micros::ZERO,
        schedule,
        whole: Finish::Stop,
        terms: Terms {
            price: plan.models[0].price,
            on_disconnect: OnDisconnect::Stop { lag: Micros::ZERO },
            bill_broken: true,
            bill_empty_refusals: true,
        },
    }
}

fn one(book: &Book) -> LedgerRow {
    let mut rows = book.rows();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

#[test]
fn thinking_is_billed_as_completion_and_never_handed_over() {
    let mut book = Book::new(Retention::All, None);
    let position = book.open(row(1), work(3.0));
    book.complete(position);
    let row = one(&book);
    assert_eq!((row.generated, row.reasoning, row.flushed, row.billed), (8, 3, 5, 8));
    assert_eq!(row.price, Picodollars(100 * 150_000 + 8 * 600_000));
}

#[test]
fn who_hangs_up_during_the_thinking_pays_for_the_thoughts_so_far() {
    let mut book = Book::new(Retention::All, None);
    let position = book.open(row(1), work(3.0));
    let cut = book.hang_up(position, Micros::from_millis(115)).unwrap();
    assert_eq!(cut.generated, 2);
    let row = one(&book);
    assert_eq!(
        (row.generated, row.reasoning, row.billed, row.first_token),
        (2, 2, 2, None)
    );
    assert_eq!(row.finish, Finish::HungUp);
}

#[test]
fn a_token_that_went_out_twice_counts_as_soon_as_it_has() {
    for (flushed, repeated) in [(2, 0), (3, 1)] {
        let mut book = Book::new(Retention::All, None);
        let twice = Work {
            twice: Some(2),
            ..work(0.0)
        };
        let position = book.open(row(1), twice);
        book.flushed(position, flushed);
        book.hang_up(position, Micros::from_millis(130)).unwrap();
        assert_eq!((one(&book).flushed, one(&book).repeated), (flushed, repeated));
    }
}

#[test]
fn who_leaves_before_the_turn_has_come_has_cost_nothing() {
    for (at_ms, billed_prompt) in [(49, 0), (50, 100)] {
        let mut book = Book::new(Retention::All, None);
        let queued = Work {
            begins: Micros::from_millis(50),
            ..work(0.0)
        };
        let position = book.open(row(1), queued);
        book.hang_up(position, Micros::from_millis(at_ms)).unwrap();
        assert_eq!((one(&book).billed_prompt, one(&book).generated), (billed_prompt, 0));
    }
}

#[test]
fn cached_and_written_tokens_have_prices_of_their_own() {
    let mut book = Book::new(Retention::All, None);
    let mut work = work(0.0);
    work.terms.price.cache_write = Picodollars(190_000);
    let cached = LedgerRow {
        cached_tokens: 60,
        cache_write_tokens: 30,
        ..row(1)
    };
    let position = book.open(cached, work);
    book.complete(position);
    let price = 10 * 150_000 + 60 * 75_000 + 30 * 190_000 + 5 * 600_000;
    assert_eq!(one(&book).price, Picodollars(price));
}

#[test]
fn what_the_provider_broke_off_is_billed_or_not_as_the_plan_says() {
    for (bill_broken, billed) in [(true, 5), (false, 0)] {
        let mut book = Book::new(Retention::All, None);
        let mut work = work(0.0);
        work.whole = Finish::Fault;
        work.terms.bill_broken = bill_broken;
        let position = book.open(row(1), work);
        book.complete(position);
        assert_eq!((one(&book).billed, one(&book).price.0 > 0), (billed, billed > 0));
    }
}

#[test]
fn nothing_that_began_with_no_answer_is_billed() {
    let mut book = Book::new(Retention::All, None);
    let silent = LedgerRow { status: 0, ..row(1) };
    let mut work = work(0.0);
    work.schedule = crate::script::Schedule::nothing(Micros::ZERO);
    let position = book.open(silent, work);
    book.hang_up(position, Micros::from_secs(9)).unwrap();
    let row = one(&book);
    assert_eq!(
        (row.billed_prompt, row.price.0, row.ended),
        (0, 0, Micros::from_secs(9))
    );
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_bounded_ledger_forgets_rows_but_neither_totals_nor_lines() {
    let out = Shared::default();
    let mut book = Book::new(Retention::Last(10), Some(Box::new(out.clone())));
    let stuck = book.open(row(1_000), work(0.0));
    for prompt in 0..500 {
        let position = book.open(row(prompt), work(0.0));
        book.complete(position);
        assert!(book.rows().len() <= 11, "{} rows", book.rows().len());
    }
    assert_eq!(book.totals().attempts, 500, "the stuck one is not final");
    book.close(Micros::from_secs(1));
    book.flush().unwrap();
    let totals = book.totals();
    assert_eq!(
        (totals.attempts, totals.billed, totals.billed_prompt),
        (501, 501 * 5, 501 * 100)
    );
    let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    let prompts: Vec<u64> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["prompt"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(prompts.len(), 501);
    assert_eq!(prompts.last(), Some(&1_000), "the stuck one came last");
    assert!(stuck < 1);
}

#[test]
fn rows_are_told_in_the_order_of_arrival_whichever_ends_first() {
    let mut book = Book::new(Retention::All, None);
    let positions = [1, 2, 3].map(|prompt| book.open(row(prompt), work(0.0)));
    book.complete(positions[2]);
    book.enter(row(4));
    book.complete(positions[0]);
    let told = book.rows().into_iter().map(|row| (row.prompt.0, row.ended.0 > 0));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [(1, true), (2, false), (3, true), (4, false)],
        "the second is open, the fourth ended as it came"
    );
}

#[test]
fn a_writer_that_fails_is_told_of_at_the_end_and_loses_no_row() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut book = Book::new(Retention::All, Some(Box::new(Full)));
    book.enter(row(1));
    book.enter(row(2));
    assert_eq!(book.rows().len(), 2);
    assert_eq!(book.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn an_answer_in_the_future_is_final_when_its_time_has_come() {
    let mut book = Book::new(Retention::Last(1), None);
    let position = book.open(row(1), work(0.0));
    book.complete_unseen(position, Micros::ZERO);
    assert_eq!((book.totals().attempts, book.open_at(Micros::from_millis(139))), (0, 1));
    let other = book.open(row(2), work(0.0));
    book.complete_unseen(other, Micros::from_millis(140));
    assert_eq!(book.totals().attempts, 2, "both end at 140 ms");
}
