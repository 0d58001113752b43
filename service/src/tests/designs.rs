use futures::future::join_all;
use serde_json::json;

use super::provider::{Fate, Provider, Reply, stream_of};
use super::support::{Host, ms, secs};

#[tokio::test(start_paused = true)]
async fn the_blocking_design_does_no_more_at_once_than_it_has_workers() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let host = Host::new(&provider, json!({ "design": "blocking", "blocking_workers": 2 }));
    let answers = join_all((0..6).map(|_| host.chat())).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!((provider.most_at_once(), host.elapsed_ms()), (2, 3000));
    // The mirror: the coupled design has no such bound.
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let host = Host::new(&provider, json!({ "design": "coupled" }));
    join_all((0..6).map(|_| host.chat())).await;
    assert_eq!((provider.most_at_once(), host.elapsed_ms()), (6, 1000));
}

#[tokio::test(start_paused = true)]
async fn a_blocking_stream_takes_a_worker_until_its_end() {
    let provider = Provider::new(|_, _| stream_of(ms(500), ms(500), &["one", " two"]));
    let host = Host::new(&provider, json!({ "design": "blocking", "blocking_workers": 1 }));
    let answers = join_all((0..2).map(|_| host.stream())).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.event_names().last().unwrap() == "done")
    );
    assert_eq!((provider.most_at_once(), host.elapsed_ms()), (1, 2000));
}

#[tokio::test(start_paused = true)]
async fn a_full_backlog_refuses_at_once() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let service = json!({ "design": "blocking", "blocking_workers": 1, "blocking_backlog": 1 });
    let host = Host::new(&provider, service);
    let answers = join_all((0..3).map(|_| host.chat())).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 200, 503]);
    assert_eq!(answers[2].problem().1, "overloaded");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_worker_is_part_of_the_requests_time() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(40)));
    let service = json!({ "preset": "naive", "design": "blocking", "blocking_workers": 1 });
    let host = Host::new(&provider, service);
    let answers = join_all((0..3).map(|_| host.chat())).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!((statuses, host.elapsed_ms()), (vec![200, 504, 504], 60_000));
    let fates = [Fate::Finished(secs(40)), Fate::HungUp(secs(60))];
    assert_eq!(provider.fates(), fates, "the third was never asked for");
    let streams = join_all((0..3).map(|_| host.stream())).await;
    assert_eq!(streams[2].problem(), (504, "deadline-exceeded".to_owned()));
}
