//! Who was served from whose attempt, what that makes of the attempt, and what remains an accusation.

use brownout_scenario::observe::{Delivered, FailureClass, Finish, Usage};
use brownout_scenario::plan::ClientPlan;
use brownout_scenario::units::Share;
use proptest::prelude::*;

use super::*;
use crate::books::balance;
use crate::join::{Join, Joined, join};
use crate::prices::Prices;
use crate::record::{Books, TokenRecord};
use crate::testing::{plan, provider, request, row};
use crate::{counts, tokens};

/// Request `index` for prompt 1, which got 30 words.
fn asked(index: u64, sent: u64, ended: u64) -> RequestObservation {
    RequestObservation {
        prompt: PromptId(1),
        ..request(index, sent, ended, 30)
    }
}

/// A whole answer to prompt 1 that was made for request `caller`.
fn made_for(caller: u64, arrived: u64, ended: u64) -> LedgerRow {
    LedgerRow {
        caller: Some(caller),
        ..row(1, arrived, ended, 30)
    }
}

fn books(join: &Join) -> Books {
    let providers = [provider()];
    balance(join, &Prices::of(&providers), None, 0)
}

fn sums(join: &Join) -> TokenRecord {
    tokens::tokens(&join.requests.iter().collect::<Vec<_>>())
}

#[test]
fn an_answer_from_the_cache_was_paid_for_once_and_read_twice() {
    let requests = [asked(0, 0, 100), asked(1, 100, 110)];
    let ledger = [made_for(0, 10, 100)];
    let join = join(&requests, &ledger, Endpoint::Chat);
    let (books, sums) = (books(&join), sums(&join));
    assert!(books.balanced, "{books:?}");
    assert_eq!((sums.billed, sums.used, sums.wasted), (30, 30, 0));
    assert_eq!((sums.delivered, sums.from_cache, sums.fan_out), (60, 30, 0));
    let counts = counts::requests(&join.requests.iter().collect::<Vec<_>>());
    assert_eq!((counts.answered, counts.from_cache, counts.coalesced), (2, 1, 0));
}

#[test]
fn an_attempt_that_was_still_under_way_was_shared_and_not_cached() {
    let requests = [asked(0, 0, 100), asked(1, 99, 101)];
    let ledger = [made_for(0, 10, 100)];
    let join = join(&requests, &ledger, Endpoint::Chat);
    assert!(books(&join).balanced);
    let sums = sums(&join);
    assert_eq!((sums.from_cache, sums.fan_out, sums.delivered), (0, 30, 60));
}

#[test]
fn an_attempt_whose_own_client_left_is_used_by_whoever_read_it() {
    let left = RequestObservation {
        outcome: Outcome::Aborted,
        delivered: Delivered {
            tokens: 4,
            ..Delivered::default()
        },
        ..asked(0, 0, 50)
    };
    let failed = RequestObservation {
        outcome: Outcome::Failed(FailureClass::ClientTimeout),
        delivered: Delivered::default(),
        ..asked(0, 0, 50)
    };
    for own in [left, failed] {
        let alone = join_of(std::slice::from_ref(&own));
        assert!(alone.0.wasted > 0 && alone.1.balanced, "{alone:?}");
        let shared = join_of(&[own, asked(1, 20, 101)]);
        assert_eq!((shared.0.used, shared.0.wasted, shared.0.fan_out), (30, 0, 30));
        assert!(shared.1.balanced, "{shared:?}");
    }
}

fn join_of(requests: &[RequestObservation]) -> (TokenRecord, Books) {
    let ledger = [made_for(0, 10, 100)];
    let join = join(requests, &ledger, Endpoint::Stream);
    (sums(&join), books(&join))
}

#[test]
fn who_leaves_a_shared_answer_early_has_read_what_it_read() {
    let mut early = asked(1, 20, 60);
    early.outcome = Outcome::Aborted;
    early.delivered.tokens = 7;
    let (sums, books) = join_of(&[asked(0, 0, 100), early.clone()]);
    assert!(books.balanced, "{books:?}");
    assert_eq!((sums.delivered, sums.fan_out, sums.used), (37, 7, 30));
    early.delivered.tokens = 31;
    let (_, books) = join_of(&[asked(0, 0, 100), early]);
    assert_eq!(books.discrepancies.len(), 1, "{books:?}");
    assert!(
        books.discrepancies[0].contains("31 tokens delivered, 0 handed over"),
        "{books:?}"
    );
}

#[test]
fn own_attempts_explain_what_they_can_and_the_others_are_superseded() {
    let requests = [asked(0, 0, 100), asked(1, 200, 300)];
    let ledger = [made_for(0, 10, 100), made_for(1, 210, 290)];
    let join = join(&requests, &ledger, Endpoint::Chat);
    assert_eq!((sums(&join).from_cache, sums(&join).used), (0, 60));
    let cut = LedgerRow {
        finish: Finish::HungUp,
        ..LedgerRow {
            caller: Some(1),
            ..row(1, 210, 220, 5)
        }
    };
    let ledger = [made_for(0, 10, 100), cut];
    let join = crate::join::join(&requests, &ledger, Endpoint::Chat);
    let sums = sums(&join);
    assert_eq!((sums.from_cache, sums.used, sums.wasted_by.superseded), (30, 30, 5));
    assert!(books(&join).balanced);
}

#[test]
fn one_token_too_many_is_caught_in_a_shared_answer_too() {
    let reporting = |completion_tokens, prompt_tokens| {
        let mut second = asked(1, 100, 110);
        second.reported = Some(Usage {
            prompt_tokens,
            completion_tokens,
        });
        join_of(&[asked(0, 0, 100), second]).1
    };
    assert!(reporting(30, 10).balanced);
    for (completion, prompt, words) in [
        (31, 10, "reports 31 completion tokens, the provider 30"),
        (30, 9, "reports 9 prompt tokens, the provider 10"),
    ] {
        let books = reporting(completion, prompt);
        assert_eq!(books.discrepancies.len(), 1, "{books:?}");
        assert!(books.discrepancies[0].contains(words), "{books:?}");
    }
    let mut silent = asked(1, 100, 110);
    silent.reported = None;
    let books = join_of(&[asked(0, 0, 100), silent]).1;
    assert!(books.discrepancies[0].contains("reports no usage"), "{books:?}");
}

#[test]
fn nobody_gets_what_no_attempt_gave() {
    let mut longer = asked(1, 100, 110);
    longer.delivered.tokens = 31;
    let books = join_of(&[asked(0, 0, 100), longer]).1;
    assert!(
        books.discrepancies[0].contains("answered with 31 tokens, but no attempt gave as many"),
        "{books:?}"
    );
    let before_it_began = asked(1, 0, 9);
    assert!(!join_of(&[asked(0, 0, 100), before_it_began]).1.balanced);
}

#[test]
fn a_part_that_is_passed_on_as_the_whole_is_incomplete_for_everybody() {
    let requests = [0, 20, 200].map(|sent| {
        let mut request = asked(sent, sent, sent.max(100) + 10);
        request.delivered.tokens = 12;
        request.reported = None;
        request
    });
    let ledger = [LedgerRow {
        finish: Finish::Fault,
        ..LedgerRow {
            caller: Some(0),
            ..row(1, 10, 100, 12)
        }
    }];
    let join = join(&requests, &ledger, Endpoint::Stream);
    let counts = counts::requests(&join.requests.iter().collect::<Vec<_>>());
    assert_eq!((counts.incomplete, counts.coalesced, counts.from_cache), (3, 1, 1));
    assert!(books(&join).balanced, "{:?}", books(&join));
}

/// A load of clients with these keys.
fn load(keys: &[Option<&str>]) -> LoadPlan {
    let mut load = plan(&["only"], Vec::new()).variants.remove(0).load;
    load.clients = keys
        .iter()
        .map(|key| ClientPlan {
            name: None,
            share: Share::ALL,
            key: key.map(str::to_owned),
            idempotent: false,
            task: None,
            reads: None,
            disconnect: None,
            again: None,
        })
        .collect();
    load
}

#[test]
fn an_answer_that_was_made_for_another_key_unbalances_the_books_in_so_many_words() {
    let mut other = asked(1, 100, 110);
    other.client = 1;
    let requests = [asked(0, 0, 100), other];
    for ledger in [
        [made_for(0, 10, 100)],
        [LedgerRow {
            prompt: PromptId(1),
            ..made_for(0, 10, 105)
        }],
    ] {
        for (keys, fine) in [
            ([Some("a"), Some("b")], false),
            ([Some("a"), None], false),
            ([Some("a"), Some("a")], true),
        ] {
            let load = load(&keys);
            let join = join(&requests, &ledger, &load);
            let books = books(&join);
            assert_eq!(books.balanced, fine, "{keys:?}: {books:?}");
            if !fine {
                assert_eq!(books.discrepancies.len(), 1, "{books:?}");
                assert!(
                    books.discrepancies[0].contains("made for a client with another key"),
                    "{books:?}"
                );
            }
        }
    }
}

#[test]
fn without_a_trace_only_a_prompt_that_nobody_with_that_key_asked_for_is_an_accusation() {
    let untraced = LedgerRow {
        caller: None,
        ..made_for(0, 10, 100)
    };
    let mut other = asked(1, 100, 110);
    other.client = 1;
    let load = load(&[Some("a"), Some("b")]);
    let requests = [asked(0, 0, 100), other];
    let join = join(&requests, std::slice::from_ref(&untraced), &load);
    assert!(books(&join).balanced, "either may have been its caller");
}

#[test]
fn an_answer_that_was_made_before_anybody_asked_may_be_given_to_all() {
    let warmed = LedgerRow {
        caller: None,
        ..made_for(0, 1, 5)
    };
    let requests = [asked(0, 10, 20), asked(1, 30, 40)];
    let join = join(&requests, std::slice::from_ref(&warmed), Endpoint::Chat);
    assert!(books(&join).balanced, "{:?}", books(&join));
    assert_eq!(
        (sums(&join).billed, sums(&join).from_cache, join.strangers.len()),
        (0, 60, 1)
    );
}

/// A question, asked and answered with 30 words of `answer`'s answer, by a client of kind `client`.
fn question(index: u64, place: usize, answer: usize, (sent, ended): (u64, u64), client: u32) -> RequestObservation {
    let prompt = |place: usize| brownout_scenario::questions::meanings()[place].prompt;
    let mut asked = RequestObservation {
        prompt: prompt(place),
        client,
        ..request(index, sent, ended, 30)
    };
    if place != answer {
        asked.delivered = Delivered {
            misdelivered: 30,
            whose: Some(prompt(answer)),
            ..Delivered::default()
        };
    }
    asked
}

/// A whole answer to the question in `place`, made for request `caller`.
fn answer_to(place: usize, caller: u64, arrived: u64, ended: u64) -> LedgerRow {
    LedgerRow {
        prompt: brownout_scenario::questions::meanings()[place].prompt,
        ..made_for(caller, arrived, ended)
    }
}

#[test]
fn the_answer_to_another_question_is_wrong_and_the_books_balance() {
    let requests = [
        question(0, 0, 0, (0, 100), 0),
        question(1, 1, 0, (200, 210), 0),
        question(2, 1, 0, (50, 110), 0),
    ];
    let ledger = [answer_to(0, 0, 10, 100)];
    let join = join(&requests, &ledger, Endpoint::Chat);
    let counts = counts::requests(&join.requests.iter().collect::<Vec<_>>());
    assert_eq!((counts.answered, counts.wrong, counts.valid()), (3, 2, 1));
    assert_eq!((counts.from_cache, counts.coalesced), (1, 1));
    let (sums, books) = (sums(&join), books(&join));
    assert_eq!(
        (sums.delivered, sums.from_cache, sums.fan_out, sums.used),
        (90, 30, 30, 30)
    );
    assert!(books.balanced, "{books:?}");
}

#[test]
fn a_wrong_answer_must_be_somebodys_whole_answer_and_of_a_question_too() {
    let first = question(0, 0, 0, (0, 100), 0);
    let ledger = [answer_to(0, 0, 10, 100)];
    let unbalances = |second: RequestObservation, words: &str| {
        let requests = [first.clone(), second];
        let join = join(&requests, &ledger, Endpoint::Chat);
        let books = books(&join);
        assert!(
            books.discrepancies.iter().any(|d| d.contains(words)),
            "{words}: {books:?}"
        );
    };
    let wrong = || question(1, 1, 0, (200, 210), 0);
    let mut too_much = wrong();
    too_much.delivered.misdelivered = 31;
    unbalances(too_much, "31 tokens of another prompt's answer");
    let mut mixed = wrong();
    mixed.delivered.whose = None;
    unbalances(mixed, "30 tokens of another prompt's answer");
    let mut half = wrong();
    half.delivered.tokens = 3;
    unbalances(half, "30 tokens of another prompt's answer");
    unbalances(
        RequestObservation {
            prompt: PromptId(7),
            ..wrong()
        },
        "30 tokens of another prompt's answer",
    );
    let mut reported = wrong();
    reported.reported.as_mut().unwrap().completion_tokens = 31;
    unbalances(reported, "reports 31 completion tokens, the provider 30");
}

#[test]
fn another_questions_answer_that_was_made_for_another_key_is_an_accusation() {
    let requests = [question(0, 0, 0, (0, 100), 0), question(1, 1, 0, (200, 210), 1)];
    let ledger = [answer_to(0, 0, 10, 100)];
    let load = load(&[Some("a"), Some("b")]);
    let join = join(&requests, &ledger, &load);
    let books = books(&join);
    assert_eq!(books.discrepancies.len(), 1, "{books:?}");
    assert!(
        books.discrepancies[0].contains("made for a client with another key"),
        "{books:?}"
    );
}

fn any_request() -> impl Strategy<Value = (u64, u64, u64, u8, u64)> {
    (1u64..4, 0u64..300, 0u64..200, 0u8..4, 0u64..40)
}

fn any_row() -> impl Strategy<Value = (u64, Option<u64>, u64, u64, u64, Finish)> {
    (
        1u64..4,
        prop::option::of(0u64..9),
        0u64..400,
        0u64..200,
        0u64..40,
        prop::sample::select(crate::testing::ALL_FINISHES.to_vec()),
    )
}

proptest! {
    #[test]
    fn whoever_reads_what_each_row_is_used_or_wasted_once_and_each_word_has_one_source(
        requests in prop::collection::vec(any_request(), 0..8),
        rows in prop::collection::vec(any_row(), 0..10),
    ) {
        let requests: Vec<RequestObservation> = (0..).zip(requests).map(|(index, (prompt, sent, lasts, how, tokens))| RequestObservation {
            prompt: PromptId(prompt),
            outcome: match how {
                0 | 1 => Outcome::Answered,
                2 => Outcome::Aborted,
                _ => Outcome::Failed(FailureClass::Truncated),
            },
            ..request(index, sent, sent + lasts, tokens)
        }).collect();
        let ledger: Vec<LedgerRow> = rows.into_iter().map(|(prompt, caller, arrived, lasts, tokens, finish)| LedgerRow {
            caller,
            finish,
            ..row(prompt, arrived, arrived + lasts, tokens)
        }).collect();
        let join = join(&requests, &ledger, Endpoint::Stream);
        let joined: usize = join.requests.iter().map(|each| each.rows.len()).sum();
        prop_assert_eq!(joined + join.strangers.len(), ledger.len());
        for each in &join.requests {
            for (row, fate) in each.attempts() {
                prop_assert_eq!(fate.used + fate.wasted, row.billed);
            }
            if let Source::Shared(shared) = each.source {
                prop_assert!(shared.row.prompt == each.request.prompt);
                prop_assert!(shared.row.flushed >= each.request.delivered.tokens);
                prop_assert!(shared.row.arrived <= each.request.ended);
            }
        }
        let sums = sums(&join);
        prop_assert_eq!(sums.used + sums.wasted, sums.billed);
        let own: u64 = join.requests.iter().filter(|each| !matches!(each.source, Source::Shared(_))).map(|each: &Joined| each.request.delivered.tokens).sum();
        prop_assert_eq!(own + sums.from_cache + sums.fan_out, sums.delivered);
    }
}
