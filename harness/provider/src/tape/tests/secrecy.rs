//! That no key reaches the tape, wherever it was sent and however it was repeated.

use super::studio::Studio;

#[tokio::test]
async fn no_secret_is_on_the_tape_wherever_it_was_sent_or_repeated() {
    let mut studio = Studio::open();
    let mut caller = studio.caller().await;
    for (name, value) in [
        ("authorization", "Bearer sk-proj-0123456789abcdef"),
        ("x-api-key", "sk-ant-0123456789"),
        ("cookie", "theme=dark; session=caller-cookie"),
    ] {
        caller.headers.push((name, value.to_owned()));
    }
    studio.stage.events.add_permits(1);
    let body = r#"{"model":"m","user":"sk-ant-0123456789","content":"org-of-the-day"}"#;
    let heard = caller.hear("/v1/echo?key=AIza-query-key&alt=sse", body).await;
    let said = "your key is Bearer sk-proj-0123456789abcdef and key=AIza-query-key&alt=sse.";
    assert_eq!(heard.text(), said, "the caller gets it all");
    assert_eq!(heard.headers["x-your-query"], "key=AIza-query-key&alt=sse");
    assert!(heard.pieces[0].1.ends_with(b"sk-proj-012"), "{:?}", heard.pieces);
    studio.recorder.stop().await;

    let tape = std::fs::read_to_string(&studio.tape).unwrap();
    for secret in [
        "sk-proj",
        "0123456789",
        "456789abcdef",
        "AIza",
        "sk-ant",
        "caller-cookie",
        "cookie-of-the-day",
        "org-of-the-day",
    ] {
        assert!(!tape.contains(secret), "{secret} is in {tape}");
    }
    let stored = studio.stored().remove(0);
    let pieces = stored["response"]["pieces"].as_array().unwrap().iter();
    let texts: Vec<_> = pieces.map(|piece| piece["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["your key is Bearer [stripped]", " and key=[stripped]&alt=sse."]);
    assert_eq!(stored["request"]["query"], "alt=sse");
    assert_eq!(stored["request"]["body"]["user"], "[stripped]");
}
