//! The witness as a process: real datagrams, real signals, real exit codes.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

struct Observed {
    child: Child,
    lines: BufReader<Box<dyn Read>>,
    to: SocketAddr,
    from: UdpSocket,
}

impl Observed {
    fn start(options: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchover"));
        command.args(["observe", "--listen", "127.0.0.1:0"]).args(options.split_whitespace());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let lines: Box<dyn Read> = if options.contains("--json") {
            Box::new(child.stderr.take().expect("piped"))
        } else {
            Box::new(child.stdout.take().expect("piped"))
        };
        let mut lines = BufReader::new(lines);
        let mut first = String::new();
        lines.read_line(&mut first).expect("a first line");
        let to = first.trim().rsplit("udp:").next().and_then(|address| address.parse().ok());
        let to = to.unwrap_or_else(|| panic!("no address in {first:?}"));
        Observed { child, lines, to, from: UdpSocket::bind("127.0.0.1:0").expect("bind") }
    }

    fn beat(&self, runner: &str, vcpu: u32, count: u64) {
        let datagram = format!(r#"{{"guest":"g1","runner":"{runner}","vcpu":{vcpu},"count":{count}}}"#);
        self.from.send_to(datagram.as_bytes(), self.to).expect("sent");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the end: the exit code, the stream with the lines, the other one.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut lines, mut other) = (String::new(), String::new());
        self.lines.read_to_string(&mut lines).expect("text");
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut other).expect("text");
        }
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut other).expect("text");
        }
        (self.child.wait().expect("ended").code(), lines, other)
    }
}

#[test]
fn one_runner_ends_with_0_and_a_table() {
    for signal in ["INT", "TERM"] {
        let observed = Observed::start("");
        for count in 1..=20 {
            observed.beat(if count <= 5 { "source" } else { "destination" }, 0, count);
        }
        observed.signal(signal);
        let (code, out, _) = observed.end();
        assert_eq!(code, Some(0), "{out}");
        assert!(out.contains("guest g1: runs on the source\n"), "{out}");
        assert!(out.contains("guest g1: runs on the destination now, after"), "{out}");
        assert!(out.contains("one runner at all times; it changed 1 times"), "{out}");
    }
}

#[test]
fn two_runners_end_with_1_and_are_named() {
    let observed = Observed::start("--for 300ms");
    for count in 1..=20 {
        observed.beat("source", 0, count);
        observed.beat("destination", 0, count);
    }
    let (code, out, _) = observed.end();
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("! guest g1, vCPU 0: count 1 from the destination was seen before"), "{out}");
    assert!(out.contains("NOT one runner"), "{out}");
}

#[test]
fn json_is_alone_on_stdout_and_has_the_gap_as_it_was() {
    let observed = Observed::start("--json");
    // The kernel starts stamping a moment after the first socket asks for it.
    sleep(Duration::from_millis(50));
    observed.beat("source", 1, 1);
    observed.from.send_to(b"garbage", observed.to).expect("sent");
    sleep(Duration::from_millis(80));
    observed.beat("destination", 1, 2);
    observed.signal("INT");
    let (code, lines, stdout) = observed.end();
    assert_eq!(code, Some(0), "{lines}");
    let report: serde_json::Value = serde_json::from_str(&stdout).expect("one object");
    assert_eq!(report["verdict"], "one_runner");
    assert_eq!(report["ignored"], 1);
    let vcpu = &report["guests"][0]["vcpus"][0];
    assert_eq!((&vcpu["vcpu"], &vcpu["beats"], &vcpu["changes"]), (&1.into(), &2.into(), &1.into()));
    let gap = vcpu["longest_gap_ns"].as_u64().expect("a number");
    // No upper edge that a busy machine could break by waking this test late.
    assert!((79_000_000..5_000_000_000).contains(&gap), "{gap}");
}

#[test]
fn silence_is_no_proof_of_one_runner() {
    let (code, out, _) = Observed::start("--for 50ms").end();
    assert_eq!(code, Some(1));
    assert!(out.contains("nothing was heard"), "{out}");
}

#[test]
fn an_address_that_is_taken_is_an_error_with_its_remedy() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address").to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchover"));
    let output = command.args(["observe", "--listen", &address]).output().expect("runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains(&address) && message.contains("free?"), "{message}");
}
