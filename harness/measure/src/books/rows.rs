//! What must hold for every row of a ledger, whoever asked for the attempt.
//!
//! Knows no requests: a provider that miscounts is caught here, a service that does in [`super`].

use brownout_scenario::observe::{Finish, LedgerRow};

use super::Discrepancies;
use crate::prices::Prices;
use crate::words::thousands;

/// Notes all that is wrong with `row`.
pub(super) fn check_row(found: &mut Discrepancies, row: &LedgerRow, prices: &Prices) {
    found.demand(row.arrived <= row.ended, || {
        format!("{}: it ended before it arrived", here(row))
    });
    check_completion(found, row);
    check_prompt(found, row);
    check_price(found, row, prices);
}

fn here(row: &LedgerRow) -> String {
    format!("prompt {}, attempt {} at {}", row.prompt, row.attempt, row.provider)
}

/// Tokens are generated, then handed over, and billed if they were; thinking is billed and stays.
fn check_completion(found: &mut Discrepancies, row: &LedgerRow) {
    let accounted = row.flushed + row.reasoning;
    let handed_over = || match row.reasoning {
        0 => format!("{}: {} tokens handed over", here(row), row.flushed),
        thought => format!(
            "{}: {} tokens handed over and {thought} thought",
            here(row),
            row.flushed
        ),
    };
    found.demand(accounted <= row.generated, || {
        format!("{}, but {} generated", handed_over(), row.generated)
    });
    found.demand(row.repeated <= row.flushed, || {
        let (repeated, flushed) = (row.repeated, row.flushed);
        format!(
            "{}: {repeated} tokens handed over twice, but {flushed} at all",
            here(row)
        )
    });
    found.demand(row.billed <= row.generated, || {
        let (billed, generated) = (row.billed, row.generated);
        format!("{}: {billed} tokens billed, but {generated} generated", here(row))
    });
    // All or nothing: an answer that the provider broke off may go unbilled, but not half of it.
    let may_go_unbilled = matches!(
        row.finish,
        Finish::Fault | Finish::RateLimited | Finish::Overloaded | Finish::Refused
    );
    let is_billed = row.billed >= accounted.min(row.generated);
    found.demand(is_billed || (may_go_unbilled && row.billed == 0), || {
        format!("{}, but {} billed", handed_over(), row.billed)
    });
    found.demand(row.status == 200 || row.billed == 0, || {
        format!("{}: {}, but {} tokens billed", here(row), answer(row), row.billed)
    });
}

/// The cache knows parts of the prompt, and a prompt is billed whole or not at all.
fn check_prompt(found: &mut Discrepancies, row: &LedgerRow) {
    let (read, written) = (row.cached_tokens, row.cache_write_tokens);
    found.demand(read + written <= row.prompt_tokens, || {
        let prompt = row.prompt_tokens;
        format!(
            "{}: {read} prompt tokens read from the cache and {written} written to it, but {prompt} in all",
            here(row)
        )
    });
    let billed = row.billed_prompt;
    found.demand(row.status == 200 || billed == 0, || {
        format!("{}: {}, but {billed} prompt tokens billed", here(row), answer(row))
    });
    found.demand(billed == 0 || billed == row.prompt_tokens, || {
        let prompt = row.prompt_tokens;
        format!("{}: {billed} prompt tokens billed, but {prompt} in all", here(row))
    });
}

/// The provider's own price is the one that the plan's prices give.
fn check_price(found: &mut Discrepancies, row: &LedgerRow, prices: &Prices) {
    let Some(price) = prices.of_row(row) else {
        found.demand(false, || format!("{}: the plan has no such provider", here(row)));
        return;
    };
    let (billed, model) = (row.billed + row.billed_prompt, &row.model);
    found.demand(billed == 0 || prices.knows_model(row), || {
        format!("{}: it has no model `{model}`, but {billed} tokens billed", here(row))
    });
    let expected = price.prompt + row.billed * price.per_token;
    found.demand(row.price.0 == expected, || {
        let (price, expected) = (thousands(row.price.0), thousands(expected));
        format!("{}: priced {price} picodollars, its tokens cost {expected}", here(row))
    });
}

fn answer(row: &LedgerRow) -> String {
    match row.status {
        0 => "never answered".to_owned(),
        status => format!("answered {status}"),
    }
}
