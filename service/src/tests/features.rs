use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use super::provider::{Provider, Reply};
use super::support::{Answer, Host, ms};
use crate::error::{Error, Violation};
use crate::features::sample;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn host() -> Host {
    let provider = Provider::new(|_, seen| match seen.host.as_str() {
        "otlp.sim" => Reply::Body("{}"),
        _ => Reply::Whole(ms(1)),
    });
    Host::new(
        &provider,
        json!({ "otlp_endpoint": "http://otlp.sim", "design": "background" }),
    )
}

/// The endpoints of the served document, as `POST /chat`.
async fn described(host: &Host) -> BTreeSet<String> {
    let document = host.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap().clone();
    let endpoints = paths.into_iter().flat_map(|(path, item)| {
        let methods = METHODS.into_iter().filter(move |method| item.get(method).is_some());
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    endpoints.collect()
}

#[tokio::test(start_paused = true)]
async fn the_document_describes_every_route_and_nothing_else() {
    let host = host();
    let described = described(&host).await;
    for endpoint in [
        "POST /chat",
        "POST /chat/stream",
        "POST /jobs",
        "POST /v1/chat/completions",
        "GET /livez",
    ] {
        assert!(described.contains(endpoint), "{endpoint} is missing from {described:?}");
    }
    // Every route that is mounted is described: axum lists its paths in its Debug form and nowhere else.
    let words = host.routes_in_words();
    let mounted = words.split('"').filter(|word| word.starts_with('/'));
    // The fallback is two routes of axum's own, one of them at the root.
    let mut mounted: BTreeSet<&str> = mounted.filter(|path| !path.contains("__private")).collect();
    let paths: BTreeSet<&str> = described
        .iter()
        .filter_map(|endpoint| endpoint.split(' ').nth(1))
        .collect();
    if !paths.contains("/") {
        mounted.remove("/");
    }
    assert_eq!(mounted, paths);
    // Every method that is described is mounted, and no other is.
    for path in paths {
        for method in METHODS {
            let method = method.to_uppercase();
            let asked = Method::from_bytes(method.as_bytes()).unwrap();
            let status = host.send(asked, &path.replace("{id}", "x"), "").await.status().as_u16();
            assert_eq!(
                status != 405,
                described.contains(&format!("{method} {path}")),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_document_refers_to_nothing_that_it_does_not_hold() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = host().get("/openapi.json").await.json();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 5, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_feature_is_one_folder_and_one_line() {
    let host = host().with_features(vec![sample::routes()]);
    let echo = |body: &'static str| host.send(Method::POST, "/echo", body);
    let answer = Answer::read(echo(r#"{"text":"hello"}"#).await).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({ "text": "hello" }))
    );
    let refused = Answer::read(echo(r#"{"text":""}"#).await).await;
    assert_eq!(refused.problem(), (422, "invalid-request".to_owned()));
    assert!(described(&host).await.contains("POST /echo"));
    let metrics = host.get("/metrics").await.body;
    assert!(metrics.contains(r#"endpoint="POST /echo",status="200""#), "{metrics}");
    tokio::time::sleep(ms(5000)).await;
    let metrics = host.get("/metrics").await.body;
    assert!(
        metrics.contains("service_spans_dropped_total 0"),
        "its span was taken: {metrics}"
    );
}

#[test]
fn problems_read_the_same_from_release_to_release() {
    let violations = [
        ("#/messages", "length is lower than 1"),
        ("#/max_tokens", "lower than 1"),
    ];
    let violations = violations.map(|(pointer, detail)| Violation {
        pointer: pointer.to_owned(),
        detail: detail.to_owned(),
    });
    let problems = [
        Error::Malformed("expected value at line 1 column 1".to_owned()),
        Error::Unauthenticated,
        Error::KeyDisabled,
        Error::NotFound("page"),
        Error::NotFound("job"),
        Error::UnknownModel("gpt-99".to_owned()),
        Error::MethodNotAllowed,
        Error::SlowBody,
        Error::TooLarge,
        Error::MediaType,
        Error::Invalid(violations.to_vec()),
    ];
    insta::assert_json_snapshot!(problems.map(|error| error.problem()));
}
