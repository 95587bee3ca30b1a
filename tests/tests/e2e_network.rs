//! Two hosts with a network between them: network namespaces, joined by a pair of virtual cables, one of which is pulled.
//!
//! What needs no network of its own is tested on loopback, in `e2e_hosts.rs`.

use std::process::{Command, Stdio};
use std::time::Duration;

use switchover_shell::witness::{TENURE_BEATS, Verdict};
use switchover_tests::e2e::play::{BUSY, LONG, read_record};
use switchover_tests::e2e::{Process, Scratch};
use switchover_tests::host::{alone, kvm_or_skip, skip, switchover_bin};

const SOON: Duration = Duration::from_secs(20);

/// Two namespaces with a cable between them; gone when dropped.
struct Network {
    here: String,
    there: String,
}

const HERE: &str = "10.94.7.1";
const THERE: &str = "10.94.7.2";

fn ip(line: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(line.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Network {
    /// `None` where that is not permitted, or there is no `ip`.
    fn lay() -> Option<Self> {
        let id = std::process::id();
        let network = Network { here: format!("swo-s-{id}"), there: format!("swo-d-{id}") };
        let Network { here, there } = &network;
        let lines = [
            format!("netns add {here}"),
            format!("netns add {there}"),
            format!("-n {here} link add cable type veth peer name cable netns {there}"),
            format!("-n {here} addr add {HERE}/24 dev cable"),
            format!("-n {there} addr add {THERE}/24 dev cable"),
            format!("-n {here} link set cable up"),
            format!("-n {there} link set cable up"),
            format!("-n {here} link set lo up"),
            format!("-n {there} link set lo up"),
        ];
        lines.iter().all(|line| ip(line)).then_some(network)
    }

    /// The command, at one end.
    fn run(&self, end: &str, scratch: &Scratch, name: &str, args: &[&str]) -> Process {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", end]).arg(switchover_bin()).args(args);
        Process::start_command(scratch, name, command)
    }

    /// Pulls the cable, or plugs it in again.
    fn cable(&self, up: bool) {
        assert!(ip(&format!("-n {} link set cable {}", self.here, if up { "up" } else { "down" })));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The cable goes with them.
        ip(&format!("netns del {}", self.here));
        ip(&format!("netns del {}", self.there));
    }
}

fn guarded(test: &str, body: impl FnOnce(&Network, &Scratch)) {
    if !kvm_or_skip(test) {
        return;
    }
    let _alone = alone();
    let scratch = Scratch::new("network");
    match Network::lay() {
        Some(network) => body(&network, &scratch),
        None => skip(test, "namespaces", "network namespaces need root and `ip`"),
    }
}

/// Starts the witness and the destination there; returns both, with the address of the latter.
fn other_host(network: &Network, scratch: &Scratch) -> (Process, Process, String, String) {
    let listen = format!("{THERE}:0");
    let mut observe =
        network.run(&network.there, scratch, "observe", &["observe", "--listen", &listen, "--json"]);
    let witness = format!("udp:{}", observe.says("heartbeats on udp:", SOON));
    let journal = scratch.arg("destination.journal");
    let args = ["destination", "--listen", &listen, "--journal", &journal, "--heartbeat", &witness];
    let mut destination = network.run(&network.there, scratch, "destination", &args);
    let address = destination.says("listening on ", SOON);
    (observe, destination, address, witness)
}

#[test]
fn a_guest_goes_from_one_host_to_the_other_and_observe_saw_one_runner() {
    guarded("a_guest_goes_from_one_host_to_the_other_and_observe_saw_one_runner", |network, scratch| {
        let (mut observe, mut there, address, witness) = other_host(network, scratch);
        let (journal, record) = (scratch.arg("source.journal"), scratch.arg("source.json"));
        let args = ["source", "--connect", &address, "--journal", &journal, "--record", &record];
        let all =
            [&args[..], &["--heartbeat", &witness, "--verify", "--downtime-limit", "5s"], BUSY].concat();
        let mut here = network.run(&network.here, scratch, "source", &all);
        assert_eq!(here.exit(LONG), 0, "{}\n-- destination:\n{}", here.stderr(), there.stderr());
        std::thread::sleep(Duration::from_millis(300));
        observe.signal("INT");
        assert_eq!(observe.exit(SOON), 0, "{}", observe.stderr());
        there.signal("TERM");
        assert_eq!(there.exit(SOON), 0);
        assert!(there.stderr().contains("self-check clean"), "{}", there.stderr());

        let report: serde_json::Value = serde_json::from_str(&observe.stdout()).expect("a report");
        print!("{}", observe.stderr());
        assert_eq!(report["verdict"], Verdict::OneRunner.word());
        assert_eq!(report["guests"][0]["changes"], 1, "{report:#}");
        for vcpu in report["guests"][0]["vcpus"].as_array().expect("vCPUs") {
            assert!(vcpu["beats"].as_u64() > Some(TENURE_BEATS) && vcpu["changes"] == 1, "{vcpu:#}");
        }
        let record = read_record(&scratch.file("source.json"));
        assert!(record.within_limit && record.attempts[0].verified == Some(true), "{record:#?}");
    });
}

#[test]
fn a_pulled_cable_ends_the_attempt_and_a_later_one_commits_when_it_is_back() {
    guarded("a_pulled_cable_ends_the_attempt_and_a_later_one_commits_when_it_is_back", |network, scratch| {
        let (mut observe, mut there, address, witness) = other_host(network, scratch);
        let (journal, record) = (scratch.arg("source.journal"), scratch.arg("source.json"));
        let args = ["source", "--connect", &address, "--journal", &journal, "--record", &record];
        // Slow enough for the cable to be pulled in the middle of pre-copy.
        let guest = ["--memory", "256MiB", "--working-set", "32MiB", "--dirty-rate", "32MiB/s"];
        let retry =
            ["--max-bandwidth", "16MiB/s", "--attempts", "5", "--backoff", "2s", "--heartbeat", &witness];
        let mut here = network.run(&network.here, scratch, "source", &[&args[..], &guest, &retry].concat());
        here.says("round ", SOON);
        network.cable(false);
        here.says("aborted:", SOON);
        assert!(here.runs() && there.runs(), "both go on");
        network.cable(true);
        assert_eq!(here.exit(LONG), 0, "{}\n-- destination:\n{}", here.stderr(), there.stderr());
        std::thread::sleep(Duration::from_millis(300));
        observe.signal("INT");
        assert_eq!(observe.exit(SOON), 0, "{}", observe.stderr());
        there.signal("TERM");
        assert_eq!(there.exit(SOON), 0);
        assert!(there.stderr().contains("self-check clean"), "{}", there.stderr());
        let record = read_record(&scratch.file("source.json"));
        println!("{} attempts", record.attempts.len());
        assert!(record.attempts.len() >= 2 && record.within_limit, "{record:#?}");
        assert_eq!(record.attempts[0].downtime_ns, Some(0), "the guest was not stopped for it");
    });
}
