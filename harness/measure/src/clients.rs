//! The figures of each kind of client.
//!
//! Kinds without a name are not told apart; kinds that share a name are one.

use std::collections::BTreeMap;

use brownout_scenario::plan::LoadPlan;

use crate::join::Joined;
use crate::record::ClientRecord;
use crate::{counts, latencies};

/// A record for every name, also for one whose share was so small that no request fell to it.
pub(crate) fn clients(subset: &[&Joined], load: &LoadPlan) -> BTreeMap<String, ClientRecord> {
    let name = |client: u32| load.clients.get(client as usize).and_then(|c| c.name.as_deref());
    let names = load.clients.iter().filter_map(|client| client.name.as_deref());
    let record = |of: &str| {
        let part: Vec<&Joined> = subset
            .iter()
            .copied()
            .filter(|joined| name(joined.request.client) == Some(of))
            .collect();
        ClientRecord {
            requests: counts::requests(&part),
            errors: counts::errors(&part),
            latency: latencies::latency(&part),
            ttft: latencies::ttft(&part, load.endpoint),
        }
    };
    names.map(|of| (of.to_owned(), record(of))).collect()
}

#[cfg(test)]
mod tests {
    use brownout_scenario::observe::{FailureClass, Outcome, RequestObservation};
    use brownout_scenario::plan::{ClientPlan, Endpoint};
    use brownout_scenario::units::Share;

    use super::*;
    use crate::join::join;
    use crate::testing::{plan, request};

    fn kind(name: Option<&str>) -> ClientPlan {
        ClientPlan {
            name: name.map(str::to_owned),
            share: Share::try_from(0.25).expect("a share"),
            key: None,
            idempotent: false,
            task: None,
            reads: None,
            disconnect: None,
            again: None,
        }
    }

    #[test]
    fn each_name_has_its_own_requests_and_no_name_has_none() {
        let mut load = plan(&["only"], Vec::new()).variants.remove(0).load;
        load.clients = vec![
            kind(Some("noisy")),
            kind(Some("quiet")),
            kind(Some("noisy")),
            kind(None),
        ];
        let requests: Vec<_> = (0..8)
            .map(|id| RequestObservation {
                client: (id % 4) as u32,
                outcome: if id == 2 {
                    Outcome::Failed(FailureClass::RateLimited)
                } else {
                    Outcome::Answered
                },
                ..request(id, 0, 1_000 * (id + 1), 1)
            })
            .collect();
        let join = join(&requests, &[], Endpoint::Chat);
        let clients = clients(&join.requests.iter().collect::<Vec<_>>(), &load);
        assert_eq!(clients.keys().collect::<Vec<_>>(), ["noisy", "quiet"]);
        let (noisy, quiet) = (&clients["noisy"], &clients["quiet"]);
        assert_eq!(
            (noisy.requests.due, noisy.requests.failed, noisy.errors["rate_limited"]),
            (4, 1, 1)
        );
        assert_eq!((quiet.requests.answered, quiet.latency.count), (2, 2));
        assert!((quiet.latency.max_ms - 6.0).abs() < 0.01, "{}", quiet.latency.max_ms);
    }
}
