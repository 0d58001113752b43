//! Why a store could not be opened: where it is, what happened there, what to do. Never with a password in it.

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The setting holds no address.
    #[error("{key} is no address of such a store: write {example}")]
    Address {
        /// The setting.
        key: &'static str,
        /// What an address looks like.
        example: &'static str,
    },
    /// The setting is not there, and something is to be kept in such a store.
    #[error("{key} is missing, and something is to be kept there: write {example}")]
    Missing {
        /// The setting.
        key: &'static str,
        /// What an address looks like.
        example: &'static str,
    },
    /// Nobody answers.
    #[error("nobody answers at {place} ({problem}): start the server there, or correct {key}")]
    Unreachable {
        /// Host and port.
        place: String,
        /// The setting.
        key: &'static str,
        /// What happened.
        problem: String,
    },
    /// It answers, and does not let us in.
    #[error("{place} refuses the user or the password: correct them in {key}")]
    Credentials {
        /// Host and port.
        place: String,
        /// The setting.
        key: &'static str,
    },
    /// There is a server and no such database.
    #[error("{place} has no database \"{name}\": create it (createdb {name}), or name another in database_url")]
    NoDatabase {
        /// Host and port.
        place: String,
        /// The database.
        name: String,
    },
    /// The server has no connection left.
    #[error("{place} has no connection left: raise its max_connections, or lower database.pool or the replicas")]
    TooManyConnections {
        /// Host and port.
        place: String,
    },
    /// A newer version of the service made, or changed, the tables.
    #[error(
        "{place} was last used by another version of this service (migration {version} is not known here, or differs): \
         run that version or a newer one, or name another database"
    )]
    OtherVersion {
        /// Host and port, or file.
        place: String,
        /// The migration.
        version: i64,
    },
    /// A step took too long.
    #[error("{place} did not get ready in time: see whether another instance is migrating it, or holds a lock")]
    Late {
        /// Host and port, or file.
        place: String,
    },
    /// Anything else.
    #[error("{place} cannot be opened: {source}; check that the address or path is right and may be written to")]
    Failed {
        /// Host and port, or file.
        place: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
