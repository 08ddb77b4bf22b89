//! The facts against recorded runtimes.
//!
//! The local chain's recording lies in `testdata`, for these and for users' tests; a test of the client
//! keeps it current (`UPDATE=1 cargo test -p chain --test it recording`).
//!
//! The recordings of the real chain are large and not part of the project: they are read from
//! `GANGLION_METADATA_DIR`, or from `shared/metadata` beside the workspace.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{env, fs, io::Read as _, path::PathBuf};

use chain_metadata::{Verdict, check, diff, errors};

fn recordings() -> Vec<(String, Vec<u8>)> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/metadata");
    let folder = env::var_os("GANGLION_METADATA_DIR").map_or_else(beside, PathBuf::from);
    let mut found: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "scale"))
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    found.sort_unstable();
    assert!(!found.is_empty(), "no recordings in {}", folder.display());
    found
}

fn local() -> Vec<u8> {
    let zipped = include_bytes!("../testdata/localnet.scale.gz");
    let mut metadata = Vec::new();
    flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut metadata).unwrap();
    metadata
}

#[test]
fn every_fact_holds_on_the_local_chain_or_is_declared_absent() {
    let report = check(&local()).unwrap();
    assert_eq!(report.red().count(), 0, "{:#?}", report.red().collect::<Vec<_>>());
    assert_eq!(report.spec_version, 461);
    let held = report.findings.iter().filter(|finding| finding.verdict == Verdict::Holds);
    assert!(held.count() > 100, "the check looks at something");
}

#[test]
fn a_runtime_without_what_the_suite_uses_is_red() {
    // A call's name as it stands in the metadata, and one of the same length that nobody uses.
    let (known, unknown) =
        (b"commit_timelocked_mechanism_weights", b"commit_timelocked_mechanism_weighty");
    let mut metadata = local();
    let mut from = 0;
    while let Some(at) = metadata[from..].windows(known.len()).position(|bytes| bytes == known) {
        metadata[from + at..][..known.len()].copy_from_slice(unknown);
        from += at + known.len();
    }
    let report = check(&metadata).unwrap();
    let red: Vec<_> = report.red().map(|finding| finding.fact.as_str()).collect();
    assert_eq!(red, ["call SubtensorModule.commit_timelocked_mechanism_weights"]);
}

#[test]
#[ignore = "needs recordings of the real chain in GANGLION_METADATA_DIR or ../shared/metadata"]
fn every_fact_holds_on_every_recorded_runtime_or_is_declared_absent() {
    for (name, metadata) in recordings() {
        let report = check(&metadata).unwrap();
        let red: Vec<_> = report.red().collect();
        assert!(red.is_empty(), "{name} (spec {}): {red:#?}", report.spec_version);
    }
}

#[test]
#[ignore = "needs recordings of the real chain in GANGLION_METADATA_DIR or ../shared/metadata"]
fn every_error_with_an_advice_is_an_error_of_some_recorded_runtime() {
    /// Newer than the newest recording.
    const NEWER: [&str; 3] = ["CommitPayloadTooLarge", "CommitQueueFull", "TooManyStakingHotkeys"];
    let reports: Vec<_> = recordings().iter().map(|(_, m)| check(m).unwrap()).collect();
    for (pallet, error) in errors().filter(|(_, error)| !NEWER.contains(error)) {
        let fact = format!("error {pallet}.{error}");
        let known = reports.iter().flat_map(|report| &report.findings);
        let mut known = known.filter(|finding| finding.fact == fact);
        assert!(known.any(|finding| finding.verdict == Verdict::Holds), "no runtime has {fact}");
    }
}

#[test]
#[ignore = "needs recordings of the real chain in GANGLION_METADATA_DIR or ../shared/metadata"]
fn the_difference_of_two_runtimes_names_the_dynamic_tempo() {
    let recordings = recordings();
    let of = |spec| {
        let found = recordings.iter().find(|(_, m)| check(m).unwrap().spec_version == spec);
        &found.unwrap().1
    };
    let changes = diff(of(393), of(424)).unwrap();
    let change = changes.iter().find(|c| c.fact == "storage SubtensorModule.LastEpochBlock");
    let change = change.unwrap();
    assert_eq!((change.before.as_deref(), change.after.as_deref()), (None, Some("(u16) → u64")));
    assert_eq!(diff(of(424), of(424)).unwrap(), []);
}

#[test]
fn bytes_that_are_no_metadata_are_refused() {
    assert!(check(b"").is_err());
    assert!(check(b"meta").is_err());
    assert!(check(b"meta\x0f").is_err());
    assert!(check(b"meta\x0c\0\0\0\0").is_err(), "version 12");
}
