//! Who calls, and what they may do.
//!
//! - `caller`: the one whose request it is. Nothing of one tenant is ever shown to another.
//! - `keys`: which caller a key belongs to. Pure.
//! - `standing`: how many requests every key has under way in this instance.
//! - `place`: one of the requests that a key may have under way at a time, held until the work is done.
//! - `gate`: the layer in front of all routes that asks for a key and keeps its limits on requests.
//!
//! What is not here: what is counted over time, requests, tokens and money; that is [`crate::limits`]'s.

mod caller;
mod gate;
mod keys;
mod place;
mod standing;

use http::{HeaderMap, header};

use crate::error::Error;
use crate::settings::{Auth, Settings};

pub(crate) use self::caller::Caller;
pub(crate) use self::gate::guard;
use self::keys::{Key, Keys};
pub(crate) use self::place::Place;
use self::standing::{Permit, Standings};

/// The access control of one instance.
pub(crate) struct Access {
    required: bool,
    keys: Keys,
    standings: Standings,
}

impl Access {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            required: settings.auth == Auth::Required,
            keys: Keys::new(&settings.keys),
            standings: Standings::new(settings),
        }
    }

    /// Whether callers have to show a key.
    pub(crate) const fn is_required(&self) -> bool {
        self.required
    }

    /// The caller of a request that has passed the gate.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Caller {
        let shown = self.required.then(|| bearer(headers)).flatten();
        let key = shown.and_then(|shown| self.keys.find(shown));
        key.map_or_else(Caller::anonymous, |key| key.caller.clone())
    }

    /// Whether whoever shows these headers may come in at all, whatever they want.
    fn identify(&self, headers: &HeaderMap) -> Result<&Key, Error> {
        let key = bearer(headers).and_then(|shown| self.keys.find(shown));
        match key {
            None => Err(Error::Unauthenticated),
            Some(key) if key.disabled => Err(Error::KeyDisabled),
            Some(key) => Ok(key),
        }
    }

    /// Lets a request in, if the key has not as many under way as it may.
    fn admit(&self, key: &Key) -> Result<Permit, Error> {
        self.standings.admit(&key.caller)
    }
}

/// The bearer token of a request. Source: RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
