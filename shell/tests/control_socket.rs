//! The control socket: who may ask, what is answered, and what a dead agent leaves behind.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use switchover_shell::control_socket::{
    Cancelled, ControlError, ControlSocket, Effect, Operator, Status, cancel, status,
};
use switchover_shell::words::Side;

#[derive(Default)]
struct Counting {
    cancelled: AtomicU32,
}

impl Operator for Counting {
    fn status(&self) -> Status {
        Status {
            side: Side::Source,
            pid: std::process::id(),
            standing: "in_doubt".into(),
            text: "the guest is stopped here; where it runs is not known".into(),
            attempt: Some("00000000000000ab:3".into()),
            attempts_ended: 2,
            remaining_bytes: None,
            sent_bytes: Some(1 << 20),
            verdict: None,
            in_doubt_ns: Some(1_500_000_000),
            last_outcome: None,
        }
    }

    fn cancel(&self) -> Cancelled {
        self.cancelled.fetch_add(1, Ordering::SeqCst);
        Cancelled { effect: Effect::Requested, text: "Go was sent: the destination is asked".into() }
    }
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("switchover-control-{name}-{}", std::process::id()))
}

#[test]
fn status_and_cancel_are_answered_and_the_socket_goes_with_its_agent() {
    let path = path("answers");
    let operator = Arc::new(Counting::default());
    let socket = ControlSocket::serve(&path, operator.clone()).expect("a socket");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let told = status(&path).expect("a status");
    assert_eq!(told, operator.status());
    let text = told.to_string();
    assert!(text.contains("where it runs is not known") && text.contains("for 1.5s"), "{text}");
    assert_eq!(cancel(&path).expect("an answer").effect, Effect::Requested);
    assert_eq!(operator.cancelled.load(Ordering::SeqCst), 1);
    drop(socket);
    assert!(!path.exists());
    let error = status(&path).expect_err("nobody");
    assert!(
        matches!(error, ControlError::Nobody { .. }) && error.to_string().contains("--control"),
        "{error}"
    );
}

#[test]
fn nonsense_is_answered_with_what_would_be_right() {
    let path = path("nonsense");
    let _socket = ControlSocket::serve(&path, Arc::new(Counting::default())).expect("a socket");
    for question in ["{\"command\":\"reboot\"}\n", "\n", "GET /\n", &format!("{}\n", "x".repeat(5000))] {
        let mut stream = UnixStream::connect(&path).expect("it listens");
        let _ = stream.write_all(question.as_bytes());
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("an answer");
        assert!(answer.contains("error") && answer.contains("status"), "{answer}");
    }
}

#[test]
fn a_living_agents_socket_is_not_taken_and_a_dead_ones_is() {
    let path = path("taken");
    let living = ControlSocket::serve(&path, Arc::new(Counting::default())).expect("a socket");
    let error = ControlSocket::serve(&path, Arc::new(Counting::default())).err().expect("taken");
    assert!(matches!(error, ControlError::InUse(_)), "{error}");
    drop(living);
    // What an agent that was killed leaves behind: a socket that nobody listens at.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    assert!(path.exists());
    drop(ControlSocket::serve(&path, Arc::new(Counting::default())).expect("replaced"));
    std::fs::write(&path, "precious").expect("written");
    let error = ControlSocket::serve(&path, Arc::new(Counting::default())).err().expect("no socket");
    assert!(matches!(error, ControlError::NoSocket(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("left alone"), "precious");
    std::fs::remove_file(&path).expect("removed");
}
