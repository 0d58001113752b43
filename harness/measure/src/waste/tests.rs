//! Each outcome's rule, just on both sides of its boundary, and the law that nothing is lost.

use brownout_scenario::units::Micros;
use proptest::prelude::*;

use super::*;
use crate::testing::{ALL_CLASSES, ALL_FINISHES, request, row};

/// `(used, wasted, why)` of each row.
fn sorted(request: &RequestObservation, rows: &[LedgerRow], endpoint: Endpoint) -> Vec<(u64, u64, Waste)> {
    let rows: Vec<&LedgerRow> = rows.iter().collect();
    fates(request, &rows, endpoint)
        .iter()
        .map(|fate| (fate.used, fate.wasted, fate.why))
        .collect()
}

fn cut_off(arrived: u64, ended: u64, billed: u64) -> LedgerRow {
    LedgerRow {
        finish: Finish::HungUp,
        hung_up: Some(Micros(ended)),
        ..row(1, arrived, ended, billed)
    }
}

fn outcome(outcome: Outcome, ended: u64, delivered: u64) -> RequestObservation {
    let mut request = request(1, 0, ended, delivered);
    request.outcome = outcome;
    request
}

#[test]
fn the_last_whole_attempt_of_an_answered_request_is_the_used_one() {
    let rows = [row(1, 10, 50, 30), row(1, 20, 90, 30)];
    let seen = sorted(&outcome(Outcome::Answered, 100, 30), &rows, Endpoint::Chat);
    assert_eq!(seen, [(0, 30, Waste::Superseded), (30, 0, Waste::Discarded)]);
}

#[test]
fn an_attempt_shorter_than_the_answer_cannot_be_the_used_one() {
    let rows = [row(1, 10, 50, 30), row(1, 20, 90, 29)];
    let seen = sorted(&outcome(Outcome::Answered, 100, 30), &rows, Endpoint::Chat);
    assert_eq!(seen, [(30, 0, Waste::Discarded), (0, 29, Waste::Superseded)]);
}

#[test]
fn an_attempt_cut_off_by_the_service_is_superseded_by_the_answer() {
    let rows = [cut_off(10, 50, 12), row(1, 60, 90, 30)];
    let seen = sorted(&outcome(Outcome::Answered, 100, 30), &rows, Endpoint::Stream);
    assert_eq!(seen, [(0, 12, Waste::Superseded), (30, 0, Waste::Discarded)]);
}

#[test]
fn a_part_that_is_taken_for_all_is_used_as_far_as_it_was_read_and_truncated_beyond() {
    let answered = outcome(Outcome::Answered, 100, 12);
    let rows = [cut_off(10, 30, 5), cut_off(40, 90, 15)];
    let seen = sorted(&answered, &rows, Endpoint::Stream);
    assert_eq!(seen, [(0, 5, Waste::Superseded), (12, 3, Waste::Truncated)]);
    let rows: Vec<&LedgerRow> = rows.iter().collect();
    assert_eq!(given(&answered, &rows), Some(Given::Part(1)));
    assert_eq!(given(&outcome(Outcome::Answered, 100, 16), &rows), None);
}

#[test]
fn a_whole_answer_of_that_length_goes_before_a_part_and_a_part_before_a_longer_whole() {
    let answered = outcome(Outcome::Answered, 100, 12);
    let of = |rows: &[LedgerRow]| given(&answered, &rows.iter().collect::<Vec<_>>());
    assert_eq!(of(&[row(1, 10, 20, 12), cut_off(30, 90, 15)]), Some(Given::Whole(0)));
    assert_eq!(of(&[cut_off(10, 20, 15), row(1, 30, 90, 30)]), Some(Given::Part(0)));
    assert_eq!(of(&[cut_off(10, 20, 11), row(1, 30, 90, 30)]), Some(Given::Whole(1)));
    assert_eq!(
        of(&[row(1, 30, 90, 12), row(1, 101, 190, 12)]),
        Some(Given::Whole(0)),
        "not one of the future"
    );
    let nothing = outcome(Outcome::Answered, 100, 0);
    let rows = [cut_off(10, 20, 15), row(1, 30, 90, 30)];
    assert_eq!(given(&nothing, &rows.iter().collect::<Vec<_>>()), Some(Given::Whole(1)));
}

#[test]
fn what_came_after_half_a_frame_may_be_missing() {
    let unreadable = LedgerRow {
        fault: Some("malformed_frame#0".to_owned()),
        ..row(1, 10, 90, 30)
    };
    let answered = |tokens| outcome(Outcome::Answered, 100, tokens);
    assert_eq!(given(&answered(12), &[&unreadable]), Some(Given::Part(0)));
    assert_eq!(given(&answered(30), &[&unreadable]), Some(Given::Whole(0)));
    assert_eq!(given(&answered(12), &[&row(1, 10, 90, 30)]), Some(Given::Whole(0)));
}

#[test]
fn a_client_that_leaves_has_used_what_it_read() {
    let rows = [cut_off(10, 30, 5), cut_off(40, 120, 60)];
    let seen = sorted(&outcome(Outcome::Aborted, 100, 20), &rows, Endpoint::Stream);
    assert_eq!(seen, [(0, 5, Waste::Superseded), (20, 40, Waste::Abandoned)]);
}

#[test]
fn an_attempt_made_after_the_client_left_is_abandoned() {
    let rows = [cut_off(10, 100, 25), row(1, 101, 200, 60)];
    let seen = sorted(&outcome(Outcome::Aborted, 100, 20), &rows, Endpoint::Stream);
    assert_eq!(seen, [(20, 5, Waste::Abandoned), (0, 60, Waste::Abandoned)]);
    let rows = [cut_off(10, 100, 25), row(1, 100, 200, 60)];
    let seen = sorted(&outcome(Outcome::Aborted, 100, 20), &rows, Endpoint::Stream);
    let just_in_time = [(0, 25, Waste::Superseded), (20, 40, Waste::Abandoned)];
    assert_eq!(seen, just_in_time, "the last attempt the client can have read from");
}

#[test]
fn a_job_whose_client_left_is_unfetched() {
    let seen = sorted(
        &outcome(Outcome::Aborted, 100, 0),
        &[row(1, 10, 150, 60)],
        Endpoint::Jobs,
    );
    assert_eq!(seen, [(0, 60, Waste::Unfetched)]);
}

#[test]
fn a_whole_answer_behind_a_504_is_discarded_but_a_job_nobody_came_for_is_unfetched() {
    let rows = [row(1, 10, 150, 60)];
    for class in ALL_CLASSES {
        let nobody_came = matches!(class, FailureClass::ClientTimeout | FailureClass::Unfinished);
        let for_jobs = if nobody_came {
            Waste::Unfetched
        } else {
            Waste::Discarded
        };
        let failed = outcome(Outcome::Failed(class), 100, 0);
        assert_eq!(sorted(&failed, &rows, Endpoint::Jobs), [(0, 60, for_jobs)], "{class:?}");
        assert_eq!(
            sorted(&failed, &rows, Endpoint::Chat),
            [(0, 60, Waste::Discarded)],
            "{class:?}"
        );
    }
}

#[test]
fn work_that_outlives_the_patience_in_front_is_abandoned_and_work_before_it_superseded() {
    for class in [
        FailureClass::GatewayTimeout,
        FailureClass::ClientTimeout,
        FailureClass::Unfinished,
    ] {
        let failed = outcome(Outcome::Failed(class), 100, 0);
        let rows = [cut_off(10, 99, 7), cut_off(12, 100, 8), cut_off(40, 99, 9)];
        let expected = [
            (0, 7, Waste::Superseded),
            (0, 8, Waste::Abandoned),
            (0, 9, Waste::Abandoned),
        ];
        assert_eq!(sorted(&failed, &rows, Endpoint::Chat), expected, "{class:?}");
    }
}

#[test]
fn only_the_last_attempt_of_a_broken_answer_is_truncated() {
    for class in [
        FailureClass::Truncated,
        FailureClass::ConnectionLost,
        FailureClass::ErrorEvent,
    ] {
        let failed = outcome(Outcome::Failed(class), 100, 3);
        let rows = [cut_off(10, 30, 7), cut_off(40, 100, 9)];
        let expected = [(0, 7, Waste::Superseded), (0, 9, Waste::Truncated)];
        assert_eq!(sorted(&failed, &rows, Endpoint::Stream), expected, "{class:?}");
    }
}

#[test]
fn behind_any_other_error_the_last_attempt_is_discarded() {
    for class in [
        FailureClass::BadGateway,
        FailureClass::ServerError,
        FailureClass::Malformed,
        FailureClass::JobFailed,
    ] {
        let failed = outcome(Outcome::Failed(class), 100, 0);
        let rows = [cut_off(10, 30, 7), cut_off(40, 60, 9)];
        let expected = [(0, 7, Waste::Superseded), (0, 9, Waste::Discarded)];
        assert_eq!(sorted(&failed, &rows, Endpoint::Chat), expected, "{class:?}");
    }
}

#[test]
fn a_prompt_is_paid_for_nothing_unless_its_attempt_was_of_use() {
    let empty = outcome(Outcome::Answered, 100, 0);
    assert!(
        fates(&empty, &[&row(1, 10, 50, 0)], Endpoint::Chat)[0].served,
        "an empty answer is an answer"
    );
    let unread = outcome(Outcome::Aborted, 100, 0);
    assert!(!fates(&unread, &[&cut_off(10, 50, 9)], Endpoint::Chat)[0].served);
}

fn thought(reasoning: u64, row: LedgerRow) -> LedgerRow {
    LedgerRow {
        reasoning,
        billed: row.billed + reasoning,
        generated: row.generated + reasoning,
        ..row
    }
}

#[test]
fn the_thinking_behind_an_answer_shares_its_fate() {
    let rows = [thought(7, row(1, 10, 50, 30)), thought(8, row(1, 20, 90, 30))];
    let seen = sorted(&outcome(Outcome::Answered, 100, 30), &rows, Endpoint::Chat);
    assert_eq!(seen, [(0, 37, Waste::Superseded), (38, 0, Waste::Discarded)]);
    let failed = outcome(Outcome::Failed(FailureClass::ErrorEvent), 100, 12);
    let seen = sorted(&failed, &rows[..1], Endpoint::Stream);
    assert_eq!(seen, [(0, 37, Waste::Discarded)]);
}

#[test]
fn a_client_that_leaves_has_used_the_thinking_only_if_it_read_something() {
    let rows = [thought(9, cut_off(10, 120, 20))];
    let read = sorted(&outcome(Outcome::Aborted, 100, 1), &rows, Endpoint::Stream);
    assert_eq!(read, [(10, 19, Waste::Abandoned)]);
    let unread = sorted(&outcome(Outcome::Aborted, 100, 0), &rows, Endpoint::Stream);
    assert_eq!(unread, [(0, 29, Waste::Abandoned)]);
}

#[test]
fn an_answer_that_was_all_thinking_is_used_and_nothing_unbilled_is() {
    let empty = outcome(Outcome::Answered, 100, 0);
    let seen = sorted(&empty, &[thought(9, row(1, 10, 50, 0))], Endpoint::Chat);
    assert_eq!(seen, [(9, 0, Waste::Discarded)]);
    let unbilled = LedgerRow {
        billed: 0,
        ..thought(9, cut_off(10, 50, 20))
    };
    let seen = sorted(&outcome(Outcome::Aborted, 100, 5), &[unbilled], Endpoint::Stream);
    assert_eq!(seen, [(0, 0, Waste::Abandoned)]);
}

#[test]
fn a_filtered_answer_is_a_whole_one() {
    let filtered = LedgerRow {
        finish: Finish::Filtered,
        ..row(1, 20, 90, 12)
    };
    let rows = [cut_off(10, 15, 12), filtered];
    let seen = sorted(&outcome(Outcome::Answered, 100, 12), &rows, Endpoint::Chat);
    assert_eq!(seen, [(0, 12, Waste::Superseded), (12, 0, Waste::Discarded)]);
    let failed = outcome(Outcome::Failed(FailureClass::Truncated), 100, 12);
    let seen = sorted(&failed, &rows, Endpoint::Stream);
    assert_eq!(seen, [(0, 12, Waste::Superseded), (0, 12, Waste::Discarded)]);
}

fn any_row() -> impl Strategy<Value = LedgerRow> {
    (
        0u64..200,
        0u64..200,
        0u64..50,
        0u64..60,
        0u64..30,
        prop::sample::select(ALL_FINISHES.to_vec()),
    )
        .prop_map(|(arrived, lasted, flushed, billed, reasoning, finish)| LedgerRow {
            finish,
            flushed,
            reasoning,
            ..row(1, arrived, arrived + lasted, billed)
        })
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let failed = prop::sample::select(ALL_CLASSES.to_vec()).prop_map(Outcome::Failed);
    prop_oneof![
        Just(Outcome::Answered),
        Just(Outcome::Aborted),
        Just(Outcome::NotSent),
        failed
    ]
}

proptest! {
    #[test]
    fn the_classes_partition_what_was_billed(
        mut rows in prop::collection::vec(any_row(), 0..6),
        how in any_outcome(),
        ended in 0u64..300,
        delivered in 0u64..60,
        endpoint in prop::sample::select(vec![Endpoint::Chat, Endpoint::Stream, Endpoint::Jobs]),
    ) {
        rows.sort_by_key(|row| row.arrived);
        let request = outcome(how, ended, delivered);
        let refs: Vec<&LedgerRow> = rows.iter().collect();
        let fates = fates(&request, &refs, endpoint);
        let mut by = WastedBy::default();
        for (fate, row) in fates.iter().zip(&rows) {
            prop_assert_eq!(fate.used + fate.wasted, row.billed);
            by.add(fate.why, fate.wasted);
        }
        let used: u64 = fates.iter().map(|fate| fate.used).sum();
        prop_assert_eq!(used + by.total(), rows.iter().map(|row| row.billed).sum::<u64>());
        let served: Vec<_> = fates.iter().zip(&rows).filter(|(fate, _)| fate.served).collect();
        prop_assert!(served.len() <= 1);
        prop_assert!(used <= served.first().map_or(0, |(_, row)| delivered + row.reasoning));
        prop_assert!(used == 0 || !matches!(how, Outcome::Failed(_) | Outcome::NotSent));
    }
}

mod spliced {
    use super::*;

    /// An attempt that broke off after `tokens` words.
    fn broken(arrived: u64, tokens: u64) -> LedgerRow {
        LedgerRow {
            finish: Finish::Fault,
            ..row(1, arrived, arrived + 10, tokens)
        }
    }

    fn going_on(arrived: u64, begun: u64, tokens: u64) -> LedgerRow {
        LedgerRow {
            begun,
            ..row(1, arrived, arrived + 10, tokens)
        }
    }

    fn used_and_wasted(rows: &[LedgerRow], tokens: u64) -> Vec<(u64, u64)> {
        let rows: Vec<&LedgerRow> = rows.iter().collect();
        let fates = fates(&request(1, 0, 1000, tokens), &rows, Endpoint::Stream);
        fates.iter().map(|fate| (fate.used, fate.wasted)).collect()
    }

    #[test]
    fn an_attempt_that_said_everything_again_gave_all_of_it() {
        let rows = [broken(10, 12), row(1, 50, 90, 20)];
        assert_eq!(used_and_wasted(&rows, 20), [(0, 12), (20, 0)]);
    }

    #[test]
    fn one_that_went_on_gave_the_rest_and_the_first_what_it_went_on_after() {
        // Of 12 words the service had read 11 when the first broke off.
        let rows = [broken(10, 12), going_on(50, 11, 9)];
        assert_eq!(used_and_wasted(&rows, 20), [(11, 1), (9, 0)]);
        let rows = [broken(10, 5), broken(30, 8), going_on(50, 8, 12)];
        assert_eq!(used_and_wasted(&rows, 20), [(0, 5), (8, 0), (12, 0)]);
        let mut second = going_on(30, 5, 3);
        second.finish = Finish::Fault;
        let rows = [broken(10, 5), second, going_on(50, 8, 12)];
        assert_eq!(used_and_wasted(&rows, 20), [(5, 0), (3, 0), (12, 0)]);
    }

    #[test]
    fn words_that_nobody_gave_are_missing() {
        let rows = [broken(10, 5), going_on(50, 8, 12)];
        let rows: Vec<&LedgerRow> = rows.iter().collect();
        assert_eq!((words_missing(&rows, 0), words_missing(&rows, 1)), (0, 8));
    }

    #[test]
    fn who_leaves_after_the_seam_had_read_from_both() {
        let mut second = going_on(50, 8, 12);
        second.finish = Finish::HungUp;
        let rows = [broken(10, 8), second];
        let rows: Vec<&LedgerRow> = rows.iter().collect();
        let mut left = request(1, 0, 1000, 13);
        left.outcome = Outcome::Aborted;
        let fates = fates(&left, &rows, Endpoint::Stream);
        let used: Vec<_> = fates.iter().map(|fate| (fate.used, fate.wasted, fate.why)).collect();
        assert_eq!(used, [(8, 0, Waste::Superseded), (5, 7, Waste::Abandoned)]);
    }
}
