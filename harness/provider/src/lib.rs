//! Simulated LLM providers: script, dialects, ledger, and two engines that put them on the wire.
