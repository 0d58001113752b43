//! The one whose request it is.

/// A caller, as far as the service tells callers apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name of the key that was shown, from the settings: safe to log and to count by.
    pub(crate) name: String,
    /// Whose data it sees: caches, jobs and limits never cross from one tenant to another.
    pub(crate) tenant: String,
}

impl Caller {
    /// Anybody, where no key is asked for.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: "anonymous".to_owned(),
            tenant: "anonymous".to_owned(),
        }
    }
}
