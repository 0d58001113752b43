//! Providers, gateway, targets and load assembled on either clock.
//!
//! In reading order: [`mount`] (what a target must offer to be played), [`mod@run`] (a plan in, a record out), `stage` (one
//! variant, assembled the same way on both clocks), `hosts` (the target's processes: tasks on the virtual clock,
//! `children` on the real one), [`dependencies`] (what goes wrong behind them), `front` (the load balancer), `collector` (the OTLP
//! receiver), `scraper` (of metrics), [`event`] (what a terminal may show meanwhile).
//!
//! Deliberately absent: the reference service (it is mounted from outside), printing, reading the environment, and any
//! second way to assemble a world for the second clock.

mod children;
mod collector;
pub mod dependencies;
pub mod error;
pub mod event;
mod front;
mod hosts;
mod limits;
pub mod mount;
pub mod run;
mod scraper;
mod stage;

pub use error::WorldError;
pub use event::Event;
pub use mount::{HostSpec, Mount, MountError, ProviderEndpoint, Role};
pub use run::{Options, Ran, run};
