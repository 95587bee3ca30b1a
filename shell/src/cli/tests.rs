//! What a command line means, and what is refused.

use std::time::Duration;

use super::*;
use crate::units::{Bytes, Rate};

fn parse_line(line: &str) -> Result<Options, clap::Error> {
    parse(std::iter::once("switchover").chain(line.split_whitespace()))
}

fn demo(line: &str) -> DemoOptions {
    match parse_line(&format!("demo {line}")) {
        Ok(Options::Demo(options)) => options,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_command_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn the_defaults_are_the_published_ones() {
    let DemoOptions { guest, limits, retry, run } = demo("");
    assert_eq!((guest.kind, guest.vcpus), (None, 2));
    assert_eq!((guest.memory, guest.working_set), (Bytes(1 << 30), Bytes(64 << 20)));
    assert_eq!(guest.dirty_rate, Rate::BytesPerSecond(200 << 20));
    assert_eq!(limits.downtime_limit, Duration::from_millis(300));
    assert_eq!(limits.switchover_limit, Duration::from_millis(10));
    assert_eq!((retry.attempts, retry.backoff), (3, Duration::from_millis(500)));
    assert_eq!(retry.blackout_budget, Duration::from_millis(930));
    assert_eq!((retry.precopy_limit, retry.max_bandwidth), (Duration::from_secs(60), None));
    assert_eq!((run.linger, run.drift_ppm), (Linger::For(Duration::from_secs(1)), 500));
    for line in ["source --connect a:1", "destination --listen a:0"] {
        match parse_line(line) {
            Ok(
                Options::Source(SourceOptions { run, .. })
                | Options::Destination(DestinationOptions { run, .. }),
            ) => {
                assert_eq!(run.linger, Linger::Forever);
            }
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn what_is_given_is_what_is_meant() {
    let options = demo(
        "--guest kvm --memory 4GiB --working-set 1GiB --dirty-rate max --vcpus 4 --downtime-limit 100 --switchover-limit 0 \
         --attempts 1 --backoff 10us --blackout-budget 100ms --precopy-limit 2s --max-bandwidth 1GiB/s --drift 50 \
         --heartbeat udp:127.0.0.1:7100 --fault stall:save:2s --fault drop:go --linger forever --verify --json",
    );
    assert_eq!(options.guest.dirty_rate, Rate::Max);
    assert_eq!(options.limits.hard_limit(), Duration::from_millis(100));
    assert_eq!(options.retry.blackout_budget, options.limits.hard_limit());
    assert_eq!(options.retry.max_bandwidth, Some(1 << 30));
    assert_eq!((options.run.drift_ppm, options.run.linger), (50, Linger::Forever));
    assert!(options.run.verify && options.run.json);
    assert_eq!(options.run.faults.iter().count(), 2);
    assert_eq!(demo("--dirty-rate 0 --working-set 0").guest.working_set, Bytes(0));
    assert_eq!(demo("--max-bandwidth max").retry.max_bandwidth, None);
}

#[test]
fn the_limits_are_judged_at_their_edges() {
    assert_eq!(
        demo("--downtime-limit 1ns --switchover-limit 0").limits.hard_limit(),
        Duration::from_nanos(1)
    );
    assert_eq!(demo("--downtime-limit 1999990ms").limits.hard_limit(), MOST_LIMIT);
    for refused in [
        "--downtime-limit 0",
        "--downtime-limit 1999990000001ns",
        "--downtime-limit 2001s",
        "--switchover-limit 2001s",
        "--blackout-budget 309999999ns",
        "--working-set 1020.004MiB",
        "--working-set 1044484KiB",
    ] {
        assert!(parse_line(&format!("demo {refused}")).is_err(), "{refused}");
    }
    assert_eq!(demo("--blackout-budget 310ms").retry.blackout_budget, Duration::from_millis(310));
    assert_eq!(demo("--working-set 1020MiB").guest.working_set, Bytes(1020 << 20));
}

#[test]
fn a_child_of_demo_reads_from_its_arguments_what_the_parent_meant() {
    let lines = [
        "",
        "--guest kvm --memory 2GiB --working-set 8KiB --dirty-rate 1B/s --vcpus 1 --downtime-limit 1.5ms --max-bandwidth 7B/s \
         --attempts 9 --journal j --control c --events e --contracts t --record r --heartbeat udp:[::1]:9 --json --verify \
         --fault stall:save:2s#2 --fault drop:running:once#all --linger forever --drift 0",
    ];
    for demo in lines.map(demo) {
        let address = HostPort { host: "127.0.0.1".into(), port: 7000 };
        let with_name =
            |args: Vec<_>| std::iter::once(OsString::from("switchover")).chain(args).collect::<Vec<_>>();
        let source = demo.source(address.clone(), 3);
        assert_eq!(parse(with_name(source.to_args())).expect("read back"), Options::Source(source.clone()));
        let destination = demo.destination(address, 4);
        assert_eq!(
            parse(with_name(destination.to_args())).expect("read back"),
            Options::Destination(destination.clone())
        );
        // The parent alone writes the record, and no two processes write one file.
        assert_eq!((&source.run.record, source.run.json), (&None, false));
        assert!(source.run.journal.is_none() || source.run.journal != destination.run.journal);
        assert!(source.run.control.is_none() || source.run.control != destination.run.control);
        assert_eq!(source.run.control, demo.run.control);
        assert_eq!((source.run.report_fd, destination.run.report_fd), (Some(3), Some(4)));
    }
}

#[test]
fn the_other_commands_are_understood() {
    let expected = ObserveOptions {
        listen: HostPort { host: "127.0.0.1".into(), port: 0 },
        watch_for: Some(Duration::from_secs(2)),
        json: true,
    };
    let observe = parse_line("observe --listen udp:127.0.0.1:0 --for 2s --json").expect("observe");
    assert_eq!(observe, Options::Observe(expected));
    let status = StatusOptions { control: "c".into(), json: false };
    assert_eq!(parse_line("status --control c").expect("status"), Options::Status(status));
    assert_eq!(
        parse_line("cancel --control c").expect("cancel"),
        Options::Cancel(CancelOptions { control: "c".into() })
    );
}
