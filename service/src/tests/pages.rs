//! The pages for people, as a browser gets them. What they do there is checked in a browser, in `.ci/browser`.

use serde_json::{Value, json};

use super::provider::{Provider, Reply};
use super::support::{Answer, Host, ms};

async fn page(path: &str) -> Answer {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    Host::new(&provider, json!({})).get(path).await
}

#[tokio::test(start_paused = true)]
async fn both_pages_are_served_under_a_policy_that_lets_nothing_else_in() {
    for path in ["/", "/docs"] {
        let answer = page(path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'sha256-"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.body.starts_with("<!doctype html>"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_chat_page_holds_no_key_and_no_address_of_a_provider() {
    let text = page("/").await.body;
    for secret in ["sk-test", "/v1\"", "base_url"] {
        assert!(!text.contains(secret), "`{secret}` is in the page");
    }
}

#[tokio::test(start_paused = true)]
async fn the_chat_page_knows_what_the_providers_charge_and_whether_a_key_is_needed() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let priced = json!({ "providers": [
        { "name": "a", "base_url": "http://a/v1", "model": "m", "prompt_usd_per_million": 0.15, "completion_usd_per_million": 0.6 },
        { "name": "b", "base_url": "http://b/v1", "model": "m" },
    ] });
    let answer = Host::new(&provider, priced).get("/").await;
    let block = answer
        .body
        .split_once("id=\"facts\">")
        .unwrap()
        .1
        .split_once("</script>")
        .unwrap()
        .0;
    let expected = json!({
        "needs_key": false,
        "prices": { "a": { "prompt_usd_per_million": 0.15, "completion_usd_per_million": 0.6 } },
    });
    assert_eq!(serde_json::from_str::<Value>(block).unwrap(), expected);
}
