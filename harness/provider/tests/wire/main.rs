//! What is on the wire: the provider over real sockets, seen by a raw socket, by curl and by a HTTP/2 client.
//!
//! Every fault is seen twice: by a request inside its window and by one just outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod curl;
mod faults;
mod http2;
mod raw;
mod refusing;
mod survival;

use brownout_net::{Network, RunClock};
use brownout_provider::Provider;
use brownout_scenario::Providers;
use brownout_scenario::seed::SeedTree;
use tokio_util::sync::CancellationToken;

/// A provider over TCP on loopback, for as long as this is there.
pub(crate) struct Served {
    pub(crate) provider: Provider,
    pub(crate) clock: RunClock,
    _shutdown: tokio_util::sync::DropGuard,
}

impl Served {
    /// Six tokens, 5 ms apart, the first at once; and what `more` says.
    pub(crate) fn with(more: &str) -> Self {
        Self::speaking("openai", "gpt-4o-mini", more)
    }

    /// The same in another dialect.
    pub(crate) fn speaking(dialect: &str, model: &str, more: &str) -> Self {
        let text = format!(
            "[[provider]]\nname = \"p\"\ndialect = \"{dialect}\"\nmodel = \"{model}\"\nfirst_token = \"0ms\"\n\
             inter_token = \"5ms\"\noutput_tokens = 6\n{more}"
        );
        let mut file = Providers::parse("provider.toml", &text).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        let (clock, shutdown) = (RunClock::start(), CancellationToken::new());
        let listener = Network::tcp().listen("").unwrap();
        let plan = file.providers.remove(0);
        Self {
            provider: Provider::start_streaming(plan, SeedTree::new(file.seed), clock, listener, &shutdown),
            clock,
            _shutdown: shutdown.drop_guard(),
        }
    }

    /// With one fault, whose kind and keys these are.
    pub(crate) fn faulty(fault: &str) -> Self {
        Self::with(&format!("[[provider.fault]]\n{fault}\n"))
    }
}

/// A chat request, streamed or not.
pub(crate) fn chat(prompt: u64, stream: bool) -> String {
    format!(
        r#"{{"model":"gpt-4o-mini","stream":{stream},"messages":[{{"role":"user","content":"[prompt {prompt}]"}}]}}"#
    )
}
