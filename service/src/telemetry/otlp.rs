//! Spans as the OTLP/HTTP JSON body. Pure.
//!
//! Source: OpenTelemetry protocol 1.x, "OTLP/HTTP JSON encoding": ids in hex, 64-bit integers as strings.

use serde_json::{Value as Json, json};

use super::conventions::{attribute, value};
use super::span::{SpanRecord, Value};

/// OTLP's number for a span that failed.
const STATUS_ERROR: u8 = 2;

/// Who sends spans.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    /// Tells the instances of the service apart.
    pub(crate) instance: String,
    /// Where it is deployed, such as `production`; absent: nobody said so.
    pub(crate) environment: Option<String>,
}

/// The body of `POST /v1/traces`.
pub(super) fn body(resource: &Resource, spans: &[SpanRecord]) -> Vec<u8> {
    let spans: Vec<Json> = spans.iter().map(span).collect();
    let body = json!({ "resourceSpans": [{
        "resource": { "attributes": attributes(&resource_attributes(resource)) },
        "scopeSpans": [{
            "scope": { "name": value::SERVICE, "version": env!("CARGO_PKG_VERSION") },
            "spans": spans,
        }],
    }] });
    serde_json::to_vec(&body).unwrap_or_default()
}

fn resource_attributes(resource: &Resource) -> Vec<(&'static str, Value)> {
    let mut attributes = vec![
        (attribute::SERVICE_NAME, value::SERVICE.into()),
        (attribute::SERVICE_VERSION, env!("CARGO_PKG_VERSION").into()),
        (attribute::SERVICE_INSTANCE, resource.instance.clone().into()),
    ];
    if let Some(environment) = &resource.environment {
        attributes.push((attribute::ENVIRONMENT, environment.clone().into()));
    }
    attributes
}

fn span(span: &SpanRecord) -> Json {
    let mut written = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": nanoseconds(span.start_us),
        "endTimeUnixNano": nanoseconds(span.end_us),
        "attributes": attributes(&span.attributes),
    });
    if let Some(parent) = span.parent {
        written["parentSpanId"] = format!("{parent:016x}").into();
    }
    if !span.events.is_empty() {
        let event =
            |event: &super::span::Event| json!({ "name": event.name, "timeUnixNano": nanoseconds(event.at_us) });
        written["events"] = span.events.iter().map(event).collect();
    }
    if span.failed {
        written["status"] = json!({ "code": STATUS_ERROR });
    }
    written
}

fn attributes(pairs: &[(&'static str, Value)]) -> Json {
    let pair = |(key, value): &(&'static str, Value)| json!({ "key": key, "value": typed(value) });
    pairs.iter().map(pair).collect()
}

fn typed(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Int(number) => json!({ "intValue": number.to_string() }),
        Value::Double(number) => json!({ "doubleValue": number }),
        Value::Bool(yes) => json!({ "boolValue": yes }),
        Value::Texts(texts) => {
            let texts: Vec<Json> = texts.iter().map(|text| json!({ "stringValue": text })).collect();
            json!({ "arrayValue": { "values": texts } })
        }
    }
}

fn nanoseconds(us: u64) -> String {
    (u128::from(us) * 1000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::span::{Event, SpanKind};

    fn record() -> SpanRecord {
        SpanRecord {
            trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            id: 0x00f0_67aa_0ba9_02b7,
            parent: Some(1),
            name: "chat m".into(),
            kind: SpanKind::Client,
            start_us: 1_767_225_600_000_001,
            end_us: 1_767_225_600_250_000,
            attributes: vec![
                ("a", "text".into()),
                ("b", 7_u64.into()),
                ("c", 0.25.into()),
                ("d", true.into()),
                ("e", vec!["stop".to_owned()].into()),
            ],
            events: vec![Event {
                name: "first",
                at_us: 1_767_225_600_100_000,
            }],
            failed: true,
        }
    }

    fn written(environment: Option<&str>) -> Json {
        let resource = Resource {
            instance: "a".to_owned(),
            environment: environment.map(str::to_owned),
        };
        serde_json::from_slice(&body(&resource, &[record()])).unwrap()
    }

    #[test]
    fn a_span_is_written_as_collectors_read_it() {
        let expected = json!({
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "spanId": "00f067aa0ba902b7",
            "parentSpanId": "0000000000000001",
            "name": "chat m",
            "kind": 3,
            "startTimeUnixNano": "1767225600000001000",
            "endTimeUnixNano": "1767225600250000000",
            "attributes": [
                { "key": "a", "value": { "stringValue": "text" } },
                { "key": "b", "value": { "intValue": "7" } },
                { "key": "c", "value": { "doubleValue": 0.25 } },
                { "key": "d", "value": { "boolValue": true } },
                { "key": "e", "value": { "arrayValue": { "values": [{ "stringValue": "stop" }] } } },
            ],
            "events": [{ "name": "first", "timeUnixNano": "1767225600100000000" }],
            "status": { "code": 2 },
        });
        assert_eq!(written(None)["resourceSpans"][0]["scopeSpans"][0]["spans"][0], expected);
    }

    #[test]
    fn the_resource_says_which_service_which_version_and_which_instance_it_is() {
        let keys = |json: &Json| -> Vec<String> {
            let attributes = json["resourceSpans"][0]["resource"]["attributes"].as_array().unwrap();
            attributes
                .iter()
                .map(|a| a["key"].as_str().unwrap().to_owned())
                .collect()
        };
        let always = ["service.name", "service.version", "service.instance.id"];
        assert_eq!(keys(&written(None)), always);
        assert_eq!(keys(&written(Some("test")))[3..], ["deployment.environment.name"]);
    }
}
