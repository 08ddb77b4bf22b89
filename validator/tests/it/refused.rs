//! What cannot work ends at once, with the exit code of its kind and a way out.

use std::process::{Command, Output, Stdio};

use chain_metadata::NetUid;

use crate::stage::{self, VALIDATOR, program, program_on};

fn ends(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.stderr(Stdio::piped()).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hotkey_without_a_slot_is_refused_with_the_way_to_one() {
    let node = stage::chain(&[]);
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = ends(&mut program(&node.url(), "//Nobody", dir.path()));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains(&stage::key("//Nobody").hotkey().to_string()), "{said}");
    assert!(said.contains("register"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_that_is_not_there_is_named() {
    let node = stage::chain(&[]);
    let dir = tempfile::tempdir().unwrap();
    let mut command = program_on(NetUid(99), &node.url(), VALIDATOR, dir.path());
    let (code, said) = ends(&mut command);
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("99"), "{said}");
}

#[test]
fn a_chain_that_is_down_is_tried_for_as_long_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program("ws://127.0.0.1:9", VALIDATOR, dir.path());
    let (code, said) = ends(command.args(["--chain-patience", "0"]));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("127.0.0.1:9"), "{said}");
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program("ws://127.0.0.1:9", VALIDATOR, dir.path());
    let (code, said) = ends(command.arg("--wieghts"));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("--wieghts"), "{said}");
}
