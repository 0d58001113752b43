//! Equal seeds, equal answers and timings, whatever else goes on at the same time.

use brownout_scenario::distribution::Distribution;
use brownout_scenario::observe::LedgerRow;
use brownout_scenario::plan::ProviderPlan;
use brownout_scenario::units::{Micros, Share};

use super::{STREAM, World, chat};
use crate::samples::{fault, lognormal, plan_with, status};
use brownout_scenario::plan::FaultEffect;

/// Chance decides latencies, lengths, thinking and who suffers what.
fn chancy() -> ProviderPlan {
    let chance = |effect, probability: f64| brownout_scenario::plan::FaultPlan {
        probability: Share::try_from(probability).unwrap(),
        ..fault(effect)
    };
    plan_with(|plan| {
        plan.first_token = lognormal(200_000.0, 900_000.0);
        plan.inter_token = lognormal(9_000.0, 40_000.0);
        plan.output_tokens = Distribution::Uniform { min: 3.0, max: 40.0 };
        plan.reasoning_tokens = Distribution::Uniform { min: 0.0, max: 9.0 };
        plan.faults = vec![
            chance(FaultEffect::CleanEof { after_tokens: None }, 0.2),
            chance(
                FaultEffect::Stall {
                    after_tokens: None,
                    lasts: Some(lognormal(1e5, 9e5)),
                },
                0.2,
            ),
            chance(status(500, None).effect, 0.2),
        ];
    })
}

/// What each prompt got and when, seen from its arrival: together, or one after the other.
async fn play(together: bool) -> Vec<(String, u64, LedgerRow)> {
    let world = World::of(chancy());
    let ask = async |prompt: u64| {
        let mut client = world.client().await;
        let sent = world.clock.now_us();
        let text = client.post(&chat(prompt, STREAM)).await.text;
        (text, world.clock.now_us() - sent)
    };
    let mut answers = Vec::new();
    if together {
        answers = futures::future::join_all((0..40).rev().map(ask)).await;
        answers.reverse();
    } else {
        for prompt in 0..40 {
            answers.push(ask(prompt).await);
        }
    }
    let mut rows = world.provider.ledger.rows();
    rows.sort_by_key(|row| row.prompt);
    let rows = rows.into_iter().map(|row| LedgerRow {
        first_token: row.first_token.map(|first| first.since(row.arrived)),
        ended: row.ended.since(row.arrived),
        arrived: Micros::ZERO,
        ..row
    });
    answers
        .into_iter()
        .zip(rows)
        .map(|((text, took), row)| (text, took, row))
        .collect()
}

/// A text without its date, which tells when it was asked for.
fn dateless(text: &str) -> String {
    let mut dateless = String::new();
    for piece in text.split("\"created\":") {
        dateless.push_str(piece.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    dateless
}

#[tokio::test(start_paused = true)]
async fn a_prompt_gets_the_same_however_many_ask_at_once() {
    let (together, alone) = (play(true).await, play(false).await);
    for ((text, took, row), (lone_text, lone_took, lone_row)) in together.into_iter().zip(alone) {
        assert_eq!(dateless(&text), dateless(&lone_text));
        // Timers tick in milliseconds, and when the request was sent is not on a tick of its own.
        assert!(took.abs_diff(lone_took) <= 1_000, "{took} and {lone_took}");
        assert_eq!(row, lone_row);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_again_is_the_same_to_the_last_byte() {
    assert_eq!(play(true).await, play(true).await);
}
