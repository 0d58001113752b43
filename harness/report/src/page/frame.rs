//! The document around a page: its style, and the small parts that pages share.

use brownout_measure::record::Verdict;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::names;

const STYLE: &str = include_str!("style.css");

/// A whole document.
pub(crate) fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// A verdict, by sign, word and colour.
pub(crate) fn badge(verdict: Verdict) -> Markup {
    let word = names::verdict(verdict);
    html! { span class=(format!("badge {word}")) { span aria-hidden="true" { (names::sign(verdict)) } " " (word) } }
}

/// A table that scrolls in its own box when the page is narrower. The first column names the row.
pub(crate) fn table(caption: &str, head: &[String], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption.unseen { (caption) }
                thead { tr { @for cell in head { th scope="col" { (cell) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @if let Some((name, cells)) = row.split_first() {
                                th scope="row" { (name) }
                                @for cell in cells { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Text as a cell.
pub(crate) fn text(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}
