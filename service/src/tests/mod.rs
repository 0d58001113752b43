//! The service as its clients see it, over a scripted provider, on the paused clock.

mod access;
mod api;
mod bad_input;
mod completions;
mod designs;
mod disconnect;
mod failures;
mod features;
mod health;
mod job_events;
mod job_receipts;
mod job_unreadable;
mod jobs;
mod limits;
mod observed;
mod opening;
mod pages;
mod plant;
mod provider;
mod resilience;
mod routing;
mod shedding;
mod storage;
mod support;
mod telemetry;
mod webhooks;
