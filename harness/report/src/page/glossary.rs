//! The words that a page uses in a narrow sense.

use maud::{Markup, html};

const TERMS: [(&str, &str); 16] = [
    (
        "due",
        "The moment the schedule asked for a request. Every latency here counts from it, so a client that could not send in time hides nothing.",
    ),
    ("answered", "Ended with a complete, usable answer."),
    ("failed", "Ended otherwise, and not because the client left as planned."),
    ("aborted", "Given up by its client, as the scenario planned."),
    ("not sent", "Fell due, but no user was free to send it."),
    (
        "latency",
        "From due to the usable answer in the client's hands, whatever the design: for a job, to the fetched result.",
    ),
    (
        "ack",
        "From due to the 202 with which a decoupled design accepts a job.",
    ),
    (
        "ttft",
        "Time to first token: from due to the first word of a streamed answer.",
    ),
    (
        "p99",
        "The value that 99 % of all do not exceed: one in a hundred is slower.",
    ),
    ("billed", "Completion tokens that the provider puts on the invoice."),
    (
        "used",
        "Billed tokens in an answer that somebody read, and those of the thinking that led to it.",
    ),
    (
        "wasted",
        "Billed and not used: abandoned (the client had left), superseded (another attempt's answer was used), discarded (the client got an error instead), truncated (the answer broke off) or unfetched (nobody asked for the job's result).",
    ),
    (
        "attempts",
        "Attempts at a provider per request sent: retries and hedges make it more than 1 (amplification), caches less.",
    ),
    (
        "fault window",
        "From the first moment at which a provider misbehaves by plan to the last.",
    ),
    (
        "books",
        "due = not sent + answered + failed + aborted; billed = used + wasted. Each side is counted independently; if they differ, the run is invalid.",
    ),
    (
        "virtual clock",
        "The same service and clients in one process where time is simulated: exact and repeatable, but CPU time costs nothing.",
    ),
];

/// All of them.
pub(super) fn list() -> Markup {
    html! { dl { @for (term, meaning) in TERMS { dt { (term) } dd { (meaning) } } } }
}
