//! Listen and connect over TCP or the in-memory network; the gateway.
