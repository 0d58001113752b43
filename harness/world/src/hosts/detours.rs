//! The links through which a child reaches what it depends on, and what is done to them while the run lasts.
//!
//! Only where a scenario has faults for this host: who has none calls the addresses themselves. In process there are no
//! links, stores are decorated instead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brownout_net::{Link, LinkState};
use brownout_scenario::plan::{Dependency, DependencyEffect};
use tokio_util::task::AbortOnDropHandle;

use crate::dependencies::DependencyFaults;
use crate::mount::MountError;

/// How often it is asked whether the run has begun.
const BEGINNING_STEP: Duration = Duration::from_millis(5);

/// The links of one child. Dropping it closes them.
#[derive(Default)]
pub(super) struct Detours(BTreeMap<String, Detour>);

struct Detour {
    link: Arc<Link>,
    _driver: AbortOnDropHandle<()>,
}

impl Detours {
    /// Opens a link to every address that `faults` concern.
    pub(super) fn open(
        addresses: &BTreeMap<Dependency, String>,
        faults: &DependencyFaults,
    ) -> Result<Self, MountError> {
        let mut behind: BTreeMap<&String, Vec<Dependency>> = BTreeMap::new();
        for (dependency, address) in addresses.iter().filter(|_| !faults.is_empty()) {
            behind.entry(address).or_default().push(*dependency);
        }
        let open = |(address, dependencies): (&String, Vec<Dependency>)| {
            let link =
                Link::open(address).map_err(|e| MountError(format!("no link to {address} could be opened: {e}")))?;
            let link = Arc::new(link);
            let driver = tokio::spawn(drive(Arc::clone(&link), dependencies, faults.clone()));
            let detour = Detour {
                link,
                _driver: AbortOnDropHandle::new(driver),
            };
            Ok((address.clone(), detour))
        };
        behind.into_iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// What to call in the place of which address.
    pub(super) fn addresses(&self) -> BTreeMap<String, String> {
        let detours = self.0.iter();
        detours
            .map(|(address, detour)| (address.clone(), detour.link.authority().to_owned()))
            .collect()
    }
}

/// Brings the link into the state that the faults of any of the dependencies behind it ask for, whenever that changes.
async fn drive(link: Arc<Link>, dependencies: Vec<Dependency>, faults: DependencyFaults) {
    let clock = loop {
        match faults.clock() {
            Some(clock) => break clock,
            None => tokio::time::sleep(BEGINNING_STEP).await,
        }
    };
    for change in faults.changes() {
        clock.sleep_until(change.0).await;
        let trouble = dependencies.iter().find_map(|dependency| faults.now(*dependency));
        link.set(trouble.map_or(LinkState::Open, |trouble| state(trouble.effect)));
    }
}

fn state(effect: DependencyEffect) -> LinkState {
    match effect {
        DependencyEffect::Down => LinkState::Refuse,
        DependencyEffect::Hang => LinkState::Hang,
        // The question takes half of it, the answer the other half.
        DependencyEffect::Slow { latency } => LinkState::Slow(Duration::from(latency) / 2),
    }
}
