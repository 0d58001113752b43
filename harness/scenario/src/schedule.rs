//! Which request falls due when, and what its client is like: drawn from the plan before the run.
//!
//! Every attribute is keyed by the request's place in the schedule (its text by its prompt), so all variants of a plan meet the same clients at the same
//! instants and differ in nothing but their design.

use serde::Serialize;

use crate::distribution::Distribution;
use crate::plan::{Arrivals, ClientPlan, HangUp, LeaveAfter, LoadPlan, Plan};
use crate::seed::{Purpose, SeedTree};
use crate::units::{Micros, PerSecond, PromptId};
use crate::{questions, tracer};

/// One request of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedRequest {
    /// Position in the schedule, from 0: what the request is known by.
    pub index: u64,
    /// The prompt it carries; others may carry the same.
    pub prompt: PromptId,
    /// Its client's kind: position in `load.clients`.
    pub client: u32,
    /// In which words it is put, where the prompt is a question: position in its phrasings.
    pub phrasing: Option<usize>,
    /// Length of the prompt, in tokens, without what was said before.
    pub prompt_tokens: u64,
    /// Length of each earlier turn of the conversation, in tokens.
    pub history: Vec<u64>,
    /// When and how its client leaves, if it does.
    pub leave: Option<Leave>,
    /// How long after sending its client sends it again, if it does.
    pub again: Option<Micros>,
}

/// Requests that are sent again have an index of their own: this much above the first one's, and so above all others.
pub const AGAIN: u64 = 1 << 32;

impl PlannedRequest {
    /// What the user says in it.
    pub fn text(&self) -> String {
        let phrasing = self.phrasing.zip(questions::meaning(self.prompt));
        match phrasing.and_then(|(at, meaning)| meaning.phrasings.get(at)) {
            Some(phrasing) => phrasing.text.to_owned(),
            None => tracer::prompt_text(self.prompt, self.prompt_tokens),
        }
    }

    /// The same request, sent a second time.
    #[must_use]
    pub fn once_more(&self) -> Self {
        Self {
            index: self.index + AGAIN,
            again: None,
            ..self.clone()
        }
    }

    /// The index of the request that it is or repeats: the same for both.
    pub const fn first_index(&self) -> u64 {
        self.index % AGAIN
    }
}

/// When and how a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Leave {
    /// The moment.
    pub after: LeavePoint,
    /// What its peer sees.
    pub how: HangUp,
}

/// The moment a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LeavePoint {
    /// With this many tokens in hand.
    Tokens(u64),
    /// This long after sending.
    Time(Micros),
}

/// The instants at which requests fall due on an open schedule, ascending; `None` for closed arrivals, where each user's
/// next request depends on the answer before.
pub fn due_times(plan: &Plan, load: &LoadPlan) -> Option<Vec<Micros>> {
    let end = plan.duration.as_secs_f64();
    let mut gaps = SeedTree::new(plan.seed).stream(Purpose::Arrival, "", PromptId(0), 0);
    let unit = Distribution::Exponential { mean: 1.0 };
    // Arrival times are those of a unit-rate process, stretched by the inverse of the cumulative rate.
    let (mut progress, mut due) = (0.0, Vec::new());
    loop {
        progress += match load.arrivals {
            Arrivals::Closed { .. } => return None,
            Arrivals::Constant { .. } if due.is_empty() => 0.0,
            Arrivals::Constant { .. } => 1.0,
            Arrivals::Gamma { burstiness, .. } => clustered(burstiness).quantile(gaps.unit()),
            Arrivals::Poisson { .. }
            | Arrivals::Ramp { .. }
            | Arrivals::Steps { .. }
            | Arrivals::Spike { .. }
            | Arrivals::OnOff { .. } => unit.quantile(gaps.unit()),
        };
        let at = match &load.arrivals {
            Arrivals::Constant { rate } | Arrivals::Poisson { rate } | Arrivals::Gamma { rate, .. } => {
                progress / rate.0
            }
            Arrivals::Ramp { from, to } => ramp_time(from.0, to.0, end, progress),
            Arrivals::Steps { steps } => step_time(steps, progress),
            Arrivals::Spike {
                rate,
                peak,
                from,
                until,
            } => step_time(
                &[(*from, *rate), (until.since(*from), *peak), (plan.duration, *rate)],
                progress,
            ),
            Arrivals::OnOff { rate, on, off } => on_off_time(rate.0, on.as_secs_f64(), off.as_secs_f64(), progress),
            Arrivals::Closed { .. } => return None,
        };
        // A ramp down to nothing may never come to the next arrival: then `at` is not a number.
        if at.is_nan() || at >= end {
            return Some(due);
        }
        due.push(Micros(libm::round(at * 1e6) as u64));
    }
}

/// When a rate that goes evenly from `from` to `to` over `end` seconds has produced `count` arrivals; not a number if
/// it never does.
fn ramp_time(from: f64, to: f64, end: f64, count: f64) -> f64 {
    let slope = (to - from) / end;
    if slope == 0.0 {
        return count / from;
    }
    (libm::sqrt(from * from + 2.0 * slope * count) - from) / slope
}

/// When rates that change in `steps` have produced `count` arrivals; not a number if they never do.
fn step_time(steps: &[(Micros, PerSecond)], count: f64) -> f64 {
    let (mut begins, mut left) = (0.0, count);
    for (n, (lasts, rate)) in steps.iter().enumerate() {
        let produced = lasts.as_secs_f64() * rate.0;
        if left < produced || n + 1 == steps.len() {
            return begins + left / rate.0;
        }
        left -= produced;
        begins += lasts.as_secs_f64();
    }
    f64::NAN
}

/// Gaps of mean 1 with `burstiness` times the variance of independent arrivals.
const fn clustered(burstiness: f64) -> Distribution {
    Distribution::Gamma {
        mean: 1.0,
        shape: 1.0 / burstiness,
    }
}

/// When a rate that is there for `on` seconds and away for `off` has produced `count` arrivals.
fn on_off_time(rate: f64, on: f64, off: f64, count: f64) -> f64 {
    let busy = count / rate;
    busy + libm::floor(busy / on) * off
}

/// Request `index` of the schedule.
pub fn planned(plan: &Plan, load: &LoadPlan, index: u64) -> PlannedRequest {
    let tree = SeedTree::new(plan.seed);
    let mut class = tree.of_request(Purpose::ClientClass, index).unit();
    let client = load.clients.iter().position(|client| {
        class -= client.share.get();
        class < 0.0
    });
    // Rounding of the shares may leave a hair's breadth after the last one.
    let client = client.unwrap_or(load.clients.len().saturating_sub(1));
    let leave = load
        .clients
        .get(client)
        .and_then(|c| c.disconnect.as_ref())
        .map(|disconnect| {
            let mut draws = tree.of_request(Purpose::Disconnect, index);
            let after = match &disconnect.after {
                LeaveAfter::Tokens(tokens) => LeavePoint::Tokens(draws.whole(tokens).max(1)),
                LeaveAfter::Time(time) => LeavePoint::Time(Micros(draws.whole(time))),
            };
            Leave {
                after,
                how: disconnect.how,
            }
        });
    let prompt = match &load.prompts {
        None => PromptId(index + 1),
        Some(prompts) => prompts.prompt(prompts.place(tree.of_request(Purpose::Prompt, index).unit())),
    };
    let phrasing = questions::meaning(prompt).map(|meaning| {
        let unit = tree.of_request(Purpose::Phrasing, index).unit();
        ((unit * meaning.phrasings.len() as f64) as usize, meaning)
    });
    let prompt_tokens = match phrasing {
        Some((at, meaning)) => meaning.phrasings[at].tokens,
        None => tree
            .stream(Purpose::PromptLength, "", prompt, 0)
            .whole(&load.prompt_tokens)
            .max(2),
    };
    PlannedRequest {
        index,
        prompt,
        client: client as u32,
        phrasing: phrasing.map(|(at, _)| at),
        prompt_tokens,
        history: history(tree, load, prompt),
        leave,
        again: load.clients.get(client).and_then(|client| again(tree, client, index)),
    }
}

/// The lengths of what was said before `prompt`: the same for whoever asks it.
fn history(tree: SeedTree, load: &LoadPlan, prompt: PromptId) -> Vec<u64> {
    let Some(history) = &load.history else {
        return Vec::new();
    };
    let length = |turn| {
        tree.stream(Purpose::HistoryLength, "", prompt, turn)
            .whole(&history.tokens)
            .max(1)
    };
    (0..history.turns).map(length).collect()
}

fn again(tree: SeedTree, client: &ClientPlan, index: u64) -> Option<Micros> {
    let again = client.again.as_ref()?;
    let mut draws = tree.of_request(Purpose::Again, index);
    let sends = draws.unit() < again.probability.get();
    sends.then(|| Micros(draws.whole(&again.after)))
}

/// How long the user behind request `index` thinks before asking it: at least a millisecond, so that a user whose
/// requests fail at once cannot ask for ever in the same instant.
pub fn think_time(plan: &Plan, think: &Distribution, index: u64) -> Micros {
    Micros(
        SeedTree::new(plan.seed)
            .of_request(Purpose::Think, index)
            .whole(think)
            .max(1_000),
    )
}

/// Whether anybody in this load hangs up before the end, or reads so slowly that others may: then a provider must be able
/// to see it.
pub fn somebody_leaves(load: &LoadPlan) -> bool {
    let leaves = |client: &ClientPlan| client.disconnect.is_some() || client.reads.is_some();
    load.patience.is_some() || load.clients.iter().any(leaves)
}

/// Whether the clients read streams.
pub fn streams(load: &LoadPlan) -> bool {
    load.endpoint.is_stream()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scenario;

    fn plan(arrivals: &str, client: &str) -> Plan {
        let text = format!(
            "question = \"?\"\nduration = \"100s\"\n[[provider]]\nname = \"p\"\nmodel = \"gpt-4o\"\nfirst_token = \"1s\"\n\
             [load]\nendpoint = \"stream\"\narrivals = {arrivals}\nclient = [{client}]\n[[variant]]\nname = \"v\"\n"
        );
        Scenario::parse("x.toml", &text).unwrap().plan
    }

    fn due(arrivals: &str) -> Vec<Micros> {
        let plan = plan(arrivals, "");
        due_times(&plan, &plan.variants[0].load).unwrap()
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_from_the_start() {
        let due = due("{ kind = \"constant\", rate = \"4/s\" }");
        assert_eq!(due.len(), 400);
        assert_eq!(due[..3], [Micros(0), Micros(250_000), Micros(500_000)]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_scatter_they_should() {
        let due = due("{ kind = \"poisson\", rate = \"50/s\" }");
        let n = due.len() as f64;
        assert!((n - 5000.0).abs() < 4.0 * 5000.0_f64.sqrt(), "{n}");
        let gaps: Vec<f64> = due.windows(2).map(|w| w[1].since(w[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((deviation / mean - 1.0).abs() < 0.06, "{}", deviation / mean);
    }

    #[test]
    fn a_ramp_gives_each_half_its_part() {
        for (from, to, first_half) in [("0/s", "40/s", 0.25), ("40/s", "0/s", 0.75), ("20/s", "20/s", 0.5)] {
            let due = due(&format!("{{ kind = \"ramp\", from = \"{from}\", to = \"{to}\" }}"));
            let early = due.iter().filter(|d| **d < Micros::from_secs(50)).count() as f64;
            assert!((due.len() as f64 - 2000.0).abs() < 180.0, "{}", due.len());
            assert!(
                (early / due.len() as f64 - first_half).abs() < 0.05,
                "{from} to {to}: {early}"
            );
        }
    }

    #[test]
    fn steps_and_spikes_give_each_stretch_its_rate() {
        let within = |due: &[Micros], from, until| {
            let inside = |d: &&Micros| (Micros::from_secs(from)..Micros::from_secs(until)).contains(*d);
            due.iter().filter(inside).count() as f64
        };
        let near = |seen: f64, expected: f64| {
            assert!(
                (seen - expected).abs() < 4.5 * expected.sqrt(),
                "{seen} and not {expected}"
            );
        };
        let steps = "{ kind = \"steps\", steps = [{ rate = \"5/s\", lasts = \"20s\" }, { rate = \"50/s\", lasts = \"30s\" }, { rate = \"10/s\", lasts = \"20s\" }] }";
        let seen = due(steps);
        near(within(&seen, 0, 20), 100.0);
        near(within(&seen, 20, 50), 1500.0);
        near(within(&seen, 50, 100), 500.0);
        let spike = "{ kind = \"spike\", rate = \"5/s\", peak = \"80/s\", from = \"40s\", until = \"50s\" }";
        let seen = due(spike);
        near(within(&seen, 0, 40), 200.0);
        near(within(&seen, 40, 50), 800.0);
        near(within(&seen, 50, 100), 250.0);
        let seen = due("{ kind = \"on_off\", rate = \"40/s\", on = \"5s\", off = \"15s\" }");
        near(seen.len() as f64, 1000.0);
        let away = |d: &Micros| d.0 % 20_000_000 >= 5_000_000;
        assert_eq!(seen.iter().filter(|d| away(d)).count(), 0);
    }

    #[test]
    fn clustered_arrivals_have_the_rate_and_scatter_more_or_less_as_told() {
        for burstiness in [0.25, 1.0, 9.0] {
            let due = due(&format!(
                "{{ kind = \"gamma\", rate = \"50/s\", burstiness = {burstiness} }}"
            ));
            let n = due.len() as f64;
            assert!((n - 5000.0).abs() < 4.0 * (5000.0_f64 * burstiness).sqrt(), "{n}");
            let gaps: Vec<f64> = due.windows(2).map(|w| w[1].since(w[0]).as_secs_f64()).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            let seen = variance / (mean * mean);
            assert!((seen / burstiness - 1.0).abs() < 0.25, "{seen} and not {burstiness}");
        }
    }

    #[test]
    fn popular_prompts_come_often_and_keep_their_length_while_their_clients_differ() {
        let leaver = "{ share = 0.5, disconnect = { after = { kind = \"uniform\", min = \"1s\", max = \"9s\" } } }";
        let mut plan = plan("{ kind = \"constant\", rate = \"1/s\" }", leaver);
        let load = &mut plan.variants[0].load;
        load.prompts = Some(crate::plan::PromptsPlan::new(50, 1.0));
        load.prompt_tokens = Distribution::Uniform { min: 20.0, max: 900.0 };
        let load = plan.variants[0].load.clone();
        let all: Vec<_> = (0..5000).map(|index| planned(&plan, &load, index)).collect();
        let first: Vec<_> = all.iter().filter(|request| request.prompt == PromptId(1)).collect();
        // The harmonic number of 50 is 4.499.
        assert!((first.len() as f64 - 5000.0 / 4.499).abs() < 120.0, "{}", first.len());
        assert!(all.iter().all(|request| (1..=50).contains(&request.prompt.0)));
        let lengths: std::collections::BTreeSet<u64> = first.iter().map(|request| request.prompt_tokens).collect();
        assert_eq!(lengths.len(), 1, "the length is the prompt's");
        let moments: std::collections::BTreeSet<_> =
            first.iter().map(|request| format!("{:?}", request.leave)).collect();
        assert!(moments.len() > first.len() / 3, "when they leave is the clients' own");
    }

    #[test]
    fn questions_come_in_all_their_words_and_a_repetition_is_the_same_request() {
        let client = "{ share = 1.0, again = { after = \"1s\", probability = 0.25 } }";
        let mut plan = plan("{ kind = \"constant\", rate = \"1/s\" }", client);
        let load = &mut plan.variants[0].load;
        load.prompts = Some(crate::plan::PromptsPlan::of_questions(2, 0.0));
        let load = plan.variants[0].load.clone();
        let all: Vec<_> = (0..2000).map(|index| planned(&plan, &load, index)).collect();
        let texts: std::collections::BTreeMap<String, usize> =
            all.iter()
                .fold(std::collections::BTreeMap::new(), |mut texts, request| {
                    assert_eq!(tracer::prompt_of(&request.text()), request.prompt);
                    assert_eq!(tracer::prompt_length(&request.text()), Some(request.prompt_tokens));
                    *texts.entry(request.text()).or_default() += 1;
                    texts
                });
        assert_eq!(texts.len(), 8, "two meanings in four phrasings each");
        assert!(texts.values().all(|count| (180..320).contains(count)), "{texts:?}");
        let again: Vec<_> = all.iter().filter(|request| request.again.is_some()).collect();
        assert!((again.len() as f64 - 500.0).abs() < 80.0, "{}", again.len());
        let second = again[0].once_more();
        assert_eq!((second.first_index(), second.text()), (again[0].index, again[0].text()));
        assert_ne!(second.index, again[0].index);
        assert_eq!(second.again, None, "twice is enough");
    }

    #[test]
    fn clients_leave_in_the_share_they_should_and_stay_the_same_whoever_asks() {
        let leaver = "{ share = 0.1, disconnect = { after_tokens = { kind = \"uniform\", min = 20, max = 150 } } }";
        let plan = plan("{ kind = \"constant\", rate = \"1/s\" }", leaver);
        let load = &plan.variants[0].load;
        let leave: Vec<_> = (0..5000).filter_map(|i| planned(&plan, load, i).leave).collect();
        assert!((leave.len() as f64 - 500.0).abs() < 70.0, "{}", leave.len());
        assert!(leave.iter().all(|l| matches!(l.after, LeavePoint::Tokens(20..=150))));
        assert_eq!(planned(&plan, load, 77), planned(&plan, load, 77));
    }
}
