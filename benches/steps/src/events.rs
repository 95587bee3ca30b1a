//! Every event that a host can hand in, with the few payloads that make a difference.

use switchover_core::contract::PeerTerms;
use switchover_core::digest::{Digest, Piece};
use switchover_core::event::{DestinationEvent, Outcome, Owner, Pass, SourceEvent};
use switchover_core::id::{ArbiterKey, AttemptId, Incarnation, JournalId};
use switchover_core::journal::RecordKind;
use switchover_core::limits::PAGE_SIZE;
use switchover_core::port::{Blame, Op, Phase, Port, Side};
use switchover_core::time::{Ns, Ppm};
use switchover_core::units::Bytes;
use switchover_core::wire::message::{
    Echo, Envelope, Hello, Measured, Refusal, Seal, ToDestination, ToSource, Welcome,
};

use crate::machine::{DESTINATION, INCARNATION, Shape};

const RECORDS: [RecordKind; 9] = [
    RecordKind::Open,
    RecordKind::MayGo,
    RecordKind::Committed,
    RecordKind::Fenced,
    RecordKind::Aborted,
    RecordKind::Running,
    RecordKind::Refused,
    RecordKind::Claiming,
    RecordKind::Finished,
];
const SOURCE_OPS: [Op; 4] = [Op::Quiesce, Op::Stop, Op::Save, Op::Rollback];
const DESTINATION_OPS: [Op; 4] = [Op::Load, Op::Settle, Op::Resume, Op::Unload];
const OUTCOMES: [Outcome; 4] = [Outcome::Done, Outcome::More, Outcome::Failed, Outcome::FailedRunning];

fn ports(shape: Shape, ops: [Op; 4]) -> impl Iterator<Item = (Port, Op, Outcome)> {
    let ports = (0..shape.vcpus).map(Port::Vcpus).chain((0..shape.devices).map(Port::Device));
    ports.flat_map(move |port| {
        ops.into_iter().flat_map(move |op| OUTCOMES.into_iter().map(move |outcome| (port, op, outcome)))
    })
}

/// About this attempt, about it from another incarnation and another journal, and about another attempt.
fn envelopes(attempt: AttemptId) -> [Envelope; 4] {
    let here = Envelope { attempt, peer: DESTINATION, incarnation: INCARNATION };
    let newer = AttemptId { counter: attempt.counter.saturating_add(1), ..attempt };
    [
        here,
        Envelope { incarnation: Incarnation(99), ..here },
        Envelope { peer: JournalId(99), ..here },
        Envelope { attempt: newer, ..here },
    ]
}

fn seal() -> Seal {
    let mut digest = Digest::EMPTY;
    digest.update(Piece::Pages(1), b"page");
    Seal { digest, chunks: 7, verify: None }
}

const BLAME: Blame = Blame { side: Side::Destination, port: Port::Device(0), phase: Phase::Load };

/// The source's events.
pub fn source(shape: Shape, attempt: AttemptId) -> Vec<SourceEvent> {
    use SourceEvent as E;
    let pass = |mib, dirty| Pass {
        sent: Bytes::from_mib(mib),
        chunks: 7,
        dirty: Bytes::from_mib(dirty),
        throttled: Ns::from_micros(3),
    };
    let mut events =
        vec![E::Begin, E::Cancel, E::Fence, E::LinkUp, E::LinkDown, E::MemoryFailed, E::Released];
    events.extend([E::Deadline, E::Round(pass(64, 0)), E::Round(pass(64, 5_000)), E::Round(pass(0, 1))]);
    // More than 64 bits of bytes times nanoseconds.
    events.push(E::Round(pass(1 << 20, 1 << 20)));
    events.extend([E::LastPages(pass(1, 0)), E::Sealed(seal()), E::NotClaimed(attempt)]);
    events.extend([E::Claimed(attempt, Owner::Source), E::Claimed(attempt, Owner::Destination)]);
    for kind in RECORDS {
        events.extend([E::Written(kind, attempt), E::NotWritten(kind, attempt)]);
    }
    events.extend(ports(shape, SOURCE_OPS).map(|(port, op, outcome)| E::Port(port, op, outcome)));
    let ms = Ns::from_millis;
    let drift = Ppm::new(500).unwrap_or_default();
    let terms = crate::machine::destination(shape).contracts.announced(drift, shape.arbiter);
    let slow = PeerTerms { resume: Ns::from_secs(1), ..terms };
    let lease_left = ms(20);
    for envelope in envelopes(attempt) {
        let messages = [
            ToSource::Welcome(Welcome { terms, warm: true }),
            ToSource::Welcome(Welcome { terms: slow, warm: false }),
            ToSource::Pong(Echo::Ping(1)),
            ToSource::Pong(Echo::Ping(2)),
            ToSource::Pong(Echo::Round(0)),
            ToSource::Pong(Echo::Round(1)),
            ToSource::Ready { digest: seal().digest, lease_left },
            ToSource::Ready { digest: Digest::EMPTY, lease_left },
            ToSource::Running(Measured::default()),
            ToSource::Refused { reason: Refusal::Digest, offender: Some(BLAME) },
            ToSource::Lost,
            ToSource::Pending { lease_left },
            ToSource::Stranger,
        ];
        events.extend(messages.map(|message| E::Message(envelope, message)));
    }
    events
}

/// The destination's events.
pub fn destination(shape: Shape, attempt: AttemptId) -> Vec<DestinationEvent> {
    use DestinationEvent as E;
    let mut events = vec![E::Cancel, E::LinkUp, E::LinkDown, E::Drained(0), E::Verified(seal())];
    events.extend([E::Verified(Seal::default()), E::MemoryFailed, E::NotClaimed(attempt), E::Deadline]);
    events.extend([E::Claimed(attempt, Owner::Source), E::Claimed(attempt, Owner::Destination)]);
    events.push(E::Yielded(attempt));
    for kind in RECORDS {
        events.extend([E::Written(kind, attempt), E::NotWritten(kind, attempt)]);
    }
    events.extend(ports(shape, DESTINATION_OPS).map(|(port, op, outcome)| E::Port(port, op, outcome)));
    let ms = Ns::from_millis;
    let hello = Hello {
        version: switchover_core::limits::VERSION,
        downtime_limit: ms(300),
        switchover_limit: ms(10),
        page_size: PAGE_SIZE as u32,
        memory: Bytes::from_mib(1024).get(),
        vcpu_ports: shape.vcpus,
        devices: shape.devices,
        drift: Ppm::new(500).unwrap_or_default(),
        warm: true,
        arbiter: shape.arbiter.then_some(ArbiterKey(9)),
    };
    for envelope in envelopes(attempt) {
        let messages = [
            ToDestination::Hello(hello),
            ToDestination::Hello(Hello { memory: 1, ..hello }),
            ToDestination::Ping(1),
            ToDestination::RoundEnd { round: 0, chunks: 7 },
            ToDestination::Stopping { elapsed: Ns::ZERO, hard_limit: ms(310), lease: ms(20) },
            ToDestination::Sealed(seal()),
            ToDestination::Go,
            ToDestination::Query,
            ToDestination::Fin,
            ToDestination::Abort { offender: Some(BLAME) },
        ];
        events.extend(messages.map(|message| E::Message(envelope, message)));
    }
    events
}
