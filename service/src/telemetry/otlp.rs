//! Spans as the OTLP/HTTP JSON body. Pure.
//!
//! Source: OpenTelemetry protocol 1.x, "OTLP/HTTP JSON encoding": ids in hex, 64-bit integers as strings.

use serde_json::{Value, json};

use super::trace::SpanRecord;

/// The body of `POST /v1/traces`.
pub(super) fn body(instance: &str, spans: &[SpanRecord]) -> Vec<u8> {
    let spans: Vec<Value> = spans.iter().map(span).collect();
    let body = json!({ "resourceSpans": [{
        "resource": { "attributes": [
            attribute("service.name", "brownout-service"),
            attribute("service.instance.id", instance),
        ] },
        "scopeSpans": [{ "scope": { "name": "brownout-service" }, "spans": spans }],
    }] });
    serde_json::to_vec(&body).unwrap_or_default()
}

fn span(span: &SpanRecord) -> Value {
    let attributes: Vec<Value> = span
        .attributes
        .iter()
        .map(|(key, value)| attribute(key, value))
        .collect();
    let mut value = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": nanoseconds(span.start_us),
        "endTimeUnixNano": nanoseconds(span.end_us),
        "attributes": attributes,
    });
    if let Some(parent) = span.parent {
        value["parentSpanId"] = format!("{parent:016x}").into();
    }
    value
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn nanoseconds(us: u64) -> String {
    (u128::from(us) * 1000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::trace::SpanKind;

    #[test]
    fn a_span_is_written_as_collectors_read_it() {
        let record = SpanRecord {
            trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            id: 0x00f0_67aa_0ba9_02b7,
            parent: Some(1),
            name: "attempt",
            kind: SpanKind::Client,
            start_us: 1_767_225_600_000_001,
            end_us: 1_767_225_600_250_000,
            attributes: vec![("outcome", "ok".to_owned())],
        };
        let written: Value = serde_json::from_slice(&body("a", &[record])).unwrap();
        let expected = json!({ "resourceSpans": [{
            "resource": { "attributes": [
                { "key": "service.name", "value": { "stringValue": "brownout-service" } },
                { "key": "service.instance.id", "value": { "stringValue": "a" } },
            ] },
            "scopeSpans": [{ "scope": { "name": "brownout-service" }, "spans": [{
                "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                "spanId": "00f067aa0ba902b7",
                "parentSpanId": "0000000000000001",
                "name": "attempt",
                "kind": 3,
                "startTimeUnixNano": "1767225600000001000",
                "endTimeUnixNano": "1767225600250000000",
                "attributes": [{ "key": "outcome", "value": { "stringValue": "ok" } }],
            }] }],
        }] });
        assert_eq!(written, expected);
    }
}
