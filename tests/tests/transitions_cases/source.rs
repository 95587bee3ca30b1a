//! Of the source.

use switchover_core::digest::Digest;
use switchover_core::event::Outcome::{Done, Failed, More};
use switchover_core::event::{Owner, Pass, SourceEvent};
use switchover_core::id::{Incarnation, JournalId};
use switchover_core::journal::{RecordKind, SourceGuest, SourceJournal};
use switchover_core::port::{Op, Port};
use switchover_core::time::Ns;
use switchover_core::units::Bytes;
use switchover_core::wire::message::{Echo, Envelope, Refusal, ToSource, Welcome};
use switchover_tests::machines::build::{DESTINATION, FIRST, SOURCE};
use switchover_tests::machines::lone::{LoneSource, START, attempt, envelope, seal};
use switchover_tests::machines::{TestSource, ms, source_config};

use super::SHAPE;

const V: Port = Port::Vcpus(0);
const D: Port = Port::Device(0);

fn after(mut s: LoneSource, events: &[SourceEvent]) -> LoneSource {
    for event in events {
        s.step(*event);
    }
    s
}

fn restarted(guest: SourceGuest, may_go: bool, committed: bool) -> LoneSource {
    let may_go = may_go.then_some((DESTINATION, FIRST));
    let journal =
        SourceJournal { identity: SOURCE, open: Some(attempt(1)), may_go, committed, fenced: false };
    let (machine, step) = TestSource::restart(source_config(SHAPE), journal, guest, START).expect("settings");
    let mut s = LoneSource::of(machine, SHAPE);
    s.last = step;
    s
}

/// Every state, with every part of its data that makes a difference.
pub fn states() -> Vec<(&'static str, LoneSource)> {
    let new = || LoneSource::idle(SHAPE);
    let port = |port, op| SourceEvent::Port(port, op, Done);
    let dirty =
        Pass { sent: Bytes::from_mib(1), dirty: Bytes::from_mib(512), chunks: 1, throttled: Ns::ZERO };
    let last = Pass { sent: Bytes::new(4096), chunks: 3, ..Pass::default() };
    let claimed = SourceEvent::Claimed(attempt(1), Owner::Destination);
    let lost = SourceEvent::Message(envelope(1), ToSource::Lost);
    let echo = SourceEvent::Message(envelope(1), ToSource::Pong(Echo::Round(0)));
    let failed = SourceEvent::Port(V, Op::Rollback, Failed);
    vec![
        ("nothing asked", new()),
        ("back-off", new().waiting()),
        ("Open is being written", new().opening()),
        ("link is coming up", new().connecting()),
        ("Hello is said", new().greeting()),
        ("round is being sent", new().precopy()),
        ("round is on the wire", new().echoing()),
        ("between rounds", after(new().precopy(), &[SourceEvent::Round(dirty), echo])),
        ("devices quiesce", new().stopping()),
        ("vCPUs stop", after(new().stopping(), &[port(D, Op::Quiesce)])),
        ("devices stop", after(new().stopping(), &[port(D, Op::Quiesce), port(V, Op::Stop)])),
        ("states and pages", new().saving()),
        ("states", after(new().saving(), &[SourceEvent::LastPages(last)])),
        ("pages", after(new().saving(), &[port(V, Op::Save), port(D, Op::Save)])),
        ("sealing", new().sealing()),
        ("neither Ready nor MayGo", new().sealed()),
        ("Ready, no MayGo", new().unwritten()),
        ("MayGo, no Ready", new().unready()),
        ("Go is said", new().go_sent()),
        ("claim is under way", new().in_doubt()),
        ("claim was lost", after(new().in_doubt(), &[claimed])),
        ("found by a restart", restarted(SourceGuest::Stopped, true, false)),
        ("from doubt", new().fencing()),
        ("from held", after(new().in_doubt(), &[lost, SourceEvent::Fence])),
        ("lost there", new().held()),
        ("devices", new().rolling_back()),
        ("vCPUs", new().vcpus_asked()),
        ("vCPUs failed once", after(new().vcpus_asked(), &[failed])),
        ("found by a restart", restarted(SourceGuest::Stopped, false, false)),
        ("the destination may speak", new().parting()),
        ("record", new().committing()),
        ("copy", new().releasing()),
        ("found by a restart", restarted(SourceGuest::Stopped, true, true)),
        ("all is done", new().committed()),
        ("no link for Fin", after(new().committed(), &[SourceEvent::LinkDown])),
        ("gone after a restart", restarted(SourceGuest::Gone, true, false)),
    ]
}

/// Every event, with every content that makes a difference.
pub fn events(state: &LoneSource) -> Vec<(String, SourceEvent)> {
    let mut all: Vec<(String, SourceEvent)> = Vec::new();
    for (name, event) in [
        ("Begin", SourceEvent::Begin),
        ("Cancel", SourceEvent::Cancel),
        ("Fence", SourceEvent::Fence),
        ("Deadline", SourceEvent::Deadline),
        ("LinkUp", SourceEvent::LinkUp),
        ("LinkDown", SourceEvent::LinkDown),
        ("Round", SourceEvent::Round(Pass { sent: Bytes::from_mib(1), chunks: 1, ..Pass::default() })),
        ("LastPages", SourceEvent::LastPages(Pass { sent: Bytes::new(4096), chunks: 3, ..Pass::default() })),
        ("Sealed", SourceEvent::Sealed(seal())),
        ("MemoryFailed", SourceEvent::MemoryFailed),
        ("Released", SourceEvent::Released),
        ("Claimed Source", SourceEvent::Claimed(attempt(1), Owner::Source)),
        ("Claimed Destination", SourceEvent::Claimed(attempt(1), Owner::Destination)),
        ("Claimed Source, of #7", SourceEvent::Claimed(attempt(7), Owner::Source)),
        ("NotClaimed", SourceEvent::NotClaimed(attempt(1))),
    ] {
        all.push((name.into(), event));
    }
    messages(state, &mut all);
    let kinds =
        [RecordKind::Open, RecordKind::MayGo, RecordKind::Committed, RecordKind::Fenced, RecordKind::Aborted];
    for kind in kinds {
        all.push((format!("Written {kind:?}"), SourceEvent::Written(kind, attempt(1))));
        all.push((format!("Written {kind:?}, of #7"), SourceEvent::Written(kind, attempt(7))));
        all.push((format!("NotWritten {kind:?}"), SourceEvent::NotWritten(kind, attempt(1))));
    }
    let ports = [
        (D, Op::Quiesce, &[Done, Failed][..]),
        (V, Op::Stop, &[Done, Failed]),
        (D, Op::Stop, &[Done, Failed]),
        (V, Op::Save, &[Done, More, Failed]),
        (D, Op::Save, &[Done]),
        (D, Op::Rollback, &[Done, Failed]),
        (V, Op::Rollback, &[Done, Failed]),
        (V, Op::Resume, &[Done]),
    ];
    for (port, op, outcomes) in ports {
        for outcome in outcomes {
            let name = if port == V { "v0" } else { "d0" };
            all.push((format!("{op:?} {name} {outcome:?}"), SourceEvent::Port(port, op, *outcome)));
        }
    }
    all
}

fn messages(state: &LoneSource, all: &mut Vec<(String, SourceEvent)>) {
    let terms = state.terms();
    let mut long = terms;
    long.resume = Ns::from_secs(3_000);
    let ready = ToSource::Ready { digest: seal().digest, lease_left: ms(10) };
    let refused = ToSource::Refused { reason: Refusal::LeaseEnded, offender: None };
    let running = ToSource::Running(Default::default());
    let own = envelope(1);
    let reborn = Envelope { incarnation: Incarnation(2), ..own };
    let stranger = Envelope { peer: JournalId(0xbad), ..own };
    let other = envelope(7);
    let pong = |n| ToSource::Pong(Echo::Ping(n));
    for (name, envelope, message) in [
        ("<- Welcome", own, ToSource::Welcome(Welcome { terms, warm: false })),
        ("<- Welcome, absurd terms", own, ToSource::Welcome(Welcome { terms: long, warm: false })),
        ("<- Welcome, of #7", other, ToSource::Welcome(Welcome { terms, warm: false })),
        ("<- Pong 1", own, pong(1)),
        ("<- Pong round 0", own, ToSource::Pong(Echo::Round(0))),
        ("<- Pong, new incarnation", reborn, pong(1)),
        ("<- Ready", own, ready),
        ("<- Ready, other digest", own, ToSource::Ready { digest: Digest::EMPTY, lease_left: ms(10) }),
        ("<- Ready, new incarnation", reborn, ready),
        ("<- Ready, of #7", other, ready),
        ("<- Running", own, running),
        ("<- Running, new incarnation", reborn, running),
        ("<- Running, other journal", stranger, running),
        ("<- Running, of #7", other, running),
        ("<- Refused", own, refused),
        ("<- Refused, new incarnation", reborn, refused),
        ("<- Refused, other journal", stranger, refused),
        ("<- Refused, of #7", other, refused),
        ("<- Lost", own, ToSource::Lost),
        ("<- Lost, other journal", stranger, ToSource::Lost),
        ("<- Lost, of #7", other, ToSource::Lost),
        ("<- Pending", own, ToSource::Pending { lease_left: ms(5) }),
        ("<- Stranger", stranger, ToSource::Stranger),
    ] {
        all.push((name.into(), SourceEvent::Message(envelope, message)));
    }
}
