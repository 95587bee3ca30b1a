//! The command line as a user meets it: the real binary, its words, its exit codes.

use std::process::{Command, Output};

fn switchover(line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchover"));
    command.args(line.split_whitespace()).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    // Lines are wrapped where the terminal ends; the words are what counts.
    String::from_utf8_lossy(bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The line is refused with 2, nothing on stdout, and all of `says` in the message.
fn refused(line: &str, says: &[&str]) {
    let output = switchover(line);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{line}: {message}");
    assert!(output.stdout.is_empty(), "{line}: spoke on stdout");
    for words in says {
        assert!(message.contains(words), "{line}: no `{words}` in: {message}");
    }
}

#[test]
fn help_lists_the_commands_and_the_exit_codes() {
    let output = switchover("--help");
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for command in ["demo", "source", "destination", "observe", "status", "cancel"] {
        assert!(help.contains(&format!(" {command} ")), "{command}");
    }
    for code in ["0 committed", "1 an error", "2 the command line", "3 aborted", "4 in doubt", "5 lost"] {
        assert!(help.contains(code), "{code}");
    }
}

#[test]
fn each_command_that_runs_a_guest_explains_its_options_defaults_and_exit_codes() {
    const RUN: [&str; 11] = [
        "--heartbeat <udp:HOST:PORT>",
        "--record <FILE>",
        "--json",
        "--events <FILE>",
        "--journal <FILE>",
        "--control <PATH>",
        "--contracts <FILE>",
        "--drift <PPM>",
        "--verify",
        "--linger <TIME>",
        "--fault <FAULT>",
    ];
    const SOURCE: [&str; 12] = [
        "[default: 1GiB]",
        "[default: 64MiB]",
        "[default: 200MiB/s]",
        "--vcpus <N>",
        "[default: 300ms]",
        "[default: 10ms]",
        "--attempts <N>",
        "[default: 500ms]",
        "--blackout-budget <TIME>",
        "[default: 60s]",
        "--max-bandwidth <RATE>",
        "milliseconds, as in QEMU",
    ];
    for (command, own) in
        [("demo", &SOURCE[..]), ("source", &SOURCE[..]), ("destination", &["--listen <HOST:PORT>"][..])]
    {
        let output = switchover(&format!("{command} --help"));
        assert_eq!(output.status.code(), Some(0));
        let help = text(&output.stdout);
        for words in RUN.iter().chain(own).chain(&["--guest <KIND>", "4 in doubt", "stall:stop|save|link"]) {
            assert!(help.contains(words), "{command}: {words}");
        }
        assert!(!help.contains("report-fd"), "{command}: what is for the parent process only is not shown");
    }
}

#[test]
fn unknown_words_are_answered_with_known_ones() {
    refused("", &["Usage: switchover <COMMAND>", "demo"]);
    refused("dmeo", &["'dmeo'", "'demo'"]);
    refused("demo --downtime-limt 3", &["'--downtime-limt'", "'--downtime-limit'"]);
    refused("demo --guest xen", &["'xen'", "kvm"]);
    refused("demo extra", &["'extra'"]);
    refused("source", &["--connect <HOST:PORT>"]);
    refused("destination", &["--listen <HOST:PORT>"]);
    refused("observe", &["--listen <HOST:PORT>"]);
    refused("status", &["--control <PATH>"]);
    refused("cancel", &["--control <PATH>"]);
    refused("demo --json --json", &["cannot be used multiple times"]);
}

#[test]
fn limits_that_cannot_be_meant_are_refused() {
    refused(
        "demo --downtime-limit 0",
        &["--downtime-limit is zero", "`--downtime-limit 300ms`", "Usage: switchover demo"],
    );
    refused("demo --downtime-limit 2001s", &["--downtime-limit 2001s is longer than 2000s"]);
    refused("demo --switchover-limit 2000.1s", &["--switchover-limit 2000.1s is longer than 2000s"]);
    refused(
        "source --connect a:1 --downtime-limit 1999s --switchover-limit 2s",
        &["the sum of", "2001s", "2000s"],
    );
    refused("demo --downtime-limit 3parsec", &["`parsec`", "`300ms`", "milliseconds"]);
    refused("demo --downtime-limit -1", &["-1"]);
    refused("demo --blackout-budget 309ms", &["309ms", "hard limit of 310ms", "`--blackout-budget 310ms`"]);
    refused("demo --precopy-limit 0", &["--precopy-limit is zero", "`--precopy-limit 60s`"]);
    refused("demo --precopy-limit 25h", &["`h`"]);
    refused("demo --precopy-limit 86401s", &["86400s"]);
    refused("demo --backoff 3601s", &["--backoff 3601s", "3600s"]);
    refused("demo --attempts 0", &["--attempts", "1..=64"]);
    refused("demo --max-bandwidth 0", &["--max-bandwidth 0", "leave it out"]);
    refused("demo --max-bandwidth 5GB", &["`GB`", "`200MiB/s`"]);
    refused("demo --drift 100001", &["parts per million", "100000"]);
}

#[test]
fn guests_that_do_not_fit_are_refused() {
    refused(
        "demo --memory 1GiB --working-set 2GiB",
        &["--working-set 2GiB is larger than --memory 1GiB", "1020MiB"],
    );
    refused("demo --memory 64MiB --working-set 64MiB", &["`--working-set 60MiB`"]);
    refused("demo --memory 4097", &["--memory 4097B is not a whole number of pages", "`--memory 8KiB`"]);
    refused("demo --memory 0", &["above zero"]);
    refused("demo --memory 4KiB --working-set 0", &["--memory 4KiB does not hold", "`--memory 8MiB`"]);
    refused("demo --working-set 5000", &["--working-set 5000B", "`--working-set 8KiB`"]);
    refused("demo --working-set 0", &["`--working-set 8KiB`", "`--dirty-rate 0`"]);
    refused("demo --memory 511GiB", &["--memory 511GiB", "`--memory 510GiB`"]);
    refused("demo --memory 1GB", &["`GB`", "`64MiB`"]);
    refused("demo --dirty-rate 200", &["does not say per what", "`200MiB/s`"]);
    refused("demo --vcpus 0", &["--vcpus", "1..=4"]);
    refused("demo --vcpus 5", &["--vcpus", "1..=4"]);
}

#[test]
fn faults_and_addresses_that_cannot_be_meant_are_refused() {
    refused("demo --fault stall:sav:2s", &["fault `stall:sav:2s`", "did you mean `save`?"]);
    refused("demo --fault kill:source@load", &["the source never enters `load`", "rollback"]);
    refused("demo --fault drop:go --fault drop:go:once", &["`drop:go`", "`drop:go:once`", "same attempt"]);
    refused(
        "demo --fault corrupt:page#4",
        &["`corrupt:page#4` never strikes", "at most 3 attempts", "--attempts"],
    );
    refused("source --connect localhost", &["no port", "`127.0.0.1:7000`"]);
    refused("source --connect localhost:0", &["nobody listens at port 0"]);
    refused("destination --listen ::1:7000", &["`[::1]:7000`"]);
    refused("demo --heartbeat 127.0.0.1:7100", &["`udp:127.0.0.1:7100`"]);
    refused("observe --listen 127.0.0.1:0 --for soon", &["`soon`", "`300ms`"]);
    refused("demo --record f --events f", &["--record and --events are both `f`", "its own file"]);
    refused("demo --journal f --control f", &["--journal and --control are both `f`"]);
}
