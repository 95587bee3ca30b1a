//! Of the destination.

use switchover_core::digest::Digest;
use switchover_core::event::Outcome::{Done, Failed, FailedRunning, More};
use switchover_core::event::{DestinationEvent, Owner};
use switchover_core::id::{AttemptId, Incarnation, JournalId};
use switchover_core::journal::{DestinationGuest, DestinationJournal, RecordKind};
use switchover_core::port::{Op, Port};
use switchover_core::time::Ns;
use switchover_core::wire::message::{Envelope, Hello, Seal, ToDestination};
use switchover_tests::machines::build::{DESTINATION, FIRST, GUEST};
use switchover_tests::machines::lone::{LoneDestination, START, attempt, envelope, hello, seal};
use switchover_tests::machines::{TestDestination, destination_config, ms};

use super::SHAPE;

const V: Port = Port::Vcpus(0);
const D: Port = Port::Device(0);

fn after(mut d: LoneDestination, events: &[DestinationEvent]) -> LoneDestination {
    for event in events {
        d.step(*event);
    }
    d
}

/// In the first incarnation's place, so that the messages of every line fit.
fn restarted(running: bool, guest: DestinationGuest) -> LoneDestination {
    let running = running.then_some((attempt(1), GUEST));
    let journal = DestinationJournal { identity: DESTINATION, running, claiming: None };
    let (machine, step) =
        TestDestination::restart(destination_config(SHAPE), journal, guest, FIRST, START).expect("settings");
    let mut d = LoneDestination::of(machine, SHAPE);
    d.last = step;
    d
}

/// Every state, with every part of its data that makes a difference.
pub fn states() -> Vec<(&'static str, LoneDestination)> {
    let new = || LoneDestination::idle(SHAPE);
    let port = |port, op| DestinationEvent::Port(port, op, Done);
    let claim_lost = DestinationEvent::NotClaimed(attempt(1));
    let unloaded = [claim_lost, port(V, Op::Unload), port(D, Op::Unload)];
    let verified = DestinationEvent::Verified(seal());
    let failed = DestinationEvent::Port(D, Op::Resume, Failed);
    let not_written = DestinationEvent::NotWritten(RecordKind::Refused, attempt(1));
    vec![
        ("nothing asked", new()),
        ("refused before", after(new().refusing(), &[port(V, Op::Unload), port(D, Op::Unload)])),
        ("a claim is to be yielded", after(new().gone(), &unloaded)),
        ("pre-copy", new().loading()),
        ("in the blackout", new().told()),
        ("nothing here", new().verifying()),
        ("states are here", after(new().verifying(), &[port(V, Op::Load), port(D, Op::Load)])),
        ("memory is here", after(new().verifying(), &[verified])),
        ("devices settle", new().settling()),
        ("claiming is not on record", new().ready()),
        ("Go waits for that record", after_go(new().ready())),
        ("claiming is on record", new().claimable()),
        ("claim is under way", new().gone()),
        ("Running is being written", new().writing()),
        ("devices", new().resuming()),
        ("vCPUs", new().vcpus_asked()),
        ("forward, after a restart", restarted(true, DestinationGuest::Paused(GUEST))),
        ("forward, failed once", after(restarted(true, DestinationGuest::Paused(GUEST)), &[failed])),
        ("Refused is being written", new().superseding()),
        ("Refused could not be written", after(new().superseding(), &[not_written])),
        ("until Fin", new().running()),
        ("the source has let go", new().finished()),
        ("unloading", new().refusing()),
        ("unloading, a claim to yield", after(new().gone(), &[claim_lost])),
        ("unloading what a restart found", restarted(false, DestinationGuest::Paused(GUEST))),
        ("after a restart", restarted(true, DestinationGuest::Gone)),
    ]
}

fn after_go(mut d: LoneDestination) -> LoneDestination {
    d.hear(ToDestination::Go);
    d
}

/// Every event, with every content that makes a difference.
pub fn events() -> Vec<(String, DestinationEvent)> {
    let mut all: Vec<(String, DestinationEvent)> = Vec::new();
    let other = Seal { digest: Digest::EMPTY, ..seal() };
    for (name, event) in [
        ("Cancel", DestinationEvent::Cancel),
        ("Deadline", DestinationEvent::Deadline),
        ("LinkUp", DestinationEvent::LinkUp),
        ("LinkDown", DestinationEvent::LinkDown),
        ("Drained 0", DestinationEvent::Drained(0)),
        ("Verified", DestinationEvent::Verified(seal())),
        ("Verified, other digest", DestinationEvent::Verified(other)),
        ("MemoryFailed", DestinationEvent::MemoryFailed),
        ("Claimed Destination", DestinationEvent::Claimed(attempt(1), Owner::Destination)),
        ("Claimed Source", DestinationEvent::Claimed(attempt(1), Owner::Source)),
        ("Claimed Destination, of #7", DestinationEvent::Claimed(attempt(7), Owner::Destination)),
        ("NotClaimed", DestinationEvent::NotClaimed(attempt(1))),
        ("Yielded", DestinationEvent::Yielded(attempt(1))),
    ] {
        all.push((name.into(), event));
    }
    hellos(&mut all);
    messages(&mut all);
    for kind in [RecordKind::Claiming, RecordKind::Running, RecordKind::Refused, RecordKind::Finished] {
        all.push((format!("Written {kind:?}"), DestinationEvent::Written(kind, attempt(1))));
        all.push((format!("Written {kind:?}, of #7"), DestinationEvent::Written(kind, attempt(7))));
        all.push((format!("NotWritten {kind:?}"), DestinationEvent::NotWritten(kind, attempt(1))));
    }
    let ports = [
        (V, Op::Load, &[Done, More, Failed][..]),
        (D, Op::Load, &[Done]),
        (D, Op::Settle, &[Done, Failed]),
        (D, Op::Resume, &[Done, Failed]),
        (V, Op::Resume, &[Done, Failed, FailedRunning]),
        (V, Op::Unload, &[Done]),
        (D, Op::Unload, &[Done, Failed]),
        (V, Op::Rollback, &[Done]),
    ];
    for (port, op, outcomes) in ports {
        for outcome in outcomes {
            let name = if port == V { "v0" } else { "d0" };
            all.push((format!("{op:?} {name} {outcome:?}"), DestinationEvent::Port(port, op, *outcome)));
        }
    }
    all
}

fn hellos(all: &mut Vec<(String, DestinationEvent)>) {
    let good = hello(SHAPE);
    let of = |journal, counter| Envelope {
        attempt: AttemptId { journal: JournalId(journal), counter },
        ..Envelope::default()
    };
    let own = attempt(1).journal.0;
    for (name, envelope, hello) in [
        ("<- Hello #1", of(own, 1), good),
        ("<- Hello #2", of(own, 2), good),
        ("<- Hello #0", of(own, 0), good),
        ("<- Hello, other source", of(0x77, 1), good),
        ("<- Hello #2, version", of(own, 2), Hello { version: 99, ..good }),
        ("<- Hello #2, memory", of(own, 2), Hello { memory: 1, ..good }),
        ("<- Hello #2, arbiter", of(own, 2), Hello { arbiter: None, ..good }),
        ("<- Hello #2, limit", of(own, 2), Hello { downtime_limit: Ns::from_secs(2_001), ..good }),
    ] {
        all.push((name.into(), DestinationEvent::Message(envelope, ToDestination::Hello(hello))));
    }
}

fn messages(all: &mut Vec<(String, DestinationEvent)>) {
    let stopping = |lease| ToDestination::Stopping { elapsed: ms(1), hard_limit: ms(110), lease };
    let abort = ToDestination::Abort { offender: None };
    let sealed = ToDestination::Sealed(seal());
    let own = envelope(1);
    for (name, message) in [
        ("<- Ping 4", ToDestination::Ping(4)),
        ("<- RoundEnd 0", ToDestination::RoundEnd { round: 0, chunks: 1 }),
        ("<- Stopping", stopping(ms(20))),
        ("<- Stopping, lease below need", stopping(ms(1))),
        ("<- Sealed", sealed),
        ("<- Go", ToDestination::Go),
        ("<- Query", ToDestination::Query),
        ("<- Fin", ToDestination::Fin),
        ("<- Abort", abort),
    ] {
        all.push((name.into(), DestinationEvent::Message(own, message)));
    }
    let earlier = Envelope { incarnation: Incarnation(0), ..own };
    let stranger = Envelope { peer: JournalId(0xbad), ..own };
    let older = envelope(0);
    let newer = envelope(7);
    let others =
        [("earlier incarnation", earlier), ("other journal", stranger), ("of #0", older), ("of #7", newer)];
    for (whose, envelope) in others {
        for (name, message) in [
            ("Sealed", sealed),
            ("Go", ToDestination::Go),
            ("Query", ToDestination::Query),
            ("Fin", ToDestination::Fin),
            ("Abort", abort),
        ] {
            all.push((format!("<- {name}, {whose}"), DestinationEvent::Message(envelope, message)));
        }
    }
}
