//! What a fault block may say, what comes of it, and what is refused because it could never happen.

mod common;

use brownout_scenario::distribution::Distribution;
use brownout_scenario::plan::{FaultEffect, FaultPlan, HeaderMatch, Scope, Timetable};
use brownout_scenario::units::{Micros, Share};
use common::{plan, refuses};

fn secs(n: u64) -> Micros {
    Micros::from_secs(n)
}

/// The faults of a provider whose further text is `text`.
fn faults(text: &str) -> Vec<FaultPlan> {
    plan(text).faults
}

/// The effect of one fault.
fn effect(text: &str) -> FaultEffect {
    faults(&format!("[[provider.fault]]\n{text}\n")).remove(0).effect
}

fn constant(value: f64) -> Distribution {
    Distribution::Constant { value }
}

#[test]
fn kinds_without_keys_of_their_own_become_the_effect_of_their_name() {
    for kind in [
        "blackhole",
        "refuse_connection",
        "reset_before_headers",
        "clean_eof",
        "fin_without_terminator",
        "reset_mid_stream",
        "malformed_frame",
        "missing_done",
        "duplicate_frame",
        "html_200",
        "garbage_output",
        "content_filter",
        "context_length",
    ] {
        let fault = faults(&format!("[[provider.fault]]\nkind = \"{kind}\"\n")).remove(0);
        assert_eq!(fault.effect.name(), kind);
        assert_eq!(fault.id, format!("{kind}#0"));
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    assert_eq!(
        effect("kind = \"error_event\""),
        FaultEffect::ErrorEvent {
            after_tokens: None,
            status: 503
        }
    );
    assert_eq!(
        effect("kind = \"trickle\""),
        FaultEffect::Trickle {
            bytes: 1,
            every: Micros::from_millis(50)
        }
    );
    assert_eq!(effect("kind = \"empty_200\""), FaultEffect::Empty200 { object: false });
    assert_eq!(
        effect("kind = \"stall\""),
        FaultEffect::Stall {
            after_tokens: None,
            lasts: None
        }
    );
    let fault = faults("[[provider.fault]]\nkind = \"stall\"\n").remove(0);
    assert_eq!((fault.from, fault.until), (Micros::ZERO, secs(30)));
    assert_eq!(
        (fault.timetable, fault.scope, fault.probability),
        (Timetable::Throughout, Scope::default(), Share::ALL)
    );
    assert_eq!((fault.first, fault.every), (None, None));
}

#[test]
fn what_is_written_arrives_in_the_effect() {
    assert_eq!(
        effect("kind = \"stall\"\nafter_tokens = 7\nlasts = \"2s\""),
        FaultEffect::Stall {
            after_tokens: Some(constant(7.0)),
            lasts: Some(constant(2e6))
        }
    );
    assert_eq!(
        effect("kind = \"trickle\"\nbytes = 3\npause = \"5ms\""),
        FaultEffect::Trickle {
            bytes: 3,
            every: Micros::from_millis(5)
        }
    );
    assert_eq!(
        effect("kind = \"empty_200\"\nbody = \"object\""),
        FaultEffect::Empty200 { object: true }
    );
    assert_eq!(
        effect("kind = \"status\"\nstatus = 429\nretry_after_text = \"-1\"\ncode = \"slow_down\""),
        FaultEffect::Status {
            status: 429,
            retry_after: None,
            retry_after_text: Some("-1".to_owned()),
            code: Some("slow_down".to_owned()),
        }
    );
    assert_eq!(
        effect("kind = \"content_filter\"\nafter_tokens = 0"),
        FaultEffect::ContentFilter {
            after_tokens: Some(constant(0.0))
        }
    );
}

#[test]
fn an_outage_becomes_what_its_callers_meet_and_comes_and_goes() {
    let outage = "[[provider.fault]]\nkind = \"outage\"\ndown = { kind = \"lognormal\", p50 = \"10s\", p99 = \"60s\" }\nup = \"5s\"\n";
    let fault = faults(outage).remove(0);
    assert_eq!(fault.id, "outage#0");
    assert_eq!(
        fault.effect,
        FaultEffect::Status {
            status: 503,
            retry_after: None,
            retry_after_text: None,
            code: None
        }
    );
    let on = Distribution::Lognormal {
        p50: 1e7,
        p99: 6e7,
        shift: 0.0,
    };
    assert_eq!(fault.timetable, Timetable::OnOff { on, off: constant(5e6) });
    for (answer, effect) in [
        ("silence", FaultEffect::Blackhole),
        ("refuse", FaultEffect::RefuseConnection),
        ("reset", FaultEffect::ResetBeforeHeaders),
    ] {
        let found = faults(&format!("{outage}answer = \"{answer}\"\n")).remove(0);
        assert_eq!((found.effect, found.id.as_str()), (effect, "outage#0"));
    }
}

#[test]
fn an_outage_that_cannot_be_is_refused() {
    let outage = "[[provider.fault]]\nkind = \"outage\"\ndown = \"9s\"\nup = \"5s\"\n";
    refuses(
        "[[provider.fault]]\nkind = \"outage\"\nup = \"5s\"",
        1,
        "an outage without lengths",
        "add down and up",
    );
    refuses(
        &format!("{outage}answer = \"silence\"\nstatus = 503"),
        6,
        "`status` is never said",
        "answer = \"status\"",
    );
    refuses(&outage.replace("9s", "9us"), 3, "below 1ms", "1ms and more");
    refuses(
        &format!("{outage}windows = [[\"1s\", \"2s\"]]"),
        5,
        "not in windows",
        "status with windows",
    );
    refuses(
        &format!("{outage}answer = \"refuse\"\nprobability = 0.5"),
        6,
        "`probability` cannot choose",
        "nobody reads a request that is never accepted",
    );
}

#[test]
fn windows_say_when_a_fault_begins_and_ends() {
    let fault =
        faults("[[provider.fault]]\nkind = \"blackhole\"\nwindows = [[\"4s\", \"6s\"], [\"6s\", \"9s\"]]\n").remove(0);
    assert_eq!((fault.from, fault.until), (secs(4), secs(9)));
    assert_eq!(
        fault.timetable,
        Timetable::Windows(vec![(secs(4), secs(6)), (secs(6), secs(9))])
    );
    let within =
        faults("[[provider.fault]]\nkind = \"blackhole\"\nfrom = \"3s\"\nwindows = [[\"4s\", \"6s\"]]\n").remove(0);
    assert_eq!((within.from, within.until), (secs(3), secs(6)));
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let blackhole = |rest: &str| format!("[[provider.fault]]\nkind = \"blackhole\"\n{rest}");
    for bad in [
        "[]",
        "[[\"2s\", \"2s\"]]",
        "[[\"3s\", \"2s\"]]",
        "[[\"1s\", \"4s\"], [\"3s\", \"5s\"]]",
        "[[\"4s\", \"5s\"], [\"1s\", \"2s\"]]",
    ] {
        refuses(
            &blackhole(&format!("windows = {bad}")),
            3,
            "these windows are none",
            "pairs of instants",
        );
    }
    refuses(&blackhole("windows = [[\"1s\"]]"), 3, "invalid length 1", "size 2");
    refuses(
        &blackhole("windows = [[\"1s\", \"40s\"]]"),
        3,
        "after the end of the run",
        "within the run",
    );
    refuses(
        &blackhole("windows = [[\"31s\", \"40s\"]]"),
        3,
        "can never happen",
        "begin it earlier",
    );
    refuses(
        &blackhole("until = \"5s\"\nwindows = [[\"1s\", \"2s\"], [\"4s\", \"6s\"]]"),
        4,
        "outside the time from 1s to 5s",
        "between from and until",
    );
}

#[test]
fn a_scope_is_read_as_requests_carry_it() {
    let text = "[[provider.fault]]\nkind = \"blackhole\"\nmodels = [\"gpt-4o\"]\nkeys = [\"k-1\"]\nheader = { name = \"X-Tenant\", value = \"Acme Ltd\" }\nevery = 3\nfirst = 9\n";
    let fault = faults(&format!("also_serves = [\"gpt-4o\"]\n{text}")).remove(0);
    assert_eq!(
        fault.scope,
        Scope {
            models: vec!["gpt-4o".to_owned()],
            keys: vec!["k-1".to_owned()],
            header: Some(HeaderMatch {
                name: "x-tenant".to_owned(),
                value: Some("Acme Ltd".to_owned())
            }),
        }
    );
    assert_eq!((fault.first, fault.every), (Some(9), Some(3)));
    let everyone = faults("[[provider.fault]]\nkind = \"blackhole\"\nevery = 1\n").remove(0);
    assert_eq!(everyone.every, None, "every first attempt is every attempt");
}

#[test]
fn a_scope_that_nobody_is_in_is_refused() {
    let status = |rest: &str| format!("[[provider.fault]]\nkind = \"status\"\nstatus = 500\n{rest}");
    refuses(
        &status("models = [\"gpt-5\"]"),
        4,
        "does not serve `gpt-5`",
        "it serves gpt-4o-mini; also_serves adds",
    );
    refuses(&status("models = []"), 4, "nobody in it", "leave the key out");
    refuses(&status("keys = [\"a b\"]"), 4, "cannot be an API key", "without blanks");
    refuses(
        &status("header = { name = \"x tenant\" }"),
        4,
        "cannot be the name of a header",
        "x-tenant",
    );
    refuses(
        &status("header = { name = \"x\", value = \" a\" }"),
        4,
        "no header arrives with this value",
        "without blanks around",
    );
    for nothing in ["probability = 0.0", "first = 0", "every = 0"] {
        refuses(&status(nothing), 4, "hits nothing", "above 0");
    }
    assert_eq!(faults(&status("every = 5\nfirst = 5\n")).len(), 1, "the fifth is hit");
    refuses(&status("every = 5\nfirst = 4"), 5, "none is number 5", "at least every");
}

#[test]
fn keys_that_a_kind_does_not_have_are_refused_with_the_kinds_that_do() {
    let fault = |rest: &str| format!("[[provider.fault]]\n{rest}");
    refuses(
        &fault("kind = \"blackhole\"\nstatus = 503"),
        3,
        "`status` has no meaning",
        "status, error_event, outage",
    );
    refuses(
        &fault("kind = \"clean_eof\"\nlasts = \"1s\""),
        3,
        "`lasts` has no meaning",
        "stall",
    );
    refuses(
        &fault("kind = \"trickle\"\nbody = \"object\""),
        3,
        "`body` has no meaning",
        "empty_200",
    );
    refuses(
        &fault("kind = \"status\"\nstatus = 500\ndown = \"1s\""),
        4,
        "`down` has no meaning",
        "outage",
    );
    for key in [
        "probability = 0.5",
        "first = 1",
        "every = 2",
        "models = [\"gpt-4o-mini\"]",
        "keys = [\"k\"]",
        "header = { name = \"x\" }",
    ] {
        refuses(
            &fault(&format!("kind = \"refuse_connection\"\n{key}")),
            3,
            "cannot choose among connections that are refused",
            "never accepted",
        );
    }
}

#[test]
fn values_out_of_bounds_are_refused() {
    let fault = |rest: &str| format!("[[provider.fault]]\n{rest}");
    refuses(
        &fault("kind = \"error_event\"\nstatus = 200"),
        3,
        "200 is not an error status",
        "400 to 599",
    );
    refuses(
        &fault("kind = \"trickle\"\nbytes = 0"),
        3,
        "no trickle",
        "from 1 to 65536",
    );
    refuses(
        &fault("kind = \"trickle\"\npause = \"0s\""),
        3,
        "nothing trickles",
        "above 0",
    );
    let status = "kind = \"status\"\nstatus = 429\n";
    refuses(
        &fault(&format!("{status}retry_after = \"1s\"\nretry_after_text = \"x\"")),
        5,
        "both say when to come back",
        "keep one",
    );
    refuses(
        &fault(&format!("{status}retry_after_text = \"süß\"")),
        4,
        "cannot be sent",
        "printable ASCII",
    );
    refuses(
        &fault(&format!("{status}code = \"\"")),
        4,
        "cannot be sent",
        "printable ASCII",
    );
    refuses(
        &fault("kind = \"stall\"\nlasts = { kind = \"lognormal\", p50 = \"2s\", p99 = \"1s\" }"),
        3,
        "p50 is above p99",
        "swap them",
    );
}

#[test]
fn what_a_dialect_cannot_express_is_refused() {
    refuses(
        "dialect = \"gemini\"\n[[provider.fault]]\nkind = \"missing_done\"",
        3,
        "no terminator",
        "clean_eof",
    );
    refuses(
        "dialect = \"ollama\"\n[[provider.fault]]\nkind = \"content_filter\"",
        3,
        "ollama has no content filter",
        "another dialect",
    );
    assert_eq!(
        faults("dialect = \"ollama\"\n[[provider.fault]]\nkind = \"missing_done\"\n").len(),
        1
    );
    assert_eq!(
        faults("dialect = \"gemini\"\n[[provider.fault]]\nkind = \"content_filter\"\n").len(),
        1
    );
}

/// Two faults, of these kinds with these further keys.
fn two(first: &str, second: &str) -> String {
    format!("[[provider.fault]]\nkind = \"{first}\n[[provider.fault]]\nkind = \"{second}\n")
}

#[test]
fn a_fault_behind_a_certain_one_can_never_happen() {
    let certain = "blackhole\"\nfrom = \"5s\"\nuntil = \"15s\"";
    for hidden in [
        "html_200\"\nfrom = \"5s\"\nuntil = \"15s\"",
        "html_200\"\nfrom = \"8s\"\nuntil = \"9s\"\nprobability = 0.5",
        "html_200\"\nwindows = [[\"6s\", \"7s\"], [\"8s\", \"9s\"]]\nkeys = [\"k\"]",
        "outage\"\ndown = \"1s\"\nup = \"1s\"\nfrom = \"6s\"\nuntil = \"12s\"",
    ] {
        refuses(
            &two(certain, hidden),
            5,
            "can never happen: blackhole#0 takes every attempt",
            "put it before blackhole#0",
        );
    }
}

#[test]
fn a_fault_that_something_is_left_for_can_happen() {
    let later = "html_200\"\nfrom = \"6s\"\nuntil = \"7s\"";
    for earlier in [
        "blackhole\"\nprobability = 0.99",
        "blackhole\"\nfirst = 3",
        "blackhole\"\nevery = 2",
        "blackhole\"\nkeys = [\"k\"]",
        "blackhole\"\nfrom = \"7s\"",
        "blackhole\"\nwindows = [[\"1s\", \"6s\"], [\"7s\", \"9s\"]]",
        "missing_done\"",
        "duplicate_frame\"",
        "garbage_output\"",
        "outage\"\ndown = \"1s\"\nup = \"1s\"",
    ] {
        assert_eq!(faults(&two(earlier, later)).len(), 2, "{earlier}");
    }
    // The other way round the short one is an exception from the long one.
    assert_eq!(faults(&two(later, "blackhole\"")).len(), 2);
}

#[test]
fn equal_scopes_stand_in_each_others_way_and_different_ones_do_not() {
    let scoped = |key: &str| format!("blackhole\"\nkeys = [\"{key}\"]");
    refuses(
        &two(&scoped("a"), &scoped("a")),
        4,
        "blackhole#1 from 0us to 30s can never happen",
        "probability",
    );
    assert_eq!(faults(&two(&scoped("a"), &scoped("b"))).len(), 2);
}

#[test]
fn nobody_meets_a_fault_while_connections_are_refused_wherever_it_stands() {
    let refuse = "refuse_connection\"\nfrom = \"5s\"\nuntil = \"15s\"";
    let hidden = "html_200\"\nfrom = \"6s\"\nuntil = \"7s\"\nprobability = 0.1";
    refuses(
        &two(refuse, hidden),
        5,
        "refuse_connection#0 takes every attempt",
        "nobody is let in",
    );
    refuses(
        &two(hidden, refuse),
        1,
        "refuse_connection#1 takes every attempt",
        "nobody is let in",
    );
    // An outage among other faults refuses at times, not always.
    assert_eq!(
        faults(&two(
            hidden,
            "outage\"\nanswer = \"refuse\"\ndown = \"1s\"\nup = \"1s\""
        ))
        .len(),
        2
    );
}

#[test]
fn two_certain_faults_that_overlap_in_part_are_refused() {
    let first = "blackhole\"\nfrom = \"5s\"\nuntil = \"15s\"";
    refuses(
        &two(first, "html_200\"\nfrom = \"10s\"\nuntil = \"20s\""),
        5,
        "blackhole#0 and html_200#1 both claim every attempt from 10s to 15s",
        "end one where the other begins",
    );
    refuses(
        &two(first, "html_200\"\nwindows = [[\"1s\", \"2s\"], [\"4s\", \"6s\"]]"),
        5,
        "from 5s to 6s",
        "end one where the other begins",
    );
    for fine in [
        "html_200\"\nfrom = \"15s\"\nuntil = \"20s\"",
        "html_200\"\nfrom = \"10s\"\nuntil = \"20s\"\nprobability = 0.5",
        "html_200\"\nfrom = \"10s\"\nuntil = \"20s\"\nfirst = 5",
    ] {
        assert_eq!(faults(&two(first, fine)).len(), 2, "{fine}");
    }
    assert_eq!(
        faults(&two(
            "blackhole\"\nfrom = \"5s\"\nuntil = \"15s\"\nkeys = [\"k\"]",
            "html_200\"\nfrom = \"10s\"\nuntil = \"20s\""
        ))
        .len(),
        2
    );
}
