//! Arrivals, clients and the one dispatcher.
