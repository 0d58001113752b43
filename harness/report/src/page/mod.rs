//! A run's page: verdict, answer, figures, charts, then every number, in one file.
//!
//! - `frame`: the document, its style and small parts; `decision`: what decides; `numbers`: all the rest;
//!   `provenance`: why to trust it; `glossary`.
//!
//! No script, nothing fetched, readable on paper, on a phone and in the dark.

mod decision;
pub(crate) mod frame;
mod glossary;
mod numbers;
mod provenance;

use brownout_measure::record::RunRecord;
use maud::{Markup, PreEscaped, html};

use crate::chart::{Chart, ChartError, Shape};
use crate::{ablation, bill, figures, names};

/// The page over one run.
pub fn run_page(record: &RunRecord) -> Result<String, ChartError> {
    let charts = Chart::of(record)
        .into_iter()
        .map(|chart| figure(chart, record))
        .collect::<Result<Vec<_>, _>>()?;
    let body = html! {
        (opening(record))
        main {
            section #figures { h2 { "Key figures" } (decision::figures(record)) }
            @if !record.results.expectations.is_empty() {
                section #expectations { h2 { "Expectations" } (decision::expectations(record)) }
            }
            (cures(record))
            (clients(record))
            (bill(record))
            section #charts { h2 { "Charts" } @for chart in &charts { (chart) } }
            section #numbers { h2 { "All numbers" } (numbers::all(record)) }
            section #provenance { h2 { "Books, engines, fingerprints" } (provenance::all(record)) }
            section #again { h2 { "Play it again" } (provenance::command(record)) }
            section #glossary { h2 { "Glossary" } (glossary::list()) }
        }
    };
    Ok(frame::document(
        &format!("{}: {}", record.scenario, record.question),
        &body,
    ))
}

/// What each cure is worth, where that was played. The charts are among the others.
fn cures(record: &RunRecord) -> Markup {
    html! {
        @if let Some((table, headline)) = ablation::table(record).zip(ablation::headline(record)) {
            section #cures {
                h2 { (ablation::TITLE) }
                p { (headline) }
                (frame::table(ablation::TITLE, table.head(), &table.body().map(|row| row.iter().map(frame::text).collect()).collect::<Vec<_>>()))
                p.faint { (ablation::note(record)) }
            }
        }
    }
}

/// What it costs a day, where something was paid for in vain.
fn bill(record: &RunRecord) -> Markup {
    let rows = bill::rows(&record.results.variants);
    let rows: Vec<Vec<Markup>> = rows.iter().map(|row| row.iter().map(frame::text).collect()).collect();
    html! {
        @if !rows.is_empty() {
            section #bill {
                h2 { (bill::TITLE) }
                (frame::table(bill::TITLE, &bill::HEAD.map(str::to_owned), &rows))
                p.faint { (bill::NOTE) }
            }
        }
    }
}

/// How each kind of client fared, where kinds have names.
fn clients(record: &RunRecord) -> Markup {
    let variants = &record.results.variants;
    html! {
        @if variants.iter().any(|variant| !variant.clients.is_empty()) {
            section #clients { h2 { "Kinds of clients" } (numbers::clients(variants)) }
        }
    }
}

fn opening(record: &RunRecord) -> Markup {
    let results = &record.results;
    let seconds = results.variants.iter().map(|v| v.duration_s).fold(0.0, f64::max);
    html! {
        header {
            p.kicker {
                (frame::badge(results.verdict)) " " (record.scenario) " · " (names::clock(record.clock)) " clock · seed "
                (record.seed) " · " (figures::number(seconds)) " s measured"
            }
            h1 { (record.question) }
            p.lead { (results.answer) }
            @if let Some(claim) = &record.claim { p.claim { strong { "Claim under test: " } (claim) } }
            p.faint { (names::verdict_means(results)) }
            @if record.interrupted { p.alert { "The run was interrupted: it counts what had fallen due." } }
            nav aria-label="On this page" {
                a href="#figures" { "Key figures" }
                @if !results.expectations.is_empty() { a href="#expectations" { "Expectations" } }
                @if !results.ablation.is_empty() { a href="#cures" { "Cures" } }
                a href="#charts" { "Charts" }
                a href="#numbers" { "All numbers" }
                a href="#provenance" { "Books and fingerprints" }
                a href="#again" { "Play it again" }
                a href="#glossary" { "Glossary" }
            }
        }
    }
}

/// The chart twice: for wide pages and for phones. The style shows one of them.
fn figure(chart: Chart, record: &RunRecord) -> Result<Markup, ChartError> {
    let (wide, narrow) = (chart.svg(record, Shape::Wide)?, chart.svg(record, Shape::Narrow)?);
    Ok(html! {
        figure id=(chart.name()) {
            div.paper.wide { (PreEscaped(wide)) }
            div.paper.narrow { (PreEscaped(narrow)) }
        }
    })
}

#[cfg(test)]
mod tests;
