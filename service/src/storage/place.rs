//! Where a database is, read from its address, and addresses made fit to be shown.

use std::path::PathBuf;

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a file.
    Sqlite(PathBuf),
    /// On a PostgreSQL server.
    Postgres,
}

impl Place {
    /// Reads `sqlite:PATH` (also `sqlite://PATH`) and `postgres://...`; `None` for anything else.
    pub(crate) fn of(url: &str) -> Option<Self> {
        match url.split_once(':')? {
            ("sqlite", path) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                (!path.is_empty()).then(|| Self::Sqlite(path.into()))
            }
            ("postgres" | "postgresql", rest) => rest.starts_with("//").then_some(Self::Postgres),
            _ => None,
        }
    }
}

/// The address with `***` for its password, whether that stands before the host or among the parameters. An address that
/// is not well formed rather loses more than it shows.
pub(crate) fn without_password(url: &str) -> String {
    let mut shown = url.to_owned();
    if let Some((scheme, rest)) = url.split_once("://")
        && let Some((user, host)) = rest.rsplit_once('@')
        && let Some((user, _)) = user.split_once(':')
    {
        shown = format!("{scheme}://{user}:***@{host}");
    }
    let Some((address, parameters)) = shown.split_once('?') else {
        return shown;
    };
    let parameters = parameters.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if name.contains("pass") => format!("{name}=***"),
        _ => parameter.to_owned(),
    });
    format!("{address}?{}", parameters.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_the_database_is() {
        assert_eq!(Place::of("sqlite:a/b.db"), Some(Place::Sqlite("a/b.db".into())));
        assert_eq!(Place::of("sqlite:///var/b.db"), Some(Place::Sqlite("/var/b.db".into())));
        assert_eq!(Place::of("postgresql://u@h/d"), Some(Place::Postgres));
        for bad in ["", "sqlite:", "mysql://u@h/d", "postgres:h", "service.db"] {
            assert_eq!(Place::of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_password_is_never_shown_wherever_it_stands() {
        for (url, shown) in [
            ("postgres://u:se@cr:et@h:5432/d", "postgres://u:***@h:5432/d"),
            (
                "postgres://u@h/d?password=secret&sslmode=require",
                "postgres://u@h/d?password=***&sslmode=require",
            ),
            ("postgres://u:se?cr/et@h/d", "postgres://u:***@h/d"),
            ("redis://:secret@h:6379/0", "redis://:***@h:6379/0"),
            ("sqlite:a/b.db", "sqlite:a/b.db"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
