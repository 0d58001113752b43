use brownout_measure::record::RunRecord;

use super::*;
use crate::sample;

/// A run in which the first variant lost a replica for a while.
fn restarted() -> RunRecord {
    use brownout_measure::record::{HostRecord, ReplicaPoint};
    let mut record = sample::ablated();
    for (n, variant) in record.results.variants.iter_mut().enumerate() {
        let down = |second: u64| n == 0 && (22..30).contains(&second);
        variant.replicas = (0..60)
            .map(|second| ReplicaPoint {
                second,
                least_ready: 3 - u64::from(down(second)),
                most_ready: 3 - u64::from(down(second) && second != 22),
                restarts: u64::from(n == 0 && second == 24),
                ended: u64::from(n == 0 && second == 22),
            })
            .collect();
        variant.hosts = HostRecord {
            started: 3 + u64::from(n == 0),
            restarts: u64::from(n == 0),
            most_ready: 3,
            least_ready: 3 - u64::from(n == 0),
            replica_seconds: 178.0,
            ..HostRecord::default()
        };
    }
    record
}

fn drawn(record: &RunRecord) -> Vec<(Chart, String, Vec<u8>)> {
    let both = |chart: Chart| {
        let svg = chart.svg(record, Shape::Narrow).expect("draws");
        (chart, svg, chart.png(record, Shape::Narrow).expect("draws"))
    };
    Chart::ALL.map(both).to_vec()
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    assert!(drawn(&sample::record()) == drawn(&sample::record()));
}

#[test]
fn a_run_without_data_says_so_on_every_chart() {
    for (chart, svg, _) in drawn(&sample::empty()) {
        assert!(svg.contains("no data: "), "{chart:?}");
    }
    let mut none = sample::empty();
    none.results.variants.clear();
    for (chart, svg, _) in drawn(&none) {
        assert!(svg.contains("no data: "), "{chart:?} without variants");
    }
}

#[test]
fn a_run_with_data_never_claims_to_have_none() {
    for (chart, svg, _) in drawn(&restarted()) {
        assert!(!svg.contains("no data"), "{chart:?}");
    }
}

#[test]
fn replicas_are_drawn_where_something_happened_to_them() {
    assert!(!Chart::of(&sample::record()).contains(&Chart::Replicas));
    let record = restarted();
    assert_eq!(Chart::of(&record), Chart::ALL);
    assert_eq!(
        Chart::Replicas.title(&record),
        "Processes restarted: 1 with naive and 0 with resilient"
    );
    let mut calm = restarted();
    for variant in &mut calm.results.variants {
        (variant.hosts.restarts, variant.hosts.least_ready) = (0, 3);
    }
    assert!(!Chart::of(&calm).contains(&Chart::Replicas));
}

#[test]
fn odd_values_are_drawn_and_not_feared() {
    use brownout_measure::histogram::Histogram;
    let mut record = sample::record();
    let one: Histogram = [0].into_iter().collect();
    for variant in &mut record.results.variants {
        variant.latency = one.distribution();
        variant.tokens.histogram.billed = one.tokens();
        variant.tokens.histogram.wasted = Histogram::new().tokens();
        variant.timeline.truncate(1);
        variant.timeline[0].p50_us = 0;
        variant.timeline[0].max_us = 0;
        variant.attribution.insert("other".to_owned(), 0.0);
        variant.fault_window_s = Some((50.0, 1e9));
    }
    drawn(&record);
    record.results.variants[0].latency.hdr = "damaged".to_owned();
    record.results.variants[0].timeline.clear();
    record.results.variants[0].fault_window_s = Some((30.0, 10.0));
    record.results.variants[0].tokens.billed = 0;
    drawn(&record);
}

#[test]
fn a_day_long_run_stays_a_small_drawing() {
    let mut record = sample::record();
    for variant in &mut record.results.variants {
        let minute = variant.timeline.clone();
        let points = (0..1_440).flat_map(|n| minute.iter().map(move |p| (n, *p)));
        variant.timeline = points
            .map(|(n, mut p)| {
                p.second += n * 60;
                p
            })
            .collect();
    }
    let svg = Chart::OutcomesOverTime.svg(&record, Shape::Wide).expect("draws");
    assert!(svg.len() < 400_000, "{} bytes", svg.len());
    assert!(svg.contains("minutes since the start"));
}

#[test]
fn names_cannot_break_out_of_the_drawing() {
    let mut record = sample::record();
    record.results.variants[0].name = "\"><script>alert(1)</script>".to_owned();
    for (chart, svg, _) in drawn(&record) {
        assert!(!svg.contains("<script"), "{chart:?}");
    }
}

#[test]
fn a_title_names_the_two_variants_that_are_furthest_apart() {
    let mut record = sample::record();
    let mut third = record.results.variants[0].clone();
    third.name = "middling".to_owned();
    third.tokens.wasted_ratio = 0.03;
    record.results.variants.insert(1, third);
    let title = Chart::Tokens.title(&record);
    assert!(
        title.contains("naive") && title.contains("resilient") && !title.contains("middling"),
        "{title}"
    );
}
