//! A balanced book, and every way we know to unbalance it.

use brownout_scenario::observe::{Delivered, FailureClass, Finish, LedgerRow, Usage};
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
    unbalances_in(balanced(), words, mutation);
}

/// The same with other books that balance.
fn unbalances_in(mut world: World, words: &str, mutation: impl FnOnce(&mut World)) {
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
    });
    unbalances("picodollars, its tokens cost", |world| world.ledger[3].price.0 += 1);
    unbalances("it ended before it arrived", |world| {
        world.ledger[3].ended = Micros(309);
    });
    unbalances("answered 429, but 1 tokens billed", |world| {
        world.ledger[1].generated = 1;
        world.ledger[1].billed = 1;
        world.ledger[1].price.0 = 600_000;
    });
    unbalances("the plan has no such provider", |world| {
        world.ledger[3].provider = "nobody".to_owned();
    });
    unbalances("30 tokens handed over, but 29 billed", |world| {
        world.ledger[3].billed = 29;
        world.ledger[3].price.0 -= 600_000;
    });
    unbalances("31 tokens billed, but 30 generated", |world| {
        world.ledger[3].billed = 31;
        world.ledger[3].price.0 += 600_000;
    });
}

/// The first answer took five tokens of thinking.
fn thinking() -> World {
    let mut world = balanced();
    let row = &mut world.ledger[0];
    (row.reasoning, row.generated, row.billed) = (5, 35, 35);
    row.price.0 += 5 * 600_000;
    world.requests[0].reported.as_mut().unwrap().completion_tokens = 35;
    world
}

#[test]
fn thinking_is_generated_billed_and_reported_but_not_delivered() {
    let books = thinking().books();
    assert!(books.balanced, "{books:?}");
    unbalances_in(thinking(), "reports 30 completion tokens, the provider 35", |world| {
        world.requests[0].reported.as_mut().unwrap().completion_tokens = 30;
    });
    unbalances_in(
        thinking(),
        "30 tokens handed over and 6 thought, but 35 generated",
        |world| {
            world.ledger[0].reasoning = 6;
        },
    );
    unbalances_in(
        thinking(),
        "30 tokens handed over and 5 thought, but 34 billed",
        |world| {
            world.ledger[0].billed = 34;
            world.ledger[0].price.0 -= 600_000;
        },
    );
}

#[test]
fn an_attempt_that_was_not_answered_200_bills_nothing() {
    for (status, words) in [(429, "answered 429"), (500, "answered 500"), (0, "never answered")] {
        let unanswered = || {
            let mut world = balanced();
            world.ledger[1].status = status;
            world.ledger[1].finish = Finish::Fault;
            world
        };
        let books = unanswered().books();
        assert!(books.balanced, "{books:?}");
        unbalances_in(unanswered(), &format!("{words}, but 1 tokens billed"), |world| {
            world.ledger[1].generated = 1;
            world.ledger[1].billed = 1;
            world.ledger[1].price.0 = 600_000;
        });
        unbalances_in(
            unanswered(),
            &format!("{words}, but 10 prompt tokens billed"),
            |world| {
                world.ledger[1].billed_prompt = 10;
                world.ledger[1].price.0 = 1_500_000;
            },
        );
    }
}

/// The second request's first attempt broke off after twelve tokens, billed or not.
fn broken_off(billed: bool) -> World {
    let mut world = balanced();
    world.ledger[1] = LedgerRow {
        finish: Finish::Fault,
        fault: Some("reset_mid_stream#0".to_owned()),
        ..row(2, 210, 215, 12)
    };
    if !billed {
        let row = &mut world.ledger[1];
        (row.billed, row.billed_prompt, row.price) = (0, 0, Picodollars(0));
    }
    world
}

#[test]
fn a_broken_answer_is_billed_as_far_as_it_came_or_not_at_all() {
    for billed in [true, false] {
        let books = broken_off(billed).books();
        assert!(books.balanced, "{books:?}");
    }
    unbalances_in(broken_off(true), "12 tokens handed over, but 11 billed", |world| {
        world.ledger[1].billed = 11;
        world.ledger[1].price.0 -= 600_000;
    });
    unbalances_in(broken_off(false), "12 tokens handed over, but 0 billed", |world| {
        world.ledger[1].finish = Finish::HungUp;
    });
}

/// The second request has only the twelve tokens of an attempt that broke off, and its client was told that this is all.
fn cut_unnoticed() -> World {
    let mut world = broken_off(true);
    world.ledger.remove(2);
    let request = &mut world.requests[1];
    request.delivered.tokens = 12;
    request.reported = None;
    world
}

#[test]
fn an_answer_that_was_cut_unnoticed_is_a_defect_of_the_service_and_none_of_the_books() {
    let books = cut_unnoticed().books();
    assert!(books.balanced, "{books:?}");
    let mut lost_on_the_way = cut_unnoticed();
    lost_on_the_way.requests[1].delivered.tokens = 9;
    assert!(lost_on_the_way.books().balanced);
    unbalances_in(
        cut_unnoticed(),
        "answered with 13 tokens, but no attempt gave as many",
        |world| {
            world.requests[1].delivered.tokens = 13;
        },
    );
    unbalances_in(
        cut_unnoticed(),
        "reports 13 completion tokens, but 12 generated",
        |world| {
            world.requests[1].reported = Some(Usage {
                prompt_tokens: 10,
                completion_tokens: 13,
            });
        },
    );
    unbalances_in(cut_unnoticed(), "1 foreign and 0 repeated words", |world| {
        world.requests[1].delivered.foreign = 1;
    });
}

#[test]
fn a_job_that_is_done_again_after_its_worker_died_is_billed_twice_and_read_once() {
    let mut world = balanced();
    world.ledger[1] = row(2, 205, 215, 30);
    let books = world.books();
    assert!(books.balanced, "{books:?}");
    world.ledger.push(row(2, world.requests[1].ended.0 + 1, 900, 30));
    let books = world.books();
    assert!(books.balanced, "{books:?}");
}

#[test]
fn a_filtered_answer_is_an_answer() {
    let mut world = balanced();
    world.ledger[3].finish = Finish::Filtered;
    let books = world.books();
    assert!(books.balanced, "{books:?}");
}

#[test]
fn a_cache_that_knows_more_than_the_prompt_is_caught() {
    let cached = || {
        let mut world = balanced();
        let row = &mut world.ledger[0];
        (row.cached_tokens, row.cache_write_tokens) = (6, 4);
        row.price = Picodollars(6 * 75_000 + 4 * 187_500 + 30 * 600_000);
        world
    };
    let books = cached().books();
    assert!(books.balanced, "{books:?}");
    let words = "6 prompt tokens read from the cache and 5 written to it, but 10 in all";
    unbalances_in(cached(), words, |world| world.ledger[0].cache_write_tokens = 5);
    unbalances_in(cached(), "picodollars, its tokens cost", |world| {
        world.ledger[0].cache_write_tokens = 3;
    });
    unbalances("11 prompt tokens billed, but 10 in all", |world| {
        world.ledger[0].billed_prompt = 11;
        world.ledger[0].price.0 += 150_000;
    });
}

#[test]
fn a_model_that_the_provider_lacks_bills_nothing() {
    let unknown = || {
        let mut world = balanced();
        world.ledger[1].status = 404;
        world.ledger[1].finish = Finish::Refused;
        world.ledger[1].model = "nothing".to_owned();
        world
    };
    let books = unknown().books();
    assert!(books.balanced, "{books:?}");
    unbalances_in(unknown(), "priced 1 picodollars, its tokens cost 0", |world| {
        world.ledger[1].price.0 = 1;
    });
    unbalances("it has no model `nothing`, but 40 tokens billed", |world| {
        world.ledger[3].model = "nothing".to_owned();
        world.ledger[3].price.0 = 0;
    });
}

#[test]
fn words_may_come_twice_only_if_a_provider_handed_them_over_twice() {
    let repeating = || {
        let mut world = balanced();
        world.ledger[0].repeated = 2;
        world
    };
    for duplicates in 0..=2 {
        let mut world = repeating();
        world.requests[0].delivered.duplicates = duplicates;
        let books = world.books();
        assert!(books.balanced, "{books:?}");
    }
    let words = "0 foreign and 3 repeated words, 2 repeated by a provider";
    unbalances_in(repeating(), words, |world| world.requests[0].delivered.duplicates = 3);
    unbalances_in(repeating(), "0 foreign and 1 repeated words", |world| {
        world.requests[2].delivered.duplicates = 1;
    });
    unbalances_in(repeating(), "0 foreign and 1 repeated words", |world| {
        world.requests[0].delivered.duplicates = 1;
        world.ledger[0].repeated = 0;
        world.ledger.push(LedgerRow {
            repeated: 1,
            ..row(1, world.requests[0].ended.0 + 1, 900, 30)
        });
    });
    unbalances("31 tokens handed over twice, but 30 at all", |world| {
        world.ledger[0].repeated = 31;
    });
}

#[test]
fn words_of_an_attempt_that_broke_off_may_come_twice_too() {
    let mut world = broken_off(true);
    world.ledger[1].repeated = 1;
    world.requests[1].delivered.duplicates = 1;
    let books = world.books();
    assert!(books.balanced, "{books:?}");
    world.requests[1].outcome = Outcome::Failed(FailureClass::ErrorEvent);
    let books = world.books();
    assert!(books.balanced, "{books:?}");
    world.requests[1].delivered.duplicates = 2;
    assert!(!world.books().balanced);
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
fn a_request_that_is_sent_again_is_one_of_its_own_and_not_of_the_schedule() {
    let again = |index| RequestObservation {
        index: index + AGAIN,
        ..request(1, 150, 185, 30)
    };
    let mut world = balanced();
    world.requests.push(again(1));
    let books = world.books();
    assert!(books.balanced, "{books:?}");
    unbalances("sent again, but never a first time", |world| {
        world.requests.push(again(9));
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
