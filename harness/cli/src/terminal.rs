//! What a person sees while a run is on: bars on a terminal, plain lines elsewhere, nothing when quiet.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use brownout_world::Event;
use brownout_world::run::Events;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Where progress goes: standard error, so that standard output stays for results.
pub(crate) fn watch(quiet: bool) -> Events {
    if quiet {
        return Arc::new(|_| {});
    }
    if std::io::stderr().is_terminal() {
        bars()
    } else {
        lines()
    }
}

fn lines() -> Events {
    Arc::new(|event| match event {
        Event::VariantStarted {
            scenario,
            variant,
            planned,
        } => {
            let planned = planned.map_or(String::new(), |n| format!(": {n} requests"));
            complain!("playing {scenario} / {variant}{planned}");
        }
        Event::Progressed { .. } | Event::VariantFinished { .. } => {}
    })
}

fn bars() -> Events {
    let all = MultiProgress::new();
    let open: Mutex<BTreeMap<String, ProgressBar>> = Mutex::new(BTreeMap::new());
    Arc::new(move |event| {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::VariantStarted {
                scenario,
                variant,
                planned,
            } => {
                let bar = all.add(planned.map_or_else(ProgressBar::no_length, ProgressBar::new));
                bar.set_style(style());
                bar.set_prefix(format!("{scenario} / {variant}"));
                open.insert(variant, bar);
            }
            Event::Progressed { variant, ended } => {
                if let Some(bar) = open.get(&variant) {
                    bar.set_position(ended);
                }
            }
            Event::VariantFinished { variant } => {
                if let Some(bar) = open.remove(&variant) {
                    bar.finish_and_clear();
                }
            }
        }
    })
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:45} {bar:30} {pos}/{len}").unwrap_or_else(|_| ProgressStyle::default_bar())
}
