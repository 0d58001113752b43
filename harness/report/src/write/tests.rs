use std::fs::{self, Permissions};
use std::io::ErrorKind;

use super::*;
use crate::{read, sample};

#[test]
fn a_run_is_written_whole_and_can_be_read_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let record = sample::record();
    let written = write_run(&record, dir.path()).expect("writes");
    assert_eq!(written.files[0], dir.path().join("run.json"), "the record comes first");
    assert_eq!(
        written.files.len(),
        4 + record.results.variants.len() + 2 * Chart::of(&record).len()
    );
    for file in &written.files {
        assert!(fs::metadata(file).expect("is there").len() > 100, "{}", file.display());
    }
    assert!(read::read_run(dir.path()).expect("reads") == record, "to the last bit");
    assert!(read::read_run(&dir.path().join("run.json")).expect("reads") == record);
    let left_over = fs::read_dir(dir.path()).expect("lists").filter_map(Result::ok);
    assert!(
        left_over
            .filter(|entry| entry.file_name().to_string_lossy().contains("partial"))
            .count()
            == 0
    );
}

#[test]
fn a_suite_finds_its_runs_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let records = sample::suite();
    let suite = suite::SuiteRecord::of(&records);
    for (record, entry) in records.iter().zip(&suite.scenarios) {
        let dir = dir.path().join(&entry.folder);
        Folder::open(&dir)
            .and_then(|mut folder| folder.write("run.json", &json(record)?))
            .expect("writes");
    }
    write_suite(&records, dir.path()).expect("writes");
    assert_eq!(read::read_suite(dir.path()).expect("reads"), suite);
    assert!(read::read_runs(dir.path()).expect("reads") == records);
    assert!(read::read_runs(&dir.path().join("suite.json")).expect("reads") == records);
    let first = dir.path().join(&suite.scenarios[0].folder);
    assert!(read::read_runs(&first).expect("reads") == records[..1]);
}

#[test]
fn a_file_in_the_way_is_named_with_a_way_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let occupied = dir.path().join("report");
    fs::write(&occupied, "mine").expect("writes");
    let error = write_run(&sample::record(), &occupied).expect_err("cannot");
    let text = error.to_string();
    assert!(
        text.contains("report") && text.contains("in the way") && text.contains("--out"),
        "{text}"
    );
    assert_eq!(fs::read_to_string(&occupied).expect("still there"), "mine");
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission_is_named_with_a_way_out() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o555)).expect("sets");
    if fs::write(dir.path().join("probe"), "").is_ok() {
        // Root may write anywhere; the words are covered below.
        return;
    }
    let text = write_run(&sample::record(), dir.path())
        .expect_err("cannot")
        .to_string();
    assert!(
        text.contains("run.json") && text.contains("may not write") && text.contains("--out"),
        "{text}"
    );
}

#[test]
fn every_common_misfortune_has_its_own_words() {
    let kinds = [
        ErrorKind::PermissionDenied,
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::StorageFull,
        ErrorKind::NotADirectory,
        ErrorKind::IsADirectory,
    ];
    let texts: std::collections::BTreeSet<_> = kinds
        .iter()
        .map(|kind| lost(Path::new("out/run.json"), (*kind).into()).to_string())
        .collect();
    assert_eq!(texts.len(), kinds.len());
    let full = lost(Path::new("out/run.json"), ErrorKind::StorageFull.into()).to_string();
    assert!(
        full.starts_with("cannot write out/run.json: the disk is full. Make room"),
        "{full}"
    );
}

#[test]
fn a_file_that_cannot_be_renamed_into_place_leaves_nothing_half_written() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(dir.path().join("run.json/occupied")).expect("makes");
    write_run(&sample::record(), dir.path()).expect_err("cannot");
    let names: Vec<_> = fs::read_dir(dir.path())
        .expect("lists")
        .filter_map(Result::ok)
        .map(|e| e.file_name())
        .collect();
    assert_eq!(names, ["run.json"], "no partial file is left");
}

/// Draws the sample for people: `cargo test -p brownout-report draw_the_sample -- --ignored`.
#[test]
#[ignore = "writes into the temporary folder, to be looked at"]
fn draw_the_sample() {
    let dir = std::env::temp_dir().join("brownout-report-sample");
    let records = sample::suite();
    let suite = suite::SuiteRecord::of(&records);
    for (record, entry) in records.iter().zip(&suite.scenarios) {
        write_run(record, &dir.join(&entry.folder)).expect("writes");
    }
    println!("{}", write_suite(&records, &dir).expect("writes").index.display());
}
