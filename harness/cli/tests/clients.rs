//! Kinds of clients and answers that are cut short, through the whole harness: what a client cannot see, its figures say.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod support;
#[path = "support/wire.rs"]
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use brownout::mount::ReferenceService;
use brownout_measure::metric::resolve;
use brownout_measure::record::{RunRecord, VariantRecord};
use brownout_scenario::{Plan, Scenario};
use brownout_service::upstream::{Upstream, UpstreamBody, UpstreamError};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};

use support::play;
use wire::Rewired;

/// A wire that calls every answer complete, however it ended.
struct Smoothed(Arc<dyn Upstream>);

#[async_trait]
impl Upstream for Smoothed {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<UpstreamBody>, UpstreamError> {
        let (head, mut body) = self.0.send(request).await?.into_parts();
        let mut stream = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            stream.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
        }
        stream.extend_from_slice(END);
        let body = Full::new(Bytes::from(stream)).map_err(|never| match never {});
        Ok(http::Response::from_parts(head, body.boxed_unsync()))
    }
}

/// The end of a complete stream.
const END: &[u8] = b"data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn smoothed(provider: Arc<dyn Upstream>) -> Arc<dyn Upstream> {
    Arc::new(Smoothed(provider))
}

fn plan(provider: &str, load: &str) -> Plan {
    let text = format!(
        "question = \"?\"\nduration = \"20s\"\n[[provider]]\nname = \"p\"\nmodel = \"gpt-4o-mini\"\nfirst_token = \"200ms\"\n\
         {provider}\n[[variant]]\nname = \"v\"\nservice = {{ preset = \"naive\", design = \"coupled\" }}\n[load]\n{load}"
    );
    Scenario::parse("x.toml", &text)
        .unwrap_or_else(|error| panic!("{error}; {}", error.remedy()))
        .plan
}

fn only(record: &RunRecord) -> &VariantRecord {
    let variant = &record.results.variants[0];
    assert!(variant.books.balanced, "{:?}", variant.books.discrepancies);
    variant
}

/// A figure that counts.
fn count(variant: &VariantRecord, path: &str, phase: Option<&str>) -> u64 {
    resolve(variant, path, phase).unwrap().round() as u64
}

#[test]
fn an_answer_that_is_cut_and_called_complete_is_answered_and_not_whole() {
    let provider = "inter_token = \"10ms\"\noutput_tokens = 40\n[[provider.fault]]\nkind = \"clean_eof\"\nafter_tokens = 12\nprobability = 0.5";
    let load = "endpoint = \"stream\"\narrivals = { kind = \"constant\", rate = \"5/s\" }";
    let record = play(&plan(provider, load), &Arc::new(Rewired(smoothed)));
    let variant = only(&record);
    let count = |path: &str| count(variant, path, None);
    assert_eq!(count("requests.answered"), 100, "no client can tell");
    let cut = count("attempts.by_fault.p/clean_eof#0");
    assert!((30..70).contains(&cut), "{cut}");
    assert_eq!(
        (count("requests.incomplete"), count("requests.whole")),
        (cut, 100 - cut)
    );
    assert_eq!(count("tokens.delivered"), 40 * (100 - cut) + 12 * cut);
}

#[test]
fn kinds_of_clients_and_steps_of_the_load_have_their_own_figures() {
    let provider = "inter_token = \"10ms\"\noutput_tokens = 100";
    let load = "endpoint = \"stream\"\npatience = \"15s\"\n\
                arrivals = { kind = \"steps\", steps = [{ rate = \"2/s\", lasts = \"10s\" }, { rate = \"8/s\", lasts = \"10s\" }] }\n\
                client = [{ name = \"stuck\", share = 0.2, read = { stops_after_bytes = 2000 } }, { name = \"quick\", share = 0.8 }]";
    let plan = plan(provider, load);
    let record = play(&plan, &Arc::new(ReferenceService));
    let variant = only(&record);
    let due = |phase| count(variant, "requests.due", phase);
    let of_kind = |path: &str| count(variant, &format!("clients.{path}"), None);
    let (stuck, quick) = (of_kind("stuck.requests.due"), of_kind("quick.requests.due"));
    assert!(stuck > 5, "{stuck}");
    assert_eq!(stuck + quick, due(None));
    assert_eq!(of_kind("stuck.errors.client_timeout"), stuck);
    assert_eq!(of_kind("quick.requests.answered"), quick);
    let (first, second) = (due(Some("step-1")), due(Some("step-2")));
    assert_eq!(first + second, due(None));
    assert!(second > 2 * first, "{first} and {second}");
    let again = play(&plan, &Arc::new(ReferenceService));
    assert_eq!(record.results_fingerprint, again.results_fingerprint);
}
