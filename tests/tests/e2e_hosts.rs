//! A source and a destination as two commands: how they end, what signals mean, and who else may knock.

use std::time::Duration;

use switchover_shell::control_socket::Status;
use switchover_shell::record::Outcome;
use switchover_shell::words::Side;
use switchover_tests::e2e::play::{BUSY, LONG, destination, read_record, source};
use switchover_tests::e2e::{Pair, Process, Scratch, Watch};
use switchover_tests::host::{alone, kvm_or_skip};

/// A guest whose pre-copy goes on for half a minute, or until somebody ends it: 64 MiB at 2 MiB/s.
const ENDLESS: &[&str] =
    &["--memory", "256MiB", "--working-set", "64MiB", "--dirty-rate", "64MiB/s", "--max-bandwidth", "2MiB/s"];

/// Within which something that is about to happen has happened. It is for hosts under load, and measures nothing.
const SOON: Duration = Duration::from_secs(20);

fn guarded(test: &str, body: impl FnOnce(&Scratch)) {
    if kvm_or_skip(test) {
        let _alone = alone();
        body(&Scratch::new("hosts"));
    }
}

/// The guest beats on that side, now and for a while.
fn beats_on(watch: &Watch, side: Side) {
    let before = watch.seen().beats();
    let seen = watch.until(&format!("the guest beats on the {side}"), SOON, |seen| {
        seen.runner() == Some(side) && seen.beats() > before + 500
    });
    seen.assert_one_runner();
}

/// In pre-copy: the guest beats, and the destination has let it in.
fn in_precopy(pair: &mut Pair) {
    pair.source.says("round ", SOON);
    beats_on(&pair.watch, Side::Source);
}

#[test]
fn sigint_before_go_cancels_and_the_guest_goes_on_until_a_second_one() {
    guarded("sigint_before_go_cancels_and_the_guest_goes_on_until_a_second_one", |scratch| {
        let mut pair = Pair::start(scratch, ENDLESS, &[]);
        in_precopy(&mut pair);
        pair.source.signal("INT");
        pair.source.says("cancelling; the guest stays here", SOON);
        pair.source.says("aborted: cancelled", SOON);
        beats_on(&pair.watch, Side::Source);
        assert!(pair.source.runs() && pair.destination.runs(), "nobody has gone");
        pair.source.signal("INT");
        let (ended, _, there) = pair.end(scratch);
        assert_eq!((ended.exit, ended.last().reason.as_deref()), (3, Some("cancelled")));
        assert_eq!((ended.record.downtime_ns, there), (Some(0), 3), "it was never stopped, and never came");
    });
}

#[test]
fn sigterm_after_an_abort_ends_with_3_and_the_destination_waits_for_another_source() {
    guarded("sigterm_after_an_abort_ends_with_3_and_the_destination_waits_for_another_source", |scratch| {
        let (watch, other_watch) = (Watch::start(), Watch::start());
        let fault = ["--fault", "drop:ready"];
        let (mut there, address) = destination(scratch, &watch.target(), &fault);
        let args = [BUSY, &fault, &["--attempts", "1"]].concat();
        let mut first = source(scratch, &address, &watch.target(), &args);
        first.says("aborted:", SOON);
        beats_on(&watch, Side::Source);
        assert!(first.runs(), "it stays with its guest");
        first.signal("TERM");
        assert_eq!(first.exit(SOON), 3);
        assert_eq!(read_record(&scratch.file("source.json")).outcome, Outcome::Aborted);
        assert!(there.runs(), "the destination waits");

        let here = Scratch::new("hosts-second");
        let mut second = source(&here, &address, &other_watch.target(), BUSY);
        assert_eq!(second.exit(LONG), 0, "{}\n-- destination:\n{}", second.stderr(), there.stderr());
        other_watch.seen();
        there.says("the guest runs here", SOON);
        there.signal("TERM");
        assert_eq!(there.exit(SOON), 0);
    });
}

#[test]
fn sigterm_before_go_cancels_and_ends_with_3() {
    guarded("sigterm_before_go_cancels_and_ends_with_3", |scratch| {
        let mut pair = Pair::start(scratch, ENDLESS, &[]);
        in_precopy(&mut pair);
        pair.source.signal("TERM");
        let (ended, _, _) = pair.end(scratch);
        assert_eq!((ended.exit, ended.record.outcome), (3, Outcome::Aborted));
    });
}

#[test]
fn in_doubt_only_a_second_sigint_soon_after_the_first_ends_the_source() {
    guarded("in_doubt_only_a_second_sigint_soon_after_the_first_ends_the_source", |scratch| {
        let fault = ["--fault", "drop:running"];
        let mut pair = Pair::start(scratch, &[BUSY, &fault].concat(), &fault);
        pair.source.says("in doubt: Go was sent and not answered", SOON);
        beats_on(&pair.watch, Side::Destination);
        pair.source.signal("INT");
        let said = pair.source.says("may run on the destination", SOON);
        assert!(said.contains("do not start it anywhere else") && said.contains("Safe is"), "{said}");
        // More than 5 s later it is a first one again.
        std::thread::sleep(Duration::from_millis(5_500));
        pair.source.signal("INT");
        std::thread::sleep(Duration::from_millis(500));
        assert!(pair.source.runs(), "it does not end:\n{}", pair.source.stderr());
        assert_eq!(pair.source.stderr().matches("do not start it anywhere else").count(), 2);
        pair.source.signal("INT");
        let (ended, there, exit) = pair.end(scratch);
        assert_eq!((ended.exit, ended.record.outcome), (4, Outcome::InDoubt));
        assert_eq!((exit, there.outcome), (0, Outcome::Committed), "the destination knows");
        ended.expect(ended.seen.runner() == Some(Side::Destination), "and runs it");
    });
}

#[test]
fn the_destination_stays_with_its_guest_when_the_source_has_gone() {
    guarded("the_destination_stays_with_its_guest_when_the_source_has_gone", |scratch| {
        let mut pair = Pair::start(scratch, BUSY, &[]);
        assert_eq!(pair.source.exit(LONG), 0, "it ends once it has let go, without --linger");
        std::thread::sleep(Duration::from_millis(1_500));
        beats_on(&pair.watch, Side::Destination);
        let (ended, _, exit) = pair.end(scratch);
        assert_eq!(exit, 0);
        ended.expect(ended.seen.handovers.len() == 2, "one handover of both vCPUs");
    });
}

#[test]
fn a_second_source_is_told_that_the_destination_is_busy_and_the_first_goes_on() {
    guarded("a_second_source_is_told_that_the_destination_is_busy_and_the_first_goes_on", |scratch| {
        // Slow enough for a second one to come, and to be committed afterwards all the same.
        let slow = ["--max-bandwidth", "8MiB/s"];
        let watch = Watch::start();
        let (mut there, address) = destination(scratch, &watch.target(), &[]);
        let guest = [
            "--memory",
            "256MiB",
            "--working-set",
            "32MiB",
            "--dirty-rate",
            "32MiB/s",
            "--downtime-limit",
            "1s",
        ];
        let mut first = source(scratch, &address, &watch.target(), &[&guest[..], &slow].concat());
        watch.until("the first guest runs", SOON, |seen| seen.beats() > 0);

        let here = Scratch::new("hosts-busy");
        let second_watch = Watch::start();
        let mut second = source(&here, &address, &second_watch.target(), BUSY);
        assert_eq!(second.exit(SOON), 1, "{}", second.stderr());
        let said = second.stderr();
        assert!(said.contains("refused") && said.contains("serv"), "no reason: {said}");
        assert!(second_watch.seen().beats() == 0, "its guest never started");
        println!("second: {}", said.lines().last().unwrap_or_default());

        assert_eq!(first.exit(LONG), 0, "{}\n-- destination:\n{}", first.stderr(), there.stderr());
        beats_on(&watch, Side::Destination);
        there.signal("TERM");
        assert_eq!(there.exit(SOON), 0);
        let record = read_record(&scratch.file("source.json"));
        assert_eq!(record.attempts.len(), 1, "the first was not disturbed: {record:#?}");
    });
}

#[test]
fn a_destination_that_is_restarted_between_attempts_gets_the_guest_in_a_later_one() {
    guarded("a_destination_that_is_restarted_between_attempts_gets_the_guest_in_a_later_one", |scratch| {
        let fault = ["--fault", "drop:ready"];
        let watch = Watch::start();
        let (there, address) = destination(scratch, &watch.target(), &fault);
        let args = [BUSY, &fault, &["--attempts", "5", "--backoff", "1500ms"]].concat();
        let mut here = source(scratch, &address, &watch.target(), &args);
        here.says("aborted:", SOON);
        there.signal("KILL");
        drop(there);
        let journal = scratch.arg("destination.journal");
        let again =
            ["destination", "--listen", &address, "--journal", &journal, "--heartbeat", &watch.target()];
        let mut there = Process::start(scratch, "destination-again", &again);
        there.says("listening on ", SOON);
        assert_eq!(here.exit(LONG), 0, "{}\n-- destination:\n{}", here.stderr(), there.stderr());
        beats_on(&watch, Side::Destination);
        there.signal("TERM");
        assert_eq!(there.exit(SOON), 0);
        let record = read_record(&scratch.file("source.json"));
        println!("{} attempts", record.attempts.len());
        assert!(record.attempts.len() >= 2 && record.within_limit, "{record:#?}");
    });
}

#[test]
fn status_and_cancel_talk_to_both_sides() {
    guarded("status_and_cancel_talk_to_both_sides", |scratch| {
        let (here, there) = (scratch.arg("source.control"), scratch.arg("destination.control"));
        let mut pair =
            Pair::start(scratch, &[ENDLESS, &["--control", &here]].concat(), &["--control", &there]);
        in_precopy(&mut pair);
        let ask = |args: &[&str]| {
            let mut asked = Process::start(scratch, "asked", args);
            let exit = asked.exit(SOON);
            assert_eq!(exit, 0, "{args:?}: {}", asked.stderr());
            asked.stdout()
        };
        for (path, side, standing) in
            [(&here, Side::Source, "migrating"), (&there, Side::Destination, "loading")]
        {
            let said = ask(&["status", "--control", path, "--json"]);
            let status: Status =
                serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
            assert_eq!((status.side, status.standing.as_str()), (side, standing), "{said}");
            print!("{}", ask(&["status", "--control", path]));
        }
        let said = ask(&["cancel", "--control", &here]);
        assert!(said.contains("guest"), "where the guest is, is said: {said}");
        print!("{said}");
        pair.source.says("aborted: cancelled", SOON);
        beats_on(&pair.watch, Side::Source);
        pair.source.signal("TERM");
        let (ended, _, _) = pair.end(scratch);
        assert_eq!((ended.exit, ended.last().reason.as_deref()), (3, Some("cancelled")));
    });
}
