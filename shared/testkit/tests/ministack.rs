//! A MiniStack of the testkit answers, has nothing of the environment of the test, and leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use tidewatch_testkit::ministack::MiniStack;

/// What MiniStack answers to a GET request.
fn get(ministack: &MiniStack, path: &str) -> String {
    let mut stream = TcpStream::connect(ministack.authority()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", ministack.authority())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_answers_keeps_its_log_and_is_gone_when_it_is_dropped() {
    let Some(ministack) = MiniStack::start_or_skip("a MiniStack by itself", &[]) else { return };
    assert!(get(&ministack, "/_ministack/health").contains(r#""auth": "disabled""#));
    assert!(!ministack.log().is_empty());
    let (authority, folder) = (ministack.authority(), ministack.folder().to_owned());
    assert!(folder.is_dir());
    drop(ministack);
    assert!(TcpStream::connect(authority).is_err(), "nobody listens any more");
    assert!(!folder.exists());
}

#[test]
fn its_settings_are_taken_over() {
    let settings = [("AUTH", "true")];
    let Some(ministack) = MiniStack::start_or_skip("a MiniStack with policies", &settings) else { return };
    assert!(get(&ministack, "/_ministack/health").contains(r#""auth": "enabled""#));
    let environment = ministack.environment();
    assert_eq!(environment["AWS_ENDPOINT_URL"], ministack.endpoint());
    assert_eq!(environment["AWS_REGION"], environment["AWS_DEFAULT_REGION"]);
}

#[test]
#[should_panic(expected = "there is no /nowhere/ministack/bin/ministack")]
fn tools_that_are_not_where_they_should_be_are_no_reason_to_skip() {
    MiniStack::start(Path::new("/nowhere"), &[]);
}

#[test]
fn a_program_that_ends_at_once_is_told_with_its_log_and_was_given_nothing_of_our_environment() {
    let tools = std::env::temp_dir().join(format!("tidewatch-no-ministack-{}", std::process::id()));
    let program = tools.join("ministack/bin/ministack");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/usr/bin/env", &program).unwrap();
    let outcome = std::panic::catch_unwind(|| MiniStack::start(&tools, &[("AUTH", "true")]));
    std::fs::remove_dir_all(&tools).unwrap();
    let message = outcome.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("does not start") && message.contains("AUTH=true"), "{message}");
    assert!(!message.contains("CARGO"), "{message}");
}
