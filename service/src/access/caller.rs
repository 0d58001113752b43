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
    /// The name under which something of this caller's is kept, out of the reach of other tenants. A tenant's name has no
    /// slash in it, so no two tenants can come to the same name.
    pub(crate) fn owned(&self, name: &str) -> String {
        format!("{}/{name}", self.tenant)
    }

    /// The service itself, asking for everybody. No key and no tenant has an empty name.
    pub(crate) const fn nobody() -> Self {
        Self {
            name: String::new(),
            tenant: String::new(),
        }
    }

    /// Anybody, where no key is asked for.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: "anonymous".to_owned(),
            tenant: "anonymous".to_owned(),
        }
    }
}
