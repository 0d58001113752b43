//! Whom a fault concerns, and whether there can be anybody like that.

use toml::Spanned;

use super::{Context, Resolved, Served};
use crate::file::{FaultBlock, HeaderBlock};
use crate::plan::{HeaderMatch, Scope};

/// Bounds the work per attempt.
const MOST_NAMES: usize = 256;

pub(super) fn scope(context: &Context<'_>, served: Served<'_>, raw: &FaultBlock) -> Resolved<Scope> {
    Ok(Scope {
        models: raw
            .models
            .as_ref()
            .map_or(Ok(Vec::new()), |names| models(context, served, names))?,
        keys: raw.keys.as_ref().map_or(Ok(Vec::new()), |names| keys(context, names))?,
        header: raw.header.as_ref().map(|block| header(context, block)).transpose()?,
    })
}

fn models(context: &Context<'_>, served: Served<'_>, names: &Spanned<Vec<Spanned<String>>>) -> Resolved<Vec<String>> {
    some(context, names)?;
    for name in names.get_ref() {
        if !served.models.iter().any(|model| model.name == *name.get_ref()) {
            let known: Vec<&str> = served.models.iter().map(|model| model.name.as_str()).collect();
            return context.fail(
                name.span(),
                format!(
                    "this provider does not serve `{}`: the fault can never happen",
                    name.get_ref()
                ),
                format!("it serves {}; also_serves adds models", known.join(", ")),
            );
        }
    }
    Ok(texts(names))
}

fn keys(context: &Context<'_>, names: &Spanned<Vec<Spanned<String>>>) -> Resolved<Vec<String>> {
    some(context, names)?;
    for name in names.get_ref() {
        if name.get_ref().is_empty() || !name.get_ref().bytes().all(|b| b.is_ascii_graphic()) {
            return context.fail(
                name.span(),
                format!("`{}` cannot be an API key: no request carries it", name.get_ref()),
                "write the key as callers send it, without `Bearer`: printable ASCII without blanks",
            );
        }
    }
    Ok(texts(names))
}

fn some(context: &Context<'_>, names: &Spanned<Vec<Spanned<String>>>) -> Resolved<()> {
    if (1..=MOST_NAMES).contains(&names.get_ref().len()) {
        return Ok(());
    }
    context.fail(
        names.span(),
        "this list has nobody in it, or too many",
        format!("name from 1 to {MOST_NAMES}, or leave the key out: then the fault concerns everybody"),
    )
}

fn texts(names: &Spanned<Vec<Spanned<String>>>) -> Vec<String> {
    names.get_ref().iter().map(|name| name.get_ref().clone()).collect()
}

fn header(context: &Context<'_>, block: &Spanned<HeaderBlock>) -> Resolved<HeaderMatch> {
    let HeaderBlock { name, value } = block.get_ref();
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.get_ref().is_empty() || !name.get_ref().bytes().all(is_token) {
        return context.fail(
            name.span(),
            format!("`{}` cannot be the name of a header", name.get_ref()),
            "write letters, digits and `-`, such as \"x-tenant\"; capitals make no difference",
        );
    }
    let arrives = |text: &str| text.trim() == text && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if let Some(value) = value.as_ref().filter(|value| !arrives(value.get_ref())) {
        return context.fail(
            value.span(),
            "no header arrives with this value",
            "write printable ASCII without blanks around it, or leave value out: then any value will do",
        );
    }
    Ok(HeaderMatch {
        name: name.get_ref().to_ascii_lowercase(),
        value: value.as_ref().map(|value| value.get_ref().clone()),
    })
}
