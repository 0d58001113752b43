//! Routing: who may be asked, in which order, and why.
//!
//! Pure: it is told what is known and answers. That a provider fails is not its business; that is
//! [`crate::resilience::fallback`]'s, which walks along the order that is given here.

/// Who may be asked, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// Places in the settings' list of providers, the preferred one first. Never empty.
    pub(crate) order: Vec<usize>,
}

impl Route {
    /// The provider at `first`, then the others of `providers` in their order.
    pub(crate) fn preferring(first: usize, providers: usize) -> Self {
        let others = (0..providers).filter(|place| *place != first);
        Self {
            order: std::iter::once(first).chain(others).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_for_comes_first_and_the_others_keep_their_order() {
        assert_eq!(Route::preferring(0, 1).order, [0]);
        assert_eq!(Route::preferring(2, 4).order, [2, 0, 1, 3]);
    }
}
