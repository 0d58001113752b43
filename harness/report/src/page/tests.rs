use super::run_page;
use crate::{sample, suite_page};

/// Everything a browser might fetch: the values of `src`, `href` and `url()`.
fn references(page: &str) -> Vec<&str> {
    let after = |mark: &'static str, end: char| {
        page.match_indices(mark)
            .map(move |(at, _)| page[at + mark.len()..].split(end).next().unwrap_or_default())
    };
    after("src=\"", '"')
        .chain(after("href=\"", '"'))
        .chain(after("url(", ')'))
        .collect()
}

#[test]
fn the_page_needs_no_network_and_no_script() {
    let page = run_page(&sample::record()).expect("draws");
    assert!(references(&page).len() > 5, "the navigation is made of links");
    for reference in references(&page) {
        assert!(reference.starts_with('#'), "{reference}");
    }
    for fetching in ["<script", "<link", "@import", "<img", "<iframe", "javascript:"] {
        assert!(!page.contains(fetching), "{fetching}");
    }
}

#[test]
fn the_suite_page_links_to_its_runs_and_to_nothing_else() {
    let page = suite_page(&sample::suite()).expect("draws");
    assert_eq!(
        references(&page),
        ["hang-ups/index.html", "quiet-day/index.html", "nothing/index.html"]
    );
}

#[test]
fn every_link_on_the_page_leads_somewhere() {
    let page = run_page(&sample::record()).expect("draws");
    for reference in references(&page) {
        let target = format!("id=\"{}\"", reference.trim_start_matches('#'));
        assert!(page.contains(&target), "{reference}");
    }
}

#[test]
fn the_same_record_gives_the_same_page() {
    assert!(run_page(&sample::record()).expect("draws") == run_page(&sample::record()).expect("draws"));
}

#[test]
fn a_run_without_data_has_a_page_too() {
    let page = run_page(&sample::empty()).expect("draws");
    assert!(page.contains("no data: "));
    let mut none = sample::empty();
    none.results.variants.clear();
    run_page(&none).expect("draws");
}

#[test]
fn text_from_a_record_stays_text() {
    let hostile = "</style><script>alert('x')</script>\"onload=\"";
    let mut record = sample::record();
    record.question = hostile.to_owned();
    record.command = hostile.to_owned();
    record.scenario = hostile.to_owned();
    record.results.answer = hostile.to_owned();
    record.results.variants[0].name = hostile.to_owned();
    record.results.variants[0].errors.insert(hostile.to_owned(), 1);
    record.results.variants[0].attribution.insert(hostile.to_owned(), 0.1);
    record.results.expectations[0].text = hostile.to_owned();
    record.environment.notes.push(hostile.to_owned());
    for page in [run_page(&record).expect("draws"), suite_page(&[record]).expect("draws")] {
        assert!(!page.contains("<script"));
        assert!(!page.contains("\"onload="));
        assert_eq!(page.matches("</style>").count(), 1);
    }
}

#[test]
fn kinds_of_clients_and_processes_have_a_place_where_there_are_any() {
    use brownout_measure::record::{ClientRecord, HostRecord, RequestCounts};
    let calm = run_page(&sample::record()).expect("draws");
    assert!(!calm.contains("Kinds of clients") && !calm.contains("Processes and probes"));
    let mut record = sample::record();
    let client = ClientRecord {
        requests: RequestCounts {
            due: 10,
            answered: 7,
            failed: 3,
            ..RequestCounts::default()
        },
        errors: [("rate_limited".to_owned(), 3)].into(),
        ..ClientRecord::default()
    };
    record.results.variants[0].clients.insert("noisy".to_owned(), client);
    record.results.variants[0].hosts = HostRecord {
        started: 2,
        restarts: 1,
        ..HostRecord::default()
    };
    let page = run_page(&record).expect("draws");
    for text in [
        "Kinds of clients",
        "noisy",
        "rate limited (429): 3",
        "Processes and probes",
        "id=\"replicas\"",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn the_page_opens_with_verdict_question_and_answer() {
    let record = sample::record();
    let page = run_page(&record).expect("draws");
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is on the page"));
    assert!(place("badge failed") < place(&format!("<h1>{}", record.question)));
    assert!(place(&record.results.answer) < place("Key figures</h2>"));
    assert!(page.contains(&record.command));
    assert!(page.contains(&record.results_fingerprint));
}
