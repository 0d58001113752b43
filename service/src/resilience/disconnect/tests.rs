use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt;

use super::*;

/// Yields 1 to 5, one a second, and counts what it made.
async fn count_to_five(sink: Sink<u32>, made: Arc<AtomicU32>) {
    for n in 1..=5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        made.store(n, Ordering::Relaxed);
        sink.send(n).await;
    }
}

fn leaving(policy: DisconnectPolicy, concurrent: u32, time: Duration) -> Leaving {
    let drain = DrainSettings { concurrent, time };
    Leaving::new(policy, drain, Tasks::default(), Metrics::default())
}

/// How far each of `clients` gets that all read two and leave.
async fn leave_after_two(leaving: &Leaving, clients: usize) -> Vec<u32> {
    let reading = (0..clients).map(|_| async {
        let made = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&made);
        let events = leaving.stream(move |sink| count_to_five(sink, counter));
        let read: Vec<u32> = events.take(2).collect().await;
        assert_eq!(read, [1, 2]);
        tokio::time::sleep(Duration::from_mins(1)).await;
        made.load(Ordering::Relaxed)
    });
    futures::future::join_all(reading).await
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn a_tied_producer_stops_when_its_client_leaves() {
    let cancel = leaving(DisconnectPolicy::Cancel, 1, MINUTE);
    assert_eq!(leave_after_two(&cancel, 1).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_detached_producer_runs_to_its_end() {
    let run_on = leaving(DisconnectPolicy::RunOn, 1, Duration::ZERO);
    assert_eq!(leave_after_two(&run_on, 3).await, [5, 5, 5]);
}

#[tokio::test(start_paused = true)]
async fn so_many_are_drained_and_not_one_more() {
    let drain = leaving(DisconnectPolicy::Drain, 2, MINUTE);
    let mut reached = leave_after_two(&drain, 3).await;
    reached.sort_unstable();
    assert_eq!(reached, [2, 5, 5]);
    // Their places are free again.
    assert_eq!(leave_after_two(&drain, 2).await, [5, 5]);
    let text = drain.metrics.render(crate::telemetry::Format::Classic);
    assert!(
        text.contains(r#"service_drained_total{outcome="finished"} 4"#),
        "{text}"
    );
    assert!(text.contains(r#"service_drained_total{outcome="full"} 1"#), "{text}");
    assert!(text.contains("service_draining 0"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_is_drained_is_cut_when_its_time_is_up_and_just_before_it_is_not() {
    for (time, reached, outcome) in [(1900, 3, "cut"), (2100, 4, "cut"), (3100, 5, "finished")] {
        let drain = leaving(DisconnectPolicy::Drain, 1, Duration::from_millis(time));
        assert_eq!(leave_after_two(&drain, 1).await, [reached], "{time} ms");
        let text = drain.metrics.render(crate::telemetry::Format::Classic);
        let counted = format!(r#"service_drained_total{{outcome="{outcome}"}} 1"#);
        assert!(text.contains(&counted), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_deliver_every_event_in_order_to_a_client_that_stays_and_drain_nothing() {
    for policy in [
        DisconnectPolicy::Cancel,
        DisconnectPolicy::Drain,
        DisconnectPolicy::RunOn,
    ] {
        let leaving = leaving(policy, 1, MINUTE);
        let made = Arc::new(AtomicU32::new(0));
        let events = leaving.stream(move |sink| count_to_five(sink, made));
        assert_eq!(events.collect::<Vec<_>>().await, [1, 2, 3, 4, 5], "{policy:?}");
        let whole = leaving.answer(async { 7 }).await;
        assert_eq!(whole.ok(), Some(7), "{policy:?}");
        let text = leaving.metrics.render(crate::telemetry::Format::Classic);
        assert!(!text.contains("service_drained_total{"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn whole_answers_are_drained_within_the_same_bounds() {
    let drain = leaving(DisconnectPolicy::Drain, 1, Duration::from_secs(5));
    let done = Arc::new(AtomicU32::new(0));
    let ask = |seconds: u64| {
        let (drain, done) = (drain.clone(), Arc::clone(&done));
        async move {
            let work = async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                done.fetch_add(1, Ordering::Relaxed);
            };
            let left = tokio::time::timeout(Duration::from_secs(1), drain.answer(work)).await;
            assert!(left.is_err());
            tokio::time::sleep(MINUTE).await;
        }
    };
    ask(5).await;
    assert_eq!(done.load(Ordering::Relaxed), 1);
    ask(7).await;
    assert_eq!(done.load(Ordering::Relaxed), 1, "its time was up");
    tokio::join!(ask(4), ask(4));
    assert_eq!(done.load(Ordering::Relaxed), 2, "there was one place");
}

#[tokio::test(start_paused = true)]
async fn detached_work_ends_with_its_instance() {
    for policy in [DisconnectPolicy::RunOn, DisconnectPolicy::Drain] {
        let leaving = leaving(policy, 1, MINUTE);
        let lifeline = leaving.tasks.lifeline();
        let made = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&made);
        let events = leaving.stream(move |sink| count_to_five(sink, counter));
        tokio::time::sleep(Duration::from_millis(2500)).await;
        drop(events);
        drop(lifeline);
        tokio::time::sleep(MINUTE).await;
        assert_eq!(made.load(Ordering::Relaxed), 2, "{policy:?}");
    }
}
