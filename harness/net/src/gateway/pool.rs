//! Who stands behind the gateway, whose turn it is, and how many requests each has open.
//!
//! A synchronous core. Does not wait, connect or probe: [`super::backends`] and [`super::probe`] do.

use std::collections::BTreeMap;

use super::standing::{Change, Standing};
use super::{GatewayEvent, HealthCheck};

/// A backend that was given a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Tells it from one of the same name that came before or after it.
    pub(super) arrival: u64,
    pub(super) name: String,
    pub(super) authority: String,
}

#[derive(Debug)]
struct Member {
    name: String,
    authority: String,
    standing: Standing,
}

/// The backends, in order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Pool {
    members: BTreeMap<u64, Member>,
    /// How many have ever arrived; the first is number 1.
    arrivals: u64,
    /// The arrival whose turn it was last.
    turn: u64,
    /// Open requests by name, of backends that were removed too.
    open: BTreeMap<String, u64>,
    /// Requests that a backend may have open; `None` for any number.
    most: Option<u64>,
    /// Whether a backend must have passed its probes to be given requests.
    checked: bool,
}

impl Pool {
    /// Takes a backend in, in the place of the one that has its name.
    pub(super) fn add(&mut self, name: &str, authority: &str) {
        self.remove(name);
        self.arrivals += 1;
        let member = Member {
            name: name.to_owned(),
            authority: authority.to_owned(),
            standing: Standing::default(),
        };
        self.members.insert(self.arrivals, member);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.members.retain(|_, member| member.name != name);
    }

    /// From now on a backend that has `most` requests open is given no other.
    pub(super) fn limit(&mut self, most: u64) {
        self.most = Some(most);
    }

    /// From now on only those that passed their probes are given requests.
    pub(super) fn check(&mut self) {
        self.checked = true;
    }

    /// The next one in turn that is admitted and has room, which is not the arrival `but`; the request that it is chosen for is open
    /// until [`Pool::close`].
    pub(super) fn choose(&mut self, but: Option<u64>) -> Option<Chosen> {
        let after = self.members.range(self.turn + 1..);
        let around = after.chain(self.members.range(..=self.turn));
        let (&arrival, member) = around
            .filter(|(arrival, _)| Some(**arrival) != but)
            .find(|(_, member)| {
                let room = self.most.is_none_or(|most| self.in_flight(&member.name) < most);
                room && member.standing.is_admitted(self.checked)
            })?;
        self.turn = arrival;
        *self.open.entry(member.name.clone()).or_default() += 1;
        Some(Chosen {
            arrival,
            name: member.name.clone(),
            authority: member.authority.clone(),
        })
    }

    /// A request that was open at `name` is over; true if somebody may have waited for that.
    pub(super) fn close(&mut self, name: &str) -> bool {
        if let Some(open) = self.open.get_mut(name) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.open.remove(name);
            }
        }
        self.most.is_some()
    }

    pub(super) fn in_flight(&self, name: &str) -> u64 {
        self.open.get(name).copied().unwrap_or_default()
    }

    pub(super) fn total_in_flight(&self) -> u64 {
        self.open.values().sum()
    }

    /// Everybody whose health is to be asked after.
    pub(super) fn roll(&self) -> Vec<Chosen> {
        let named = self.members.iter().map(|(&arrival, member)| Chosen {
            arrival,
            name: member.name.clone(),
            authority: member.authority.clone(),
        });
        named.collect()
    }

    /// Notes what a probe of `arrival` came to; `None` when that changes nothing, or the backend is gone.
    pub(super) fn probed(&mut self, arrival: u64, well: bool, check: &HealthCheck) -> Option<GatewayEvent> {
        let member = self.members.get_mut(&arrival)?;
        let name = member.name.clone();
        member.standing.probed(well, check).map(|change| match change {
            Change::Admitted => GatewayEvent::Admitted { name },
            Change::Ejected => GatewayEvent::Ejected { name },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Pool {
        let mut pool = Pool::default();
        for name in names {
            pool.add(name, &format!("{name}:80"));
        }
        pool
    }

    fn turns(pool: &mut Pool, n: usize) -> String {
        (0..n).filter_map(|_| pool.choose(None)).map(|c| c.name).collect()
    }

    #[test]
    fn turns_go_round_in_order_of_arrival_over_arrivals_and_departures() {
        let mut pool = of(&["c", "a", "b"]);
        assert_eq!(turns(&mut pool, 4), "cabc");
        pool.remove("a");
        assert_eq!(turns(&mut pool, 3), "bcb");
        pool.add("d", "d:80");
        assert_eq!(turns(&mut pool, 3), "dcb");
    }

    #[test]
    fn who_has_no_room_is_passed_over_until_a_request_is_over() {
        let mut pool = of(&["a", "b"]);
        pool.limit(2);
        assert_eq!(turns(&mut pool, 5), "abab");
        pool.close("b");
        assert_eq!(turns(&mut pool, 2), "b");
    }

    #[test]
    fn who_refused_is_not_chosen_again() {
        let mut pool = of(&["a", "b"]);
        let first = pool.choose(None).expect("a backend");
        assert_eq!(pool.choose(Some(first.arrival)).expect("a backend").name, "b");
        pool.remove("b");
        assert_eq!(pool.choose(Some(first.arrival)), None);
    }

    #[test]
    fn open_requests_are_counted_for_backends_that_were_removed_too() {
        let mut pool = of(&["a", "b"]);
        turns(&mut pool, 3);
        pool.remove("a");
        assert_eq!(
            (pool.in_flight("a"), pool.in_flight("b"), pool.total_in_flight()),
            (2, 1, 3)
        );
        pool.close("a");
        pool.close("a");
        assert_eq!((pool.in_flight("a"), pool.total_in_flight()), (0, 1));
        assert!(!pool.open.contains_key("a"), "nothing is kept of who is gone");
    }

    #[test]
    fn a_namesake_takes_the_place_and_the_news_of_its_predecessor_is_void() {
        let mut pool = of(&["a"]);
        pool.check();
        let before = pool.roll()[0].arrival;
        pool.add("a", "a:81");
        assert_eq!(pool.roll().len(), 1);
        let check = HealthCheck::for_tests();
        assert_eq!(pool.probed(before, true, &check), None);
        assert_eq!(pool.choose(None), None, "it was not probed itself");
    }
}
