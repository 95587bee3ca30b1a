//! Switchovers of a busy guest, one after the other, under a witness: the project's main promise on real processes.
//!
//! Each is a source and a destination of their own and a guest of two vCPUs that writes and checks all the time. Half of
//! them compare all memory and state on both sides while the guest stands still. The other half keeps the default limits,
//! so that the record can be held against what the witness saw.

use std::time::Duration;

use switchover_shell::record::{Outcome, RunRecord};
use switchover_shell::units::short_duration;
use switchover_shell::words::{Phase, Port, Side};
use switchover_tests::e2e::{Ended, Pair, Scratch};
use switchover_tests::host::{all, alone, cases, kvm_or_skip, seed};
use switchover_tests::machines::Dice;

/// Of `make test`; all of `make test-all`.
const SAMPLE: u32 = 10;
const ALL: u32 = 100;

/// Hashing all memory in an unoptimised moment of a busy host must not decide a test about something else.
const VERIFY_LIMIT: &str = "5s";

#[test]
fn a_busy_guest_is_switched_over_again_and_again() {
    let test = "a_busy_guest_is_switched_over_again_and_again";
    if !kvm_or_skip(test) {
        return;
    }
    let _alone = alone();
    let mut dice = Dice::new(seed());
    println!("seed {}, {} switchovers{}", seed(), cases(SAMPLE, ALL), if all() { "" } else { " (a sample)" });
    let mut downtimes = Vec::new();
    for number in 0..cases(SAMPLE, ALL) {
        let verify = number % 2 == 0;
        let memory = format!("{}MiB", 128 + 64 * dice.below(4));
        let working_set = format!("{}MiB", 1 + dice.below(48));
        let rate = match dice.below(8) {
            0 => "max".to_string(),
            mib => format!("{}MiB/s", 20 * mib),
        };
        let guest =
            ["--memory", &memory, "--working-set", &working_set, "--dirty-rate", &rate, "--vcpus", "2"];
        // An abort must end the run too, to be told.
        let mut args = [&guest[..], &["--linger", "500ms"]].concat();
        if verify {
            args.extend(["--verify", "--downtime-limit", VERIFY_LIMIT]);
        }
        println!("{number}: {}", args.join(" "));
        let scratch = Scratch::new("switchovers");
        let (ended, there, exit) = Pair::start(&scratch, &args, &[]).end(&scratch);
        check(&ended, &there, exit, verify);
        if !verify {
            downtimes.push(Duration::from_nanos(ended.record.downtime_ns.unwrap_or(u64::MAX)));
        }
    }
    downtimes.sort();
    if let (Some(median), Some(longest)) = (downtimes.get(downtimes.len() / 2), downtimes.last()) {
        let (median, longest) = (short_duration(*median), short_duration(*longest));
        println!("downtime without --verify: median {median}, longest {longest}");
    }
}

/// One switchover: committed, exact, and as the witness saw it.
fn check(ended: &Ended, there: &RunRecord, exit: i32, verify: bool) {
    let record = &ended.record;
    ended.expect(record.outcome == Outcome::Committed, "committed");
    ended.expect((exit, there.outcome) == (0, Outcome::Committed), "the destination says the same");
    let rounds = |record: &RunRecord| record.attempts.last().map(|attempt| attempt.rounds);
    ended.expect(rounds(there) == rounds(record) && rounds(there) > Some(0), "and counts the same rounds");
    ended.expect(there.self_check_failures == Some(0), "the guest's self-check is clean where it runs");
    if verify {
        ended.expect(ended.last().verified == Some(true), "all memory and state was compared and is equal");
        ended.expect(there.attempts.last().is_some_and(|last| last.verified == Some(true)), "there too");
    } else {
        ended.expect(ended.last().verified.is_none(), "nothing was compared");
    }

    // The witness: both vCPUs went over once, and no count is missing where none was lost.
    let guest = ended.seen.guest();
    ended.expect(guest.runner == Side::Destination && guest.vcpus.len() == 2, "both vCPUs beat there");
    ended.expect(guest.vcpus.iter().all(|vcpu| vcpu.changes == 1), "each changed its runner once");
    ended.expect(ended.seen.handovers.len() == 2, "two handovers");

    ended.expect(
        record.within_limit == (record.downtime_ns <= Some(record.hard_limit_ns)),
        "the limit is judged",
    );
    if !verify {
        as_witnessed(ended);
    }
}

/// The record against the witness.
fn as_witnessed(ended: &Ended) {
    let record = &ended.record;
    // What the guest felt is at most what the record says, which is an upper bound, but for the beats at either end.
    let downtime = Duration::from_nanos(record.downtime_ns.unwrap_or(0));
    let longest = ended.seen.handovers.iter().copied().max().unwrap_or_default();
    ended.expect(longest <= downtime + ended.allowance, "the guest was not silent for longer than recorded");
    // And it is not invented: less the answer's way, and less the time until the vCPUs had stopped after t = 0, the
    // guest was silent for all of it.
    let estimate = record
        .downtime_estimate_ns
        .unwrap_or(0)
        .saturating_sub(record.downtime_estimate_error_ns.unwrap_or(0));
    let stop = ended.last().phases.iter().find(|row| (row.port, row.phase) == (Port::Vcpus, Phase::Stop));
    let stopping = stop.and_then(|row| row.measured_ns).unwrap_or(0);
    let least = Duration::from_nanos(estimate.saturating_sub(stopping));
    ended.expect(least <= longest + ended.allowance, "the recorded downtime is one that the guest felt");
}
