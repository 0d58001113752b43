//! A balanced book, and every way we know to unbalance it.

use brownout_scenario::observe::{Delivered, FailureClass, Usage};
use brownout_scenario::plan::Endpoint;
use brownout_scenario::units::{Micros, Picodollars};

use super::*;
use crate::join::join;
use crate::testing::{provider, request, row};

struct World {
    requests: Vec<RequestObservation>,
    ledger: Vec<LedgerRow>,
    planned: Option<u64>,
}

/// Three answered requests of 30 tokens; the second needed two attempts.
fn balanced() -> World {
    let usage = Usage {
        prompt_tokens: 10,
        completion_tokens: 30,
    };
    let answered = |id| RequestObservation {
        reported: Some(usage),
        ..request(id, id * 100, id * 100 + 90, 30)
    };
    let refused = LedgerRow {
        status: 429,
        finish: Finish::RateLimited,
        billed_prompt: 0,
        price: Picodollars(0),
        ..row(2, 210, 210, 0)
    };
    World {
        requests: (1..=3).map(answered).collect(),
        ledger: vec![
            row(1, 110, 180, 30),
            refused,
            row(2, 220, 280, 30),
            row(3, 310, 380, 30),
        ],
        planned: Some(3),
    }
}

impl World {
    fn books(&self) -> Books {
        let providers = [provider()];
        let join = join(&self.requests, &self.ledger, Endpoint::Chat);
        balance(&join, &Prices::of(&providers), self.planned, 0)
    }
}

#[test]
fn honest_books_balance() {
    let books = balanced().books();
    assert_eq!(
        books,
        Books {
            balanced: true,
            joined: true,
            discrepancies: vec![],
            overhead: 0
        }
    );
}

/// Applies `mutation` to balanced books and expects exactly one discrepancy that says `words`.
fn unbalances(words: &str, mutation: impl FnOnce(&mut World)) {
    let mut world = balanced();
    mutation(&mut world);
    let books = world.books();
    assert!(!books.balanced, "still balanced: {words}");
    assert_eq!(books.discrepancies.len(), 1, "{:?}", books.discrepancies);
    assert!(books.discrepancies[0].contains(words), "{:?}", books.discrepancies);
}

#[test]
fn a_service_that_reports_one_token_too_many_is_caught() {
    unbalances("the service reports 31 completion tokens, the provider 30", |world| {
        world.requests[1].reported = Some(Usage {
            prompt_tokens: 10,
            completion_tokens: 31,
        });
    });
    unbalances("the service reports 11 prompt tokens, the provider 10", |world| {
        world.requests[1].reported = Some(Usage {
            prompt_tokens: 11,
            completion_tokens: 30,
        });
    });
}

#[test]
fn a_provider_that_miscounts_is_caught() {
    unbalances("31 tokens handed over, but 30 generated", |world| {
        world.ledger[0].flushed = 31;
        world.requests[0].delivered.tokens = 31;
        world.requests[0].reported.as_mut().unwrap().completion_tokens = 31;
        world.ledger[0].billed = 31;
        world.ledger[0].price.0 += 600_000;
    });
    unbalances("picodollars, its tokens cost", |world| world.ledger[3].price.0 += 1);
    unbalances("it ended before it arrived", |world| {
        world.ledger[3].ended = Micros(309);
    });
    unbalances("answered 429, but 1 tokens billed", |world| {
        world.ledger[1].billed = 1;
        world.ledger[1].price.0 = 600_000;
    });
    unbalances("the plan has no such provider", |world| {
        world.ledger[3].provider = "nobody".to_owned();
    });
    unbalances("30 tokens handed over, but 29 billed", |world| {
        world.ledger[3].billed = 29;
        world.ledger[3].price.0 -= 600_000;
        world.requests[2].reported.as_mut().unwrap().completion_tokens = 29;
    });
}

#[test]
fn a_lost_or_invented_request_is_caught() {
    unbalances("the schedule has 4 requests, the clients account for 3", |world| {
        world.planned = Some(4);
    });
    unbalances("request 1 of the schedule is counted twice", |world| {
        world.requests[1].index = 1;
    });
    unbalances("answered with 30 tokens, but no attempt gave as many", |world| {
        world.ledger.pop();
    });
    unbalances("not sent, but a provider saw 1 attempts", |world| {
        world.requests[2].outcome = Outcome::NotSent;
        world.requests[2].sent = None;
    });
}

#[test]
fn words_that_do_not_belong_to_an_answer_are_caught() {
    unbalances("1 foreign and 0 repeated words", |world| {
        world.requests[0].delivered.foreign = 1;
    });
    unbalances("0 foreign and 2 repeated words", |world| {
        world.requests[0].delivered.duplicates = 2;
    });
    unbalances("29 tokens delivered, 30 handed over", |world| {
        world.requests[0].delivered.tokens = 29;
    });
    unbalances("31 tokens delivered, 30 handed over", |world| {
        world.requests[0].outcome = Outcome::Failed(FailureClass::Truncated);
        world.requests[0].delivered.tokens = 31;
    });
}

#[test]
fn two_requests_with_one_prompt_are_caught() {
    let mut world = balanced();
    world.requests[2].prompt = world.requests[0].prompt;
    assert!(
        world
            .books()
            .discrepancies
            .iter()
            .any(|words| words.contains("more than one request carried it"))
    );
}

#[test]
fn a_target_that_writes_its_own_words_is_unjoined_and_not_unbalanced() {
    let mut world = balanced();
    for request in &mut world.requests {
        request.delivered = Delivered {
            foreign: 25,
            ..Delivered::default()
        };
    }
    let books = world.books();
    assert!(books.balanced && !books.joined);
    world.ledger[0].price.0 += 1;
    assert!(!world.books().balanced, "the provider's own rows are still checked");
}

#[test]
fn a_target_that_gives_everybody_somebody_elses_answer_is_unbalanced() {
    let mut world = balanced();
    for request in &mut world.requests {
        request.delivered = Delivered {
            misdelivered: 25,
            ..Delivered::default()
        };
    }
    let books = world.books();
    assert!(
        books
            .discrepancies
            .iter()
            .any(|words| words.contains("another prompt's answer")),
        "{books:?}"
    );
}

#[test]
fn an_answer_without_usage_is_not_believed() {
    let mut world = balanced();
    world.requests[0].reported = None;
    assert!(
        world
            .books()
            .discrepancies
            .iter()
            .any(|words| words.contains("no usage"))
    );
}

#[test]
fn many_discrepancies_are_counted_and_not_all_spelled_out() {
    let mut world = balanced();
    world.ledger = (0..25)
        .map(|_| LedgerRow {
            provider: "nobody".to_owned(),
            ..row(1, 110, 180, 30)
        })
        .collect();
    let words = world.books().discrepancies;
    assert_eq!(words.len(), MOST_SPELLED_OUT + 1);
    assert_eq!(words.last().map(String::as_str), Some("and 7 more"));
}
