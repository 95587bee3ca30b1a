//! Every row of the fault table, on real processes, under a witness.
//!
//! Each fault is injected into a `demo` of one attempt, so that nothing but its own outcome shows; what later attempts make
//! of it is tested at the end. The witness must see one runner in every row, and no gap above the hard limit but for
//! what this host's scheduling costs, unless the row says that the limit is broken.

use std::time::Duration;

use switchover_shell::record::{Offender, Outcome};
use switchover_shell::words::{Phase, Port, Side};
use switchover_tests::e2e::play::BUSY;
use switchover_tests::e2e::{Ended, Scratch, demo};
use switchover_tests::host::{all, alone, kvm_or_skip, seed};
use switchover_tests::machines::Dice;

/// Much longer than the hard limit of 310 ms: whatever waits for it to end, breaks the limit.
const STALL: &str = "2s";

/// Time for a guest to be seen after the last outcome.
const LINGER: &str = "300ms";

fn strike(faults: &[&str], args: &[&str]) -> Ended {
    println!("{} {}", faults.join(" with "), args.join(" "));
    let scratch = Scratch::new("faults");
    let mut all = [BUSY, &["--linger", LINGER], args].concat();
    for fault in faults {
        all.extend(["--fault", fault]);
    }
    let ended = demo(&scratch, &all);
    let told = faults.iter().all(|fault| ended.stderr.contains(fault));
    ended.expect(told, "the faults are printed");
    ended
}

/// One attempt.
fn once(faults: &[&str]) -> Ended {
    let ended = strike(faults, &["--attempts", "1"]);
    ended.expect(ended.record.attempts.len() <= 1, "one attempt");
    ended
}

/// The witness saw no gap above the hard limit, but for the allowance.
fn within_limit(ended: &Ended) {
    let limit = Duration::from_nanos(ended.record.hard_limit_ns);
    ended.expect(ended.seen.longest_gap() <= limit + ended.allowance, "no gap above the hard limit");
}

fn outcome(ended: &Ended, outcome: Outcome, exit: i32) {
    ended.expect(ended.record.outcome == outcome, &format!("the outcome is {outcome}"));
    ended.expect(ended.exit == exit, &format!("the exit code is {exit}"));
}

/// Aborted, and the guest is on the source, running, back in time.
fn aborted(ended: &Ended) {
    outcome(ended, Outcome::Aborted, 3);
    ended.expect(ended.seen.runner() == Some(Side::Source), "the source's guest beats");
    ended.expect(ended.seen.handovers.is_empty(), "nobody else ran it");
    ended.expect(ended.record.within_limit, "the record says that the limit was kept");
    ended.expect(ended.last().reason.is_some(), "there is a reason");
    ended.expect(ended.seen.silent() < Duration::from_millis(250), "it beats to the end");
    within_limit(ended);
}

fn offender(ended: &Ended, phase: Phase) {
    let blamed = ended.last().offender;
    ended.expect(
        blamed.is_some_and(|offender| offender.phase == phase),
        &format!("the offender's phase is {phase}"),
    );
}

fn guarded(test: &str, body: impl FnOnce()) {
    if kvm_or_skip(test) {
        let _alone = alone();
        body();
    }
}

#[test]
fn a_stall_before_go_is_aborted_in_time_and_named() {
    guarded("a_stall_before_go_is_aborted_in_time_and_named", || {
        for (place, phase) in [
            ("stop", Phase::Stop),
            ("save", Phase::Save),
            ("link", Phase::Transfer),
            ("load", Phase::Load),
            ("seal", Phase::Seal),
        ] {
            let fault = format!("stall:{place}:{STALL}");
            let ended = once(&[&fault]);
            aborted(&ended);
            offender(&ended, phase);
            ended.expect(ended.last().faults_injected == [fault], "the record names the fault");
        }
    });
}

#[test]
fn what_is_lost_or_corrupted_before_go_is_aborted() {
    guarded("what_is_lost_or_corrupted_before_go_is_aborted", || {
        for fault in ["drop:ready", "drop:go", "corrupt:page", "corrupt:device"] {
            aborted(&once(&[fault]));
        }
    });
}

/// In `make test` three of them, drawn; all otherwise.
fn some(phases: &[&'static str], dice: &mut Dice) -> Vec<&'static str> {
    let mut phases = phases.to_vec();
    while !all() && phases.len() > 3 {
        let left_out = dice.below(phases.len() as u64) as usize;
        phases.remove(left_out);
    }
    phases
}

#[test]
fn a_destination_that_dies_before_go_leaves_the_guest_on_the_source() {
    guarded("a_destination_that_dies_before_go_leaves_the_guest_on_the_source", || {
        let phases = ["hello", "precopy", "stop", "transfer", "load", "seal", "ready"];
        for phase in some(&phases, &mut Dice::new(seed())) {
            aborted(&once(&[&format!("kill:destination@{phase}")]));
        }
    });
}

#[test]
fn a_destination_that_dies_after_go_leaves_the_source_in_doubt() {
    guarded("a_destination_that_dies_after_go_leaves_the_source_in_doubt", || {
        for phase in ["go", "resume"] {
            let ended = once(&[&format!("kill:destination@{phase}")]);
            outcome(&ended, Outcome::InDoubt, 4);
            ended.expect(!ended.record.within_limit && ended.record.downtime_ns.is_none(), "no end is known");
            ended.expect(ended.seen.handovers.is_empty(), "it did not run there");
        }
    });
}

#[test]
fn an_answer_that_never_comes_leaves_the_source_in_doubt_while_the_guest_runs_there() {
    guarded("an_answer_that_never_comes_leaves_the_source_in_doubt_while_the_guest_runs_there", || {
        let ended = once(&["drop:running"]);
        outcome(&ended, Outcome::InDoubt, 4);
        ended.expect(ended.seen.runner() == Some(Side::Destination), "it runs there");
        within_limit(&ended);
    });
}

#[test]
fn a_source_that_dies_before_go_takes_its_guest_along() {
    guarded("a_source_that_dies_before_go_takes_its_guest_along", || {
        let phases = ["hello", "precopy", "stop", "save", "transfer", "seal", "ready"];
        for phase in some(&phases, &mut Dice::new(seed() ^ 1)) {
            let ended = once(&[&format!("kill:source@{phase}")]);
            if phase == "hello" {
                nowhere(&ended);
                ended.expect(ended.seen.beats() == 0, "the guest had not been started");
            } else {
                lost(&ended);
            }
        }
        lost(&once(&[&format!("stall:save:{STALL}"), "kill:source@rollback"]));
    });
}

fn nowhere(ended: &Ended) {
    outcome(ended, Outcome::Lost, 5);
    ended.expect(!ended.record.within_limit && ended.record.downtime_ns.is_none(), "it never runs again");
}

fn lost(ended: &Ended) {
    nowhere(ended);
    ended.expect(ended.seen.runner() == Some(Side::Source), "it ran nowhere else");
}

#[test]
fn a_source_that_dies_at_go_has_handed_its_guest_over() {
    guarded("a_source_that_dies_at_go_has_handed_its_guest_over", || {
        let ended = once(&["kill:source@go"]);
        outcome(&ended, Outcome::Committed, 0);
        ended.expect(ended.seen.runner() == Some(Side::Destination), "it runs there");
        within_limit(&ended);
    });
}

#[test]
fn a_stall_that_no_abort_can_end_is_told_and_named() {
    guarded("a_stall_that_no_abort_can_end_is_told_and_named", || {
        let ended = once(&[&format!("stall:resume:{STALL}")]);
        outcome(&ended, Outcome::Committed, 0);
        ended.expect(!ended.record.within_limit, "the limit was broken");
        let expected = Offender { side: Side::Destination, port: Port::Vcpus, phase: Phase::Resume };
        ended.expect(ended.last().offender == Some(expected), "the offender is destination/vcpus/resume");
        ended.expect(ended.seen.longest_gap() >= Duration::from_secs(2), "the guest felt it");

        let ended = once(&[&format!("stall:save:{STALL}"), &format!("stall:rollback:{STALL}")]);
        outcome(&ended, Outcome::Aborted, 3);
        ended.expect(!ended.record.within_limit, "the limit was broken");
        ended.expect(ended.seen.runner() == Some(Side::Source), "it runs on the source");
        ended.expect(ended.seen.longest_gap() >= Duration::from_secs(2), "the guest felt it");
        ended.expect(ended.record.downtime_ns >= Some(2_000_000_000), "and the record says so");
    });
}

#[test]
fn a_message_lost_once_is_said_again() {
    guarded("a_message_lost_once_is_said_again", || {
        for fault in ["drop:ready:once", "drop:go:once", "drop:running:once"] {
            let ended = once(&[fault]);
            within_limit(&ended);
            ended.expect(ended.record.within_limit, "within the limit");
            // The lease is as short as the measured delays allow: it may end before the second copy comes, and then the
            // destination refuses. An answer is asked for until it comes.
            if ended.record.outcome == Outcome::Aborted && fault != "drop:running:once" {
                aborted(&ended);
                ended.expect(
                    ended.last().reason.as_deref() == Some("refused_lease_ended"),
                    "the lease had ended",
                );
            } else {
                outcome(&ended, Outcome::Committed, 0);
            }
        }
    });
}

#[test]
fn later_attempts_commit_and_faults_strike_the_attempt_they_name() {
    guarded("later_attempts_commit_and_faults_strike_the_attempt_they_name", || {
        let quick = ["--backoff", "100ms"];
        let outcomes =
            |ended: &Ended| ended.record.attempts.iter().map(|attempt| attempt.outcome).collect::<Vec<_>>();
        use Outcome::{Aborted, Committed};

        let ended = strike(&[&format!("stall:save:{STALL}"), "corrupt:page#2"], &quick);
        outcome(&ended, Committed, 0);
        ended.expect(outcomes(&ended) == [Aborted, Aborted, Committed], "the third commits");
        let injected = |index: usize| ended.record.attempts[index].faults_injected.join(" ");
        let named = [injected(0), injected(1), injected(2)];
        ended.expect(
            named == [format!("stall:save:{STALL}"), "corrupt:page#2".into(), String::new()],
            "each its own",
        );
        ended.expect(ended.record.within_limit, "no blackout was too long");
        within_limit(&ended);

        let ended = strike(&["drop:ready#all"], &[&quick[..], &["--attempts", "2"]].concat());
        aborted(&ended);
        ended.expect(outcomes(&ended) == [Aborted, Aborted], "both");

        let ended = strike(&["kill:source@go#2"], &[&quick[..], &["--attempts", "2"]].concat());
        outcome(&ended, Committed, 0);
        ended.expect(outcomes(&ended).len() == 1, "the first commits: the second never comes");
    });
}
