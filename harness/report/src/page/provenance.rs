//! Why the figures may be trusted: books, engines, notes, fingerprints and the command.

use brownout_measure::record::{RunRecord, VariantRecord};
use maud::{Markup, html};

use crate::{figures, names};

/// Books, engines, notes, fingerprints.
pub(super) fn all(record: &RunRecord) -> Markup {
    let environment = &record.environment;
    html! {
        h3 { "Books" }
        ul.verses { @for variant in &record.results.variants { (books(variant)) } }
        h3 { "Engines" }
        ul.verses {
            @for variant in &record.results.variants {
                @for (provider, engine) in &variant.engines { li { strong { (variant.name) ", " (provider) } ": " (engine) } }
            }
            @if record.results.variants.iter().all(|v| v.engines.is_empty()) { li { "No simulated provider took part." } }
        }
        @if !environment.notes.is_empty() {
            h3 { "Notes" }
            ul.verses { @for note in &environment.notes { li { (note) } } }
        }
        h3 { "Fingerprints" }
        dl {
            dt { "results" } dd.hash { (record.results_fingerprint) }
            dt { "plan" } dd.hash { (record.plan_fingerprint) }
            dt { "engine" } dd.hash { (record.engine) }
            dt { "version" } dd { "Brownout " (record.brownout) ", " (record.schema) }
            dt { "played on" } dd {
                (environment.platform) ", " (environment.cpus) " processors, " (figures::seconds(environment.wall_s))
                @if !environment.started.is_empty() { ", started " (environment.started) }
                " (in no fingerprint)"
            }
        }
    }
}

fn books(variant: &VariantRecord) -> Markup {
    let VariantRecord { books, unasked, .. } = variant;
    html! {
        li {
            strong { (variant.name) } ": "
            @if books.balanced { "balanced." } @else { "do not balance; no figure of this run may be trusted." }
            @if !books.joined { " The target's text is not the provider's, so tokens could not be joined." }
            @if books.overhead > 0 { " " (figures::grouped(books.overhead)) " tokens outside the figures (probes, warm-up)." }
            @if unasked.attempts > 0 {
                " " (figures::grouped(unasked.attempts)) " attempts that nobody had asked for cost "
                (figures::usd(unasked.picodollars as f64 / 1e12)) ", which is in the cost."
            }
            @if !books.discrepancies.is_empty() { ul { @for line in &books.discrepancies { li { (line) } } } }
        }
    }
}

/// How to get the same run.
pub(super) fn command(record: &RunRecord) -> Markup {
    html! {
        pre tabindex="0" { code { (record.command) } }
        p.faint {
            "Scenario " (record.scenario) ", seed " (record.seed) ", " (names::clock(record.clock)) " clock. "
            @match record.clock {
                brownout_measure::record::ClockKind::Virtual => {
                    "With the same engine the results fingerprint comes out the same, to the last bit."
                }
                brownout_measure::record::ClockKind::Real => "On the real clock the plan is the same; the figures vary with the machine.",
            }
        }
    }
}
