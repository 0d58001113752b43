//! Who calls, and what they may do.
//!
//! - `caller`: the one whose request it is. Nothing of one tenant is ever shown to another.

mod caller;

pub(crate) use self::caller::Caller;
