//! A place among the requests that a key may have under way at a time.
//!
//! It is taken until the answer is out, and as long as anybody works for it: a client that leaves while its work goes on
//! could otherwise have any number of them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::standing::Permit;

/// A place, where the key has a limit. Taken until the last clone is dropped.
#[derive(Clone, Default)]
pub(crate) struct Place {
    _permit: Option<Arc<Permit>>,
}

impl From<Permit> for Place {
    fn from(permit: Permit) -> Self {
        Self {
            _permit: Some(Arc::new(permit)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Place {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}
