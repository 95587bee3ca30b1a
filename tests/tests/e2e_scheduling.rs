//! The scheduling class of the threads that move memory, as the kernel tells it: ordinary while the guest runs and is
//! copied, since it must not wait for its processor behind its own copy; real-time while it stands still.

use std::fs;
use std::time::{Duration, Instant};

use switchover_tests::e2e::{Pair, Process, Scratch};
use switchover_tests::host::{alone, kvm_or_skip, skip};

const TEST: &str = "threads_that_move_memory_are_real_time_only_while_the_guest_stands_still";
const SOON: Duration = Duration::from_secs(20);

/// `SCHED_OTHER` and `SCHED_FIFO` as `/proc` has them.
const ORDINARY: u64 = 0;
const REAL_TIME: u64 = 1;

/// The class of that thread of a process, while there is one.
fn class(process: &Process, thread: &str) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).ok()?;
    let stat = tasks.flatten().find_map(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        stat.contains(&format!("({thread})")).then_some(stat)
    })?;
    // After the name, which may have anything in it: field 3 is the first, field 41 the class.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(41 - 3)?.parse().ok()
}

fn classes(pair: &Pair) -> [Option<u64>; 2] {
    [class(&pair.source, "bulk-send"), class(&pair.destination, "bulk-receive")]
}

#[test]
fn threads_that_move_memory_are_real_time_only_while_the_guest_stands_still() {
    if !kvm_or_skip(TEST) {
        return;
    }
    let _alone = alone();
    let scratch = Scratch::new("scheduling");
    // Some seconds of pre-copy, and then a blackout of nearly the whole limit.
    let guest = ["--memory", "256MiB", "--working-set", "16MiB", "--dirty-rate", "50MiB/s", "--vcpus", "2"];
    let long = ["--max-bandwidth", "8MiB/s", "--fault", "stall:save:2s", "--attempts", "1", "--linger", "1s"];
    let mut pair = Pair::start(&scratch, &[guest, long].concat(), &[]);
    pair.source.says("round ", SOON);
    if class(&pair.destination, "switchover-rt") != Some(REAL_TIME) {
        return skip(TEST, "real time", "SCHED_FIFO is not permitted here");
    }
    assert_eq!(classes(&pair), [Some(ORDINARY); 2], "in pre-copy");
    let begun = Instant::now();
    let stopped = loop {
        let (before, classes) = (pair.watch.seen().silent(), classes(&pair));
        // Silent before and after: what was read in between was read in the blackout.
        if before > Duration::from_millis(60) && pair.watch.seen().silent() > before {
            break classes;
        }
        assert!(begun.elapsed() < SOON && pair.source.runs(), "no blackout\n{}", pair.source.stderr());
    };
    assert_eq!(stopped, [Some(REAL_TIME); 2], "in the blackout");
    let (ended, _, _) = pair.end(&scratch);
    ended.expect(ended.exit == 3, "aborted, as it was to be");
}
