//! What an attempt suffers: the keys of each kind, with their defaults and bounds.

use toml::Spanned;

use super::{Context, Resolved};
use crate::distribution::Distribution;
use crate::file::{BodyWord, FaultBlock, FaultKind, OutageWord};
use crate::plan::{Dialect, FaultEffect, Timetable};
use crate::resolve::{checked, lasting};
use crate::units::Micros;

/// What an overloaded provider says.
const fn overloaded(dialect: Dialect) -> u16 {
    match dialect {
        Dialect::Anthropic => 529,
        Dialect::OpenAi | Dialect::Gemini | Dialect::Ollama => 503,
    }
}

const MOST_BYTES: u64 = 65_536;
const DEFAULT_PAUSE: Micros = Micros::from_millis(50);
/// Longest text that goes into a header or an error body as it is.
const LONGEST_TEXT: usize = 256;

pub(super) fn effect(context: &Context<'_>, dialect: Dialect, block: &Spanned<FaultBlock>) -> Resolved<FaultEffect> {
    let raw = block.get_ref();
    let after_tokens = drawn(context, raw.after_tokens.as_ref())?;
    Ok(match raw.kind.get_ref() {
        FaultKind::Status => status(context, block)?,
        FaultKind::LatencySpike => latency_spike(context, block)?,
        FaultKind::Stall => FaultEffect::Stall {
            after_tokens,
            lasts: drawn(context, raw.lasts.as_ref())?,
        },
        FaultKind::Blackhole => FaultEffect::Blackhole,
        FaultKind::RefuseConnection => FaultEffect::RefuseConnection,
        FaultKind::ResetBeforeHeaders => FaultEffect::ResetBeforeHeaders,
        FaultKind::ErrorEvent => FaultEffect::ErrorEvent {
            after_tokens,
            status: error_status(context, raw)?.unwrap_or(overloaded(dialect)),
        },
        FaultKind::CleanEof => FaultEffect::CleanEof { after_tokens },
        FaultKind::FinWithoutTerminator => FaultEffect::FinWithoutTerminator { after_tokens },
        FaultKind::ResetMidStream => FaultEffect::ResetMidStream { after_tokens },
        FaultKind::MalformedFrame => FaultEffect::MalformedFrame { after_tokens },
        FaultKind::MissingDone => FaultEffect::MissingDone,
        FaultKind::DuplicateFrame => FaultEffect::DuplicateFrame { after_tokens },
        FaultKind::Trickle => trickle(context, raw)?,
        FaultKind::Html200 => FaultEffect::Html200,
        FaultKind::Empty200 => FaultEffect::Empty200 {
            object: raw
                .body
                .as_ref()
                .is_some_and(|body| *body.get_ref() == BodyWord::Object),
        },
        FaultKind::GarbageOutput => FaultEffect::GarbageOutput,
        FaultKind::ContentFilter => FaultEffect::ContentFilter { after_tokens },
        FaultKind::ContextLength => FaultEffect::ContextLength,
        FaultKind::Outage => outage(context, dialect, raw)?,
    })
}

/// The timetable of an outage, which its lengths make; `None` for other kinds.
pub(super) fn comings_and_goings(context: &Context<'_>, block: &Spanned<FaultBlock>) -> Resolved<Option<Timetable>> {
    let raw = block.get_ref();
    if *raw.kind.get_ref() != FaultKind::Outage {
        return Ok(None);
    }
    let (Some(down), Some(up)) = (&raw.down, &raw.up) else {
        return context.fail(
            block.span(),
            "an outage without lengths",
            "add down and up: how long it lasts, such as { kind = \"lognormal\", p50 = \"10s\", p99 = \"200s\" }, and how long all is well before and between",
        );
    };
    if let Some(windows) = &raw.windows {
        return context.fail(
            windows.span(),
            "an outage comes and goes by its lengths, not in windows",
            "remove windows, or write another kind of fault: status with windows is an outage at known times",
        );
    }
    Ok(Some(Timetable::OnOff {
        on: lasting(context, &down.span(), down.get_ref().as_ref())?,
        off: lasting(context, &up.span(), up.get_ref().as_ref())?,
    }))
}

fn drawn<T: AsRef<Distribution>>(context: &Context<'_>, key: Option<&Spanned<T>>) -> Resolved<Option<Distribution>> {
    key.map(|d| checked(context, &d.span(), d.get_ref().as_ref()))
        .transpose()
}

fn error_status(context: &Context<'_>, raw: &FaultBlock) -> Resolved<Option<u16>> {
    match &raw.status {
        Some(status) if !(400..=599).contains(status.get_ref()) => context.fail(
            status.span(),
            format!("{} is not an error status", status.get_ref()),
            "write a status from 400 to 599",
        ),
        status => Ok(status.as_ref().map(|s| *s.get_ref())),
    }
}

fn status(context: &Context<'_>, block: &Spanned<FaultBlock>) -> Resolved<FaultEffect> {
    let raw = block.get_ref();
    let Some(status) = error_status(context, raw)? else {
        return context.fail(
            block.span(),
            "a status fault has no status",
            "add status = 503 or the like",
        );
    };
    if let (Some(_), Some(text)) = (&raw.retry_after, &raw.retry_after_text) {
        return context.fail(
            text.span(),
            "retry_after and retry_after_text both say when to come back",
            "keep one: a duration is written in the dialect's own way, a text is sent as it is",
        );
    }
    Ok(FaultEffect::Status {
        status,
        retry_after: raw.retry_after.as_ref().map(|r| *r.get_ref()),
        retry_after_text: plain(context, raw.retry_after_text.as_ref())?,
        code: plain(context, raw.code.as_ref())?,
    })
}

fn plain(context: &Context<'_>, key: Option<&Spanned<String>>) -> Resolved<Option<String>> {
    let fits = |text: &str| {
        (1..=LONGEST_TEXT).contains(&text.len()) && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
    };
    match key {
        Some(text) if !fits(text.get_ref()) => context.fail(
            text.span(),
            "this text cannot be sent",
            format!("write from 1 to {LONGEST_TEXT} characters of printable ASCII"),
        ),
        text => Ok(text.map(|text| text.get_ref().clone())),
    }
}

fn latency_spike(context: &Context<'_>, block: &Spanned<FaultBlock>) -> Resolved<FaultEffect> {
    let raw = block.get_ref();
    let first_token = drawn(context, raw.first_token.as_ref())?;
    let inter_token = drawn(context, raw.inter_token.as_ref())?;
    if first_token.is_none() && inter_token.is_none() {
        return context.fail(
            block.span(),
            "a latency spike that changes no latency",
            "add first_token, inter_token or both",
        );
    }
    Ok(FaultEffect::LatencySpike {
        first_token,
        inter_token,
    })
}

fn trickle(context: &Context<'_>, raw: &FaultBlock) -> Resolved<FaultEffect> {
    let bytes = raw.bytes.as_ref().map_or(1, |b| *b.get_ref());
    if let Some(spanned) = raw.bytes.as_ref().filter(|_| !(1..=MOST_BYTES).contains(&bytes)) {
        return context.fail(
            spanned.span(),
            format!("pieces of {bytes} bytes are no trickle"),
            format!("write bytes from 1 to {MOST_BYTES}"),
        );
    }
    let every = raw.pause.as_ref().map_or(DEFAULT_PAUSE, |p| *p.get_ref());
    if let Some(spanned) = raw.pause.as_ref().filter(|_| every == Micros::ZERO) {
        return context.fail(
            spanned.span(),
            "without a pause nothing trickles",
            "write a pause above 0, such as \"50ms\"",
        );
    }
    Ok(FaultEffect::Trickle { bytes, every })
}

fn outage(context: &Context<'_>, dialect: Dialect, raw: &FaultBlock) -> Resolved<FaultEffect> {
    let answer = raw.answer.as_ref().map_or(OutageWord::Status, |a| *a.get_ref());
    let said = (raw.status.as_ref().map(|s| ("status", s.span())))
        .or(raw.retry_after.as_ref().map(|r| ("retry_after", r.span())));
    if let Some((key, span)) = said.filter(|_| answer != OutageWord::Status) {
        return context.fail(
            span,
            format!("this outage answers nothing, so `{key}` is never said"),
            format!("remove {key}, or write answer = \"status\""),
        );
    }
    Ok(match answer {
        OutageWord::Status => FaultEffect::Status {
            status: error_status(context, raw)?.unwrap_or(overloaded(dialect)),
            retry_after: raw.retry_after.as_ref().map(|r| *r.get_ref()),
            retry_after_text: None,
            code: None,
        },
        OutageWord::Silence => FaultEffect::Blackhole,
        OutageWord::Refuse => FaultEffect::RefuseConnection,
        OutageWord::Reset => FaultEffect::ResetBeforeHeaders,
    })
}
