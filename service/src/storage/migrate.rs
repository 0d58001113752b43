//! Migrations: the steps that bring tables to the form that this version of the service works with.
//!
//! They are compiled in and run at every start; a database that has them all is only looked at. Steps are added, never
//! changed, and each is written so that the version before it can go on working while replicas are exchanged.

use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};

use super::OpenError;

/// Longest that all of it may take, another instance's migrating included.
const LONGEST: Duration = Duration::from_secs(30);

/// Runs what is missing over `connection`, which leads to `place`.
pub(super) async fn run(migrator: &Migrator, connection: &mut impl Migrate, place: &str) -> Result<(), OpenError> {
    let running = migrator.run_direct(None, connection, false);
    match tokio::time::timeout(LONGEST, running).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(told(error, place)),
        Err(_) => Err(OpenError::Late {
            place: place.to_owned(),
        }),
    }
}

fn told(error: MigrateError, place: &str) -> OpenError {
    let place = place.to_owned();
    match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => {
            OpenError::OtherVersion { place, version }
        }
        error => OpenError::Failed {
            place,
            source: Box::new(error),
        },
    }
}

#[cfg(test)]
mod tests {
    /// Two changes that were made side by side can take the same number, in files of different names.
    #[test]
    fn each_migration_has_a_number_of_its_own() {
        for migrator in [
            sqlx::migrate!("migrations/sqlite"),
            sqlx::migrate!("migrations/postgres"),
        ] {
            let numbers: Vec<i64> = migrator.iter().map(|step| step.version).collect();
            let expected: Vec<i64> = (1..).take(numbers.len()).collect();
            assert_eq!(numbers, expected);
        }
    }
}
