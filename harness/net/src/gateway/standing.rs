//! What a gateway thinks of one backend, from the probes of it.
//!
//! A synchronous core. Does not probe: [`super::probe`] does.

use super::HealthCheck;

/// What the probes of one backend came to so far.
#[derive(Debug, Default)]
pub(super) struct Standing {
    opinion: Opinion,
    /// How many probes in a row spoke against the opinion.
    against: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Opinion {
    /// It is new: ill to a gateway that probes, well to one that does not.
    #[default]
    None,
    Well,
    Ill,
}

/// A change of opinion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Admitted,
    Ejected,
}

impl Standing {
    /// Whether requests are sent to it, by a gateway that probes (`checked`) or not.
    pub(super) fn is_admitted(&self, checked: bool) -> bool {
        match self.opinion {
            Opinion::None => !checked,
            Opinion::Well => true,
            Opinion::Ill => false,
        }
    }

    /// Notes the outcome of a probe.
    pub(super) fn probed(&mut self, well: bool, check: &HealthCheck) -> Option<Change> {
        let (speaks_against, enough) = match self.opinion {
            Opinion::Well => (!well, check.unhealthy_after),
            Opinion::None | Opinion::Ill => (well, check.healthy_after),
        };
        self.against = if speaks_against { self.against + 1 } else { 0 };
        if !speaks_against || self.against < enough {
            return None;
        }
        self.against = 0;
        Some(if well {
            self.opinion = Opinion::Well;
            Change::Admitted
        } else {
            self.opinion = Opinion::Ill;
            Change::Ejected
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probes by letter, `+` well and `-` not; the answer has a letter for each: `A`dmitted, `E`jected, or a dot.
    fn changes(probes: &str) -> String {
        let check = HealthCheck {
            unhealthy_after: 3,
            healthy_after: 2,
            ..HealthCheck::for_tests()
        };
        let mut standing = Standing::default();
        let letters = probes
            .chars()
            .map(|letter| match standing.probed(letter == '+', &check) {
                Some(Change::Admitted) => 'A',
                Some(Change::Ejected) => 'E',
                None => '.',
            });
        letters.collect()
    }

    #[test]
    fn an_opinion_changes_after_so_many_probes_in_a_row_and_not_before() {
        assert_eq!(changes("++"), ".A");
        assert_eq!(changes("++---"), ".A..E");
        assert_eq!(changes("++--+--+---"), ".A........E");
        assert_eq!(changes("++---+-++"), ".A..E...A");
    }

    #[test]
    fn who_was_never_well_is_not_ejected() {
        assert_eq!(changes("------"), "......");
        assert_eq!(changes("+-+-++"), ".....A");
    }

    #[test]
    fn a_new_backend_is_ill_to_who_probes_and_well_to_who_does_not() {
        let new = Standing::default();
        assert!(!new.is_admitted(true));
        assert!(new.is_admitted(false));
    }
}
