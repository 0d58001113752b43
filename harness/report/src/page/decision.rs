//! What decides: the key figures of each variant, and the expectations.

use brownout_measure::record::{ExpectationRecord, RunRecord};
use maud::{Markup, html};

use super::frame;
use crate::figures;
use crate::key_figures;

/// A row a variant, then where each one's p99 went.
pub(super) fn figures(record: &RunRecord) -> Markup {
    let variants = &record.results.variants;
    let columns = key_figures::present(variants);
    let culprits = || variants.iter().filter_map(|v| Some((&v.name, v.culprit.as_ref()?)));
    let best = variants.len() > 1;
    html! {
        div.scroll.dense tabindex="0" role="region" aria-label="Key figures" {
            table {
                caption.unseen { "Key figures by variant" }
                thead { tr {
                    th scope="col" { "variant" }
                    @for figure in &columns { th scope="col" title=(figure.meaning) { (figure.label) } }
                } }
                tbody {
                    @for variant in variants {
                        tr {
                            th scope="row" { (variant.name) }
                            @for figure in &columns {
                                td {
                                    @if best && figure.is_best(variant, variants) { span.best { (figure.text(variant)) } }
                                    @else { (figure.text(variant)) }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if best { p.faint { "Bold: the best of the variants. Latency counts from the moment a request fell due." } }
        @if culprits().next().is_some() {
            h3 { "Where the p99 went" }
            ul.verses { @for (name, culprit) in culprits() { li { strong { (name) } ": " (culprit) } } }
        }
    }
}

/// A row an expectation.
pub(super) fn expectations(record: &RunRecord) -> Markup {
    html! {
        div.scroll.still tabindex="0" role="region" aria-label="Expectations" {
            table {
                caption.unseen { "Expectations and what came of them" }
                thead { tr {
                    th scope="col" { "verdict" }
                    th.words scope="col" { "expected" }
                    th scope="col" { "found" }
                    th.words scope="col" { "because" }
                } }
                tbody { @for expectation in &record.results.expectations { (row(expectation)) } }
            }
        }
    }
}

fn row(expectation: &ExpectationRecord) -> Markup {
    let found = expectation
        .value
        .map_or_else(|| figures::NONE.to_owned(), figures::number);
    html! {
        tr {
            th scope="row" { (frame::badge(expectation.verdict)) }
            td.words { (expectation.text) }
            td { (found) }
            td.words { (expectation.because.as_deref().unwrap_or_default()) }
        }
    }
}
