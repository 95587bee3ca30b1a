//! One message of each kind and its extremes.
//!
//! The lists are exhaustive by a match without a wildcard: a new message does not compile before it has its bytes.

use switchover_core::contract::{Origin, PeerTerms};
use switchover_core::digest::Digest;
use switchover_core::id::{ArbiterKey, AttemptId, Incarnation, JournalId};
use switchover_core::port::{Blame, Phase, Port, Side};
use switchover_core::time::{Ns, Ppm};
use switchover_core::wire::message::{
    Echo, Envelope, Hello, Measured, Refusal, Seal, ToDestination, ToSource, Welcome,
};

/// Every field as long as its encoding gets.
const NS: Ns = Ns::new(u64::MAX);
const BLAME: Blame = Blame { side: Side::Destination, port: Port::Device(u8::MAX), phase: Phase::Rollback };

/// An envelope of usual numbers.
pub fn envelope() -> Envelope {
    let attempt = AttemptId { journal: JournalId(0x0102_0304_0506_0708), counter: 7 };
    Envelope {
        attempt,
        peer: JournalId(0x1112_1314_1516_1718),
        incarnation: Incarnation(0x2122_2324_2526_2728),
    }
}

/// The longest envelope.
pub fn longest_envelope() -> Envelope {
    let attempt = AttemptId { journal: JournalId(u64::MAX), counter: u32::MAX };
    Envelope { attempt, peer: JournalId(u64::MAX), incarnation: Incarnation(u64::MAX) }
}

/// A digest of three given words: its fields are its own, so it is read.
fn digest(high: u64, low: u64, pieces: u64) -> Digest {
    serde_json::from_value(serde_json::json!({ "high": high, "low": low, "pieces": pieces }))
        .expect("a digest")
}

/// The longest drift that can be on the wire; a declared one is smaller.
fn longest_drift() -> Ppm {
    serde_json::from_value(serde_json::json!(u32::MAX)).expect("a drift")
}

fn ms(n: u64) -> Ns {
    Ns::from_millis(n)
}

fn hello() -> Hello {
    Hello {
        version: 1,
        downtime_limit: ms(300),
        switchover_limit: ms(10),
        page_size: 4096,
        memory: 1 << 30,
        vcpu_ports: 2,
        devices: 1,
        drift: Ppm::new(500).unwrap_or_default(),
        warm: false,
        arbiter: None,
    }
}

fn longest_hello() -> Hello {
    Hello {
        version: u16::MAX,
        downtime_limit: NS,
        switchover_limit: NS,
        page_size: u32::MAX,
        memory: u64::MAX,
        vcpu_ports: u8::MAX,
        devices: u8::MAX,
        drift: longest_drift(),
        warm: true,
        arbiter: Some(ArbiterKey(u64::MAX)),
    }
}

/// From the source, by name: usual values first, the longest (`..._max`) last.
pub fn to_destination() -> Vec<(&'static str, ToDestination)> {
    use ToDestination as M;
    let seal = Seal { digest: digest(1, 2, 3), chunks: 300, verify: None };
    let longest_seal = Seal {
        digest: digest(u64::MAX, u64::MAX, u64::MAX),
        chunks: u64::MAX,
        verify: Some((u64::MAX, u64::MAX)),
    };
    let samples = vec![
        ("hello", M::Hello(hello())),
        ("hello_max", M::Hello(longest_hello())),
        ("ping", M::Ping(5)),
        ("ping_max", M::Ping(u32::MAX)),
        ("round_end", M::RoundEnd { round: 2, chunks: 300 }),
        ("round_end_max", M::RoundEnd { round: u32::MAX, chunks: u64::MAX }),
        ("stopping", M::Stopping { elapsed: Ns::ZERO, hard_limit: ms(310), lease: ms(7) }),
        ("stopping_max", M::Stopping { elapsed: NS, hard_limit: NS, lease: NS }),
        ("sealed", M::Sealed(seal)),
        ("sealed_max", M::Sealed(longest_seal)),
        ("go", M::Go),
        ("query", M::Query),
        ("fin", M::Fin),
        ("abort", M::Abort { offender: None }),
        ("abort_max", M::Abort { offender: Some(BLAME) }),
    ];
    for (name, message) in &samples {
        let kind = match message {
            M::Hello(_) => "hello",
            M::Ping(_) => "ping",
            M::RoundEnd { .. } => "round_end",
            M::Stopping { .. } => "stopping",
            M::Sealed(_) => "sealed",
            M::Go => "go",
            M::Query => "query",
            M::Fin => "fin",
            M::Abort { .. } => "abort",
        };
        assert_eq!(name.trim_end_matches("_max"), kind);
    }
    samples
}

/// From the destination, likewise.
pub fn to_source() -> Vec<(String, ToSource)> {
    use ToSource as M;
    let terms = PeerTerms {
        load: ms(1),
        seal: ms(2),
        claim: Ns::ZERO,
        journal: ms(1),
        resume: ms(2),
        timer: ms(1),
        drift: Ppm::new(500).unwrap_or_default(),
        origin: Origin::Calibrated,
    };
    let longest_terms = PeerTerms {
        load: NS,
        seal: NS,
        claim: NS,
        journal: NS,
        resume: NS,
        timer: NS,
        drift: longest_drift(),
        origin: Origin::Learned,
    };
    let measured = Measured { load: ms(1), seal: ms(2), resume: ms(3), offender: None };
    let longest_measured = Measured { load: NS, seal: NS, resume: NS, offender: Some(BLAME) };
    let lease_left = ms(7);
    let mut samples: Vec<(String, ToSource)> = [
        ("welcome", M::Welcome(Welcome { terms, warm: false })),
        ("welcome_max", M::Welcome(Welcome { terms: longest_terms, warm: true })),
        ("pong_ping", M::Pong(Echo::Ping(5))),
        ("pong_ping_max", M::Pong(Echo::Ping(u32::MAX))),
        ("pong_round", M::Pong(Echo::Round(2))),
        ("pong_round_max", M::Pong(Echo::Round(u32::MAX))),
        ("ready", M::Ready { digest: digest(1, 2, 3), lease_left }),
        ("ready_max", M::Ready { digest: digest(u64::MAX, u64::MAX, u64::MAX), lease_left: NS }),
        ("running", M::Running(measured)),
        ("running_max", M::Running(longest_measured)),
        ("lost", M::Lost),
        ("pending", M::Pending { lease_left }),
        ("pending_max", M::Pending { lease_left: NS }),
        ("stranger", M::Stranger),
    ]
    .map(|(name, message)| (name.to_string(), message))
    .into();
    // Each reason has its own byte.
    for reason in REFUSALS {
        samples.push((format!("refused_{reason:?}"), M::Refused { reason, offender: None }));
    }
    samples.push(("refused_max".into(), M::Refused { reason: Refusal::Protocol, offender: Some(BLAME) }));
    for (name, message) in &samples {
        let kind = match message {
            M::Welcome(_) => "welcome",
            M::Pong(_) => "pong",
            M::Ready { .. } => "ready",
            M::Running(_) => "running",
            M::Refused { .. } => "refused",
            M::Lost => "lost",
            M::Pending { .. } => "pending",
            M::Stranger => "stranger",
        };
        assert!(name.starts_with(kind), "{name}");
    }
    samples
}

/// Every reason, in order; [`follows`] sees to it that none is left out.
const REFUSALS: [Refusal; 21] = {
    let mut all = [Refusal::Busy; 21];
    let mut at = 1;
    while at < all.len() {
        all[at] = follows(all[at - 1]);
        at += 1;
    }
    all
};

const fn follows(reason: Refusal) -> Refusal {
    use Refusal as R;
    match reason {
        R::Busy => R::Old,
        R::Old => R::Version,
        R::Version => R::Layout,
        R::Layout => R::Arbiter,
        R::Arbiter => R::Incarnation,
        R::Incarnation => R::Superseded,
        R::Superseded => R::Digest,
        R::Digest => R::PortFailed,
        R::PortFailed => R::LimitReached,
        R::LimitReached => R::LeaseEnded,
        R::LeaseEnded => R::TooLate,
        R::TooLate => R::ClaimLost,
        R::ClaimLost => R::JournalFailed,
        R::JournalFailed => R::LinkLost,
        R::LinkLost => R::Silent,
        R::Silent => R::Cancelled,
        R::Cancelled => R::Aborted,
        R::Aborted => R::Asked,
        R::Asked => R::NoRecord,
        R::NoRecord => R::Protocol,
        R::Protocol => R::Busy,
    }
}
