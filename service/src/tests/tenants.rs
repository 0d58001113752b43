//! No answer ever crosses from one tenant to another, however their requests fall together.

use std::sync::Arc;

use http::{Method, Request};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::provider::{Provider, Reply, Seen, stream_of};
use super::support::{Answer, Host, ms};
use crate::settings::Digest;

const TENANTS: usize = 3;
/// What is asked, and what it means.
const QUESTIONS: [(&str, usize); 3] = [
    ("How do I cancel my plan?", 0),
    ("Please tell me how to cancel my plan", 0),
    ("How long does delivery take?", 1),
];

/// A request of the plan.
#[derive(Debug, Clone)]
struct Asked {
    tenant: usize,
    prompt: usize,
    stream: bool,
    at_ms: u64,
    /// When its client leaves, if it does not stay.
    leaves_after_ms: Option<u64>,
}

prop_compose! {
    fn asked()(
        tenant in 0..TENANTS,
        prompt in 0..QUESTIONS.len(),
        stream in any::<bool>(),
        at_ms in 0_u64..400,
        leaves_after_ms in proptest::option::weighted(0.3, 1_u64..150),
    ) -> Asked {
        Asked { tenant, prompt, stream, at_ms, leaves_after_ms }
    }
}

/// The tenant that a call to the provider is made for: it is in the trace that the call belongs to.
fn tenant_of(seen: &Seen) -> usize {
    let parent = seen.headers["traceparent"].to_str().unwrap();
    parent.split('-').nth(1).unwrap()[..16]
        .trim_start_matches('0')
        .parse()
        .unwrap()
}

/// Answers with the names of the tenant and of what was asked.
fn provider() -> Arc<Provider> {
    Provider::new(|n, seen| {
        let said = seen.body["messages"][0]["content"].as_str().unwrap();
        let words = format!("for tenant {} about {said}", tenant_of(seen));
        match seen.body["stream"].as_bool() {
            Some(true) => stream_of(ms(20), ms(20), &words.split_inclusive(' ').collect::<Vec<_>>()),
            _ => Reply::Says(ms(30 + n as u64), words),
        }
    })
}

fn service(exact: bool, semantic: bool, coalesce: bool) -> Value {
    let key = |n: usize| json!({ "name": format!("tenant-{n}"), "sha256": Digest::of(format!("key-{n}").as_bytes()).to_hex() });
    let keys: Vec<Value> = (1..=TENANTS).map(key).collect();
    json!({
        "auth": "required",
        "keys": keys,
        "cache": { "exact": exact, "semantic": semantic, "coalesce": coalesce, "ttl": "200ms", "store": "shared" },
    })
}

async fn ask(host: &Host, asked: Asked) {
    let tenant = asked.tenant + 1;
    let body = json!({ "messages": [{ "role": "user", "content": QUESTIONS[asked.prompt].0 }] });
    let path = if asked.stream { "/chat/stream" } else { "/chat" };
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("authorization", format!("Bearer key-{tenant}"))
        .header(
            "traceparent",
            format!("00-{tenant:016}0000000000000001-0000000000000001-01"),
        )
        .body(axum::body::Body::from(body.to_string()))
        .unwrap();
    tokio::time::sleep(ms(asked.at_ms)).await;
    let answer = async { Answer::read(host.ask(request).await).await };
    let answer = match asked.leaves_after_ms {
        Some(after) => tokio::time::timeout(ms(after), answer).await.ok(),
        None => Some(answer.await),
    };
    let Some(answer) = answer else { return };
    assert_eq!(answer.status, 200, "{}", answer.body);
    let text = if asked.stream {
        let deltas = answer.events().into_iter().filter(|(name, _)| name == "delta");
        deltas
            .map(|(_, data)| data["text"].as_str().unwrap().to_owned())
            .collect()
    } else {
        answer.json()["content"].as_str().unwrap().to_owned()
    };
    let means = |(said, meaning): &(&str, usize)| {
        *meaning == QUESTIONS[asked.prompt].1 && text == format!("for tenant {tenant} about {said}")
    };
    assert!(
        QUESTIONS.iter().any(means),
        "tenant {tenant} asked {:?} and heard {text}",
        QUESTIONS[asked.prompt].0
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn no_answer_ever_crosses_a_tenant(
        plan in proptest::collection::vec(asked(), 1..30),
        exact in any::<bool>(),
        semantic in any::<bool>(),
        coalesce in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let provider = provider();
            let host = Host::new(&provider, service(exact, semantic, coalesce));
            let all = plan.len();
            futures::future::join_all(plan.into_iter().map(|asked| ask(&host, asked))).await;
            assert!(provider.seen().len() <= all);
            assert_eq!(host.app.flights.count(), 0);
        });
    }
}
