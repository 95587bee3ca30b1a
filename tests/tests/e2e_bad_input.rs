//! A host that cannot, and places that cannot be used: a clear error that names the remedy, exit 1, before any guest starts.
//!
//! What the command line alone can tell is tested in `shell/tests/cli.rs`; what a peer can do wrong, in `e2e_peers.rs`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use switchover_tests::e2e::play::destination;
use switchover_tests::e2e::{Process, Scratch, Watch};
use switchover_tests::host::{kvm_or_skip, skip, switchover_bin};

/// An error is found at once; this is for hosts under load.
const SOON: Duration = Duration::from_secs(20);

/// The command ends with 1, says all of `remedy`, and nothing on standard output.
fn fails(what: &str, mut process: Process, remedy: &[&str]) {
    let exit = process.exit(SOON);
    let said = process.stderr();
    println!("{what}: {}", said.lines().rfind(|line| line.contains("error")).unwrap_or_default());
    assert_eq!(exit, 1, "{what}: {said}");
    assert!(process.stdout().is_empty(), "{what}: spoke on stdout: {}", process.stdout());
    for words in remedy {
        assert!(said.contains(words), "{what}: no `{words}` in: {said}");
    }
}

fn run(scratch: &Scratch, line: &str) -> Process {
    Process::start(scratch, "bad", &line.split_whitespace().collect::<Vec<_>>())
}

/// The three that run a guest. Nobody listens where the source connects to: what is wrong here is found before that.
const ALL: [&str; 3] = ["demo", "destination --listen 127.0.0.1:0", "source --connect 127.0.0.1:1"];

/// Runs a line of shell in a mount namespace of its own; `None`, said aloud, where that is not permitted.
fn elsewhere(test: &str, scratch: &Scratch, script: &str) -> Option<Process> {
    let mut probe = Command::new("unshare");
    probe.args(["-m", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        skip(test, "namespaces", "a mount namespace is not permitted here");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-e", "-c", script]);
    Some(Process::start_command(scratch, "elsewhere", command))
}

#[test]
fn a_host_without_kvm_is_told_what_to_do() {
    let test = "a_host_without_kvm_is_told_what_to_do";
    let scratch = Scratch::new("bad-kvm");
    // In the namespace alone: `/dev` has no KVM, or something else by that name.
    for command in ALL {
        let line = format!("{} {command} --journal {}", switchover_bin().display(), scratch.arg("journal"));
        let empty = format!("mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; exec {line}");
        let Some(process) = elsewhere(test, &scratch, &empty) else { return };
        fails("no /dev/kvm", process, &["/dev/kvm is absent", "load the kvm_intel or kvm_amd module"]);
        let other =
            format!("mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; touch /dev/kvm; exec {line}");
        let Some(process) = elsewhere(test, &scratch, &other) else { return };
        fails("a file by that name", process, &["KVM"]);
    }
}

#[test]
fn a_user_who_may_not_use_kvm_is_told_what_to_do() {
    let test = "a_user_who_may_not_use_kvm_is_told_what_to_do";
    let scratch = Scratch::new("bad-user");
    // The command where any user can run it, a device that nobody but root may open, and somebody else.
    let bin = scratch.file("switchover");
    fs::copy(switchover_bin(), &bin).expect("copied");
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).expect("permissions");
    let script = format!(
        "mount -t tmpfs -o mode=755 none /dev; mknod -m 666 /dev/null c 1 3; mknod -m 600 /dev/kvm c 10 232; \
         exec setpriv --reuid 65534 --regid 65534 --clear-groups {} demo --journal {}",
        bin.display(),
        scratch.arg("journal")
    );
    let able = "setpriv --reuid 65534 --regid 65534 --clear-groups true";
    if !Command::new("sh")
        .args(["-c", able])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
    {
        return skip(test, "namespaces", "only root can run something as another user");
    }
    let Some(process) = elsewhere(test, &scratch, &script) else { return };
    fails("not permitted", process, &["/dev/kvm is not permitted", "run as a member of its group"]);
}

#[test]
fn places_that_cannot_be_used_are_found_before_anything_starts() {
    if !kvm_or_skip("places_that_cannot_be_used_are_found_before_anything_starts") {
        return;
    }
    let scratch = Scratch::new("bad-place");
    // Beneath a file there is no directory, for root neither.
    let file = scratch.arg("a-file");
    fs::write(&file, "not a journal").expect("written");
    for command in ALL {
        let with = |rest: &str| run(&scratch, &format!("{command} {rest}"));
        let journal = format!("--journal {}", scratch.arg("journal"));
        fails("journal beneath a file", with(&format!("--journal {file}/j")), &["a-file", "--journal"]);
        fails(
            "a file that is no journal",
            with(&format!("--journal {file}")),
            &["is not a journal", "--journal"],
        );
        fails(
            "record beneath a file",
            with(&format!("{journal} --record {file}/r")),
            &["cannot write to", "give a file in a directory"],
        );
        fails(
            "a record that is a directory",
            with(&format!("{journal} --record {}", scratch.path().display())),
            &["cannot write to", "give a file in a directory"],
        );
        fails(
            "events beneath a file",
            with(&format!("{journal} --events {file}/e")),
            &["cannot write to", "give a file in a directory"],
        );
        if !command.starts_with("source") {
            // A source has somebody to call before it serves anybody.
            fails(
                "a control socket beneath a file",
                with(&format!("{journal} --control {file}/c")),
                &["a-file/c"],
            );
        }
        fails(
            "a witness that cannot be found",
            with(&format!("{journal} --heartbeat udp:no-such-host.invalid:7")),
            &["no-such-host.invalid", "no such host", "name or address that resolves"],
        );
    }
    assert_eq!(fs::read(&file).expect("there"), b"not a journal", "it is left alone");
}

#[test]
fn a_journal_serves_one_process() {
    if !kvm_or_skip("a_journal_serves_one_process") {
        return;
    }
    let scratch = Scratch::new("bad-journal");
    let watch = Watch::start();
    let (_there, _) = destination(&scratch, &watch.target(), &[]);
    let taken = format!("--journal {}", scratch.arg("destination.journal"));
    for command in ALL {
        let said = ["in use", "one journal serves one agent", "--journal"];
        fails("a journal in use", run(&scratch, &format!("{command} {taken}")), &said);
    }
}

#[test]
fn an_address_that_cannot_be_listened_on_is_named() {
    if !kvm_or_skip("an_address_that_cannot_be_listened_on_is_named") {
        return;
    }
    let scratch = Scratch::new("bad-address");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let holder = TcpListener::bind(taken).expect("the same one");
    let journal = format!("--journal {}", scratch.arg("journal"));
    for (what, address) in [("taken", taken.to_string()), ("not of this host", "192.0.2.1:7000".into())] {
        let process = run(&scratch, &format!("destination --listen {address} {journal}"));
        fails(what, process, &["cannot listen on", &address, "is it an address of this host"]);
    }
    drop(holder);
}

#[test]
fn a_guest_that_this_host_has_no_memory_for_is_refused() {
    if !kvm_or_skip("a_guest_that_this_host_has_no_memory_for_is_refused") {
        return;
    }
    let scratch = Scratch::new("bad-memory");
    let address = format!("--connect 127.0.0.1:1 --journal {}", scratch.arg("journal"));
    fails("too large", run(&scratch, &format!("source {address} --memory 510GiB")), &["less memory"]);
}
