//! Expectation blocks: who is meant, which bounds, and whether it could ever fail.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;

use super::{Context, Resolved};
use crate::file::ExpectBlock;
use crate::plan::{Comparison, Expectation, Variant};

pub(super) fn expectation(
    context: &Context<'_>,
    names: &BTreeSet<&str>,
    variants: &[Variant],
    block: &Spanned<ExpectBlock>,
) -> Resolved<Expectation> {
    let raw = block.get_ref();
    let listed = || names.iter().copied().collect::<Vec<_>>().join(", ");
    let known = |name: &str, span: Range<usize>| {
        if names.contains(name) {
            return Ok(name.to_owned());
        }
        context.fail(
            span,
            format!("there is no variant named `{name}`"),
            format!("the variants are: {}", listed()),
        )
    };
    if raw.at_least.is_none() && raw.at_most.is_none() {
        return context.fail(
            block.span(),
            "this expectation can never fail",
            "add at_least, at_most or both",
        );
    }
    if let (Some(low), Some(high)) = (raw.at_least, raw.at_most)
        && low > high
    {
        return context.fail(
            block.span(),
            "at_least is above at_most: nothing can meet this",
            "swap the bounds",
        );
    }
    let compare = match &raw.compare {
        None => None,
        Some(text) => {
            let Some((numerator, denominator)) = text.get_ref().split_once('/') else {
                return context.fail(
                    text.span(),
                    format!("`{}` does not compare two variants", text.get_ref()),
                    "write compare = \"resilient / naive\": the first figure is divided by the second",
                );
            };
            let numerator = known(numerator.trim(), text.span())?;
            let denominator = known(denominator.trim(), text.span())?;
            Some(Comparison { numerator, denominator })
        }
    };
    if let Some(variant) = raw.variant.as_ref().filter(|_| compare.is_some()) {
        return context.fail(
            variant.span(),
            "an expectation is about one variant or compares two, not both",
            "remove variant or compare",
        );
    }
    if let Some(name) = &raw.phase {
        phase(context, variants, name)?;
    }
    client(context, variants, &raw.metric)?;
    let variant = raw.variant.as_ref().map(|v| known(v.get_ref(), v.span())).transpose()?;
    Ok(Expectation {
        because: raw.because.clone(),
        variant,
        metric: raw.metric.get_ref().clone(),
        phase: raw.phase.as_ref().map(|p| p.get_ref().clone()),
        compare,
        at_least: raw.at_least,
        at_most: raw.at_most,
    })
}

/// Whether some variant has the phase.
fn phase(context: &Context<'_>, variants: &[Variant], phase: &Spanned<String>) -> Resolved<()> {
    let name = phase.get_ref().as_str();
    if let Some(step) = name.strip_prefix("step-") {
        let most = variants.iter().map(|v| v.load.steps(context.duration).len()).max();
        let most = most.unwrap_or(0);
        if step.parse().is_ok_and(|step: usize| (1..=most).contains(&step)) {
            return Ok(());
        }
        return context.fail(
            phase.span(),
            format!("the load has no `{name}`"),
            match most {
                0 => "steps come from arrivals = { kind = \"steps\", ... }".to_owned(),
                most => format!("its steps are step-1 to step-{most}"),
            },
        );
    }
    if !["before", "during", "after"].contains(&name) {
        return context.fail(
            phase.span(),
            format!("there is no phase `{name}`"),
            "phases are before, during and after, seen from the fault window, and step-1 and so on of a load in steps",
        );
    }
    if variants.iter().all(|v| v.fault_window().is_none()) {
        return context.fail(
            phase.span(),
            "without a fault there are no phases",
            "add a [[provider.fault]] with from and until, or remove phase",
        );
    }
    Ok(())
}

/// Whether some variant has the kind of client that the metric is about.
fn client(context: &Context<'_>, variants: &[Variant], metric: &Spanned<String>) -> Resolved<()> {
    let Some(name) = metric
        .get_ref()
        .strip_prefix("clients.")
        .and_then(|rest| rest.split('.').next())
    else {
        return Ok(());
    };
    let clients = || variants.iter().flat_map(|v| &v.load.clients);
    let known: BTreeSet<&str> = clients().filter_map(|client| client.name.as_deref()).collect();
    if known.contains(name) {
        return Ok(());
    }
    context.fail(
        metric.span(),
        format!("no kind of client is named `{name}`"),
        if known.is_empty() {
            "give a [[load.client]] a name".to_owned()
        } else {
            format!("the kinds are: {}", known.into_iter().collect::<Vec<_>>().join(", "))
        },
    )
}
