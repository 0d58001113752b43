//! Providers, gateway, targets and load assembled on either clock.
