//! The harness is an independent witness: a service that reports one token too many makes the run invalid.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod support;
#[path = "support/wire.rs"]
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use brownout::mount::ReferenceService;
use brownout_measure::record::Verdict;
use brownout_scenario::units::Micros;
use brownout_scenario::{Plan, Scenario};
use brownout_service::upstream::{Upstream, UpstreamBody, UpstreamError};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use support::play;
use wire::Rewired;

/// A wire that adds one to every completion count that the provider reports.
struct OneTokenMore(Arc<dyn Upstream>);

#[async_trait]
impl Upstream for OneTokenMore {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<UpstreamBody>, UpstreamError> {
        let chat = request.uri().path().ends_with("/chat/completions");
        let response = self.0.send(request).await?;
        if !chat {
            return Ok(response);
        }
        let (mut head, body) = response.into_parts();
        let mut answer: Value = serde_json::from_slice(&body.collect().await?.to_bytes()).unwrap();
        let count = &mut answer["usage"]["completion_tokens"];
        *count = (count.as_u64().unwrap() + 1).into();
        let body = Bytes::from(answer.to_string());
        head.headers.remove("content-length");
        Ok(http::Response::from_parts(
            head,
            Full::new(body).map_err(|never| match never {}).boxed_unsync(),
        ))
    }
}

fn one_token_more(provider: Arc<dyn Upstream>) -> Arc<dyn Upstream> {
    Arc::new(OneTokenMore(provider))
}

fn plan() -> Plan {
    let text = include_str!("../../../scenarios/pool-exhaustion.toml");
    let plan = Scenario::parse("pool-exhaustion.toml", text).unwrap().plan;
    plan.only(&["released".to_owned()])
        .unwrap()
        .beginning(Micros::from_secs(10))
}

#[test]
fn a_service_that_reports_one_token_too_many_makes_the_run_invalid() {
    let record = play(&plan(), &Arc::new(Rewired(one_token_more)));
    let variant = &record.results.variants[0];
    assert!(variant.requests.answered > 10, "{:?}", variant.requests);
    assert!(!variant.books.balanced);
    assert!(
        variant.books.discrepancies.iter().any(|d| d.contains("202")),
        "{:?}",
        variant.books.discrepancies
    );
    assert_eq!(record.results.verdict, Verdict::Invalid);
}

/// Clients who hand the same job in twice, to a service that takes it on once.
fn shared() -> Plan {
    let text = r#"
        question = "Who pays for a double click?"
        duration = "4s"
        [[provider]]
        name = "primary"
        model = "gpt-4o-mini"
        first_token = "500ms"
        output_tokens = 201
        [load]
        arrivals = { kind = "constant", rate = "2/s" }
        endpoint = "jobs"
        client = [{ share = 1.0, again = { after = "100ms" } }]
        [[variant]]
        name = "once"
        service = { preset = "resilient", design = "background" }
    "#;
    Scenario::parse("shared.toml", text).unwrap().plan
}

#[test]
fn a_token_too_many_in_an_answer_that_two_requests_share_makes_the_run_invalid_too() {
    let record = play(&shared(), &Arc::new(Rewired(one_token_more)));
    let variant = &record.results.variants[0];
    assert_eq!((variant.requests.answered, variant.requests.coalesced), (16, 8));
    let of_second = |words: &&String| words.contains("request 4294967") && words.contains("202");
    let words = &variant.books.discrepancies;
    assert_eq!(words.iter().filter(of_second).count(), 8, "{words:?}");
    assert_eq!(record.results.verdict, Verdict::Invalid);
    let record = play(&shared(), &Arc::new(ReferenceService));
    let variant = &record.results.variants[0];
    assert!(variant.books.balanced, "{:?}", variant.books);
    assert_eq!((variant.tokens.used, variant.tokens.fan_out), (8 * 201, 8 * 201));
}

#[test]
fn the_same_service_without_the_extra_token_balances() {
    let record = play(&plan(), &Arc::new(ReferenceService));
    assert!(
        record.results.variants[0].books.balanced,
        "{:?}",
        record.results.variants[0].books
    );
    assert_eq!(record.results.verdict, Verdict::Passed);
}
