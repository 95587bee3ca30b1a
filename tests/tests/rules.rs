//! Single rules of `docs/PROTOCOL.md` at their edges, where no trap and no scenario plays them.

use switchover_core::admission::{Traffic, judge};
use switchover_core::contract::Origin;
use switchover_core::event::{DestinationEvent, Outcome, SourceEvent};
use switchover_core::journal::RecordKind;
use switchover_core::outcome::{Ending, Reason};
use switchover_core::port::{Op, Phase, Port, PortSet, Side};
use switchover_core::time::Ns;
use switchover_core::units::{Bytes, BytesPerSecond};
use switchover_core::wire::message::{Envelope, Hello, Seal, ToDestination};
use switchover_tests::machines::host::{Fate, On};
use switchover_tests::machines::lone::{LoneDestination, LoneSource, attempt, hello, seal};
use switchover_tests::machines::pair::Pair;
use switchover_tests::machines::{Shape, destination_config, ms, source_config};

fn has(words: &[String], start: &str) -> bool {
    words.iter().any(|word| word.starts_with(start))
}

/// [SW-10]: exactly the planned limit fits, one tick more does not; and so does exactly `go_by`.
#[test]
fn admission_compares_the_sum_of_its_terms_with_both_limits() {
    let destination = destination_config(Shape::FULL);
    let terms = destination.contracts.announced(destination.drift, true);
    let traffic = Traffic {
        left: Bytes::from_mib(16),
        rate: BytesPerSecond::new(2_000_000_000),
        rate_origin: Origin::Learned,
        delay: ms(1),
        delay_origin: Origin::Learned,
    };
    let verdict = |downtime: Ns, switchover: Ns| {
        let mut config = source_config(Shape::FULL);
        (config.limits.downtime, config.limits.switchover) = (downtime, switchover);
        judge(config.limits, &config.contracts, config.contracts.sums(), &terms, config.drift, true, traffic)
            .0
    };
    let wide = verdict(ms(1_000), ms(0));
    let sum = wide.downtime();
    assert!(sum > wide.work() && wide.transfer >= ms(8), "{wide:?}");
    // Every term is part of the sum.
    let parts = [wide.stop, wide.save, wide.transfer, wide.load, wide.seal, wide.ready, wide.go, wide.resume];
    assert!(parts.iter().all(|part| *part > Ns::ZERO && *part < sum), "{wide:?}");
    assert!(verdict(sum, ms(1_000)).fits && !verdict(sum.minus(Ns::new(1)), ms(1_000)).fits);
    let hard = wide.smallest_hard_limit();
    assert!(hard > sum, "here the reserve for a rollback is what binds");
    assert!(verdict(hard, Ns::ZERO).fits && !verdict(hard.minus(Ns::new(1)), Ns::ZERO).fits);
}

/// [SW-16]: t = 0 is the instant of the step that asks the first thing of the guest, not of its answer.
#[test]
fn the_blackout_counts_from_the_first_thing_that_can_be_felt() {
    for shape in [Shape::PLAIN, Shape::DEVICES] {
        let s = LoneSource::idle(shape).stopping();
        let words = s.words();
        let first = if shape.devices > 0 { "Quiesce" } else { "Stop" };
        assert!(has(&words, "[stopping]") && has(&words, first), "{words:?}");
        // A device that takes its time before any vCPU stops is inside the blackout.
        let t0 = s.now;
        let mut s = s;
        s.pass(ms(20));
        s.step(SourceEvent::Cancel);
        s.ports(Op::Rollback, PortSet::devices);
        s.ports(Op::Rollback, PortSet::vcpus);
        s.pass(ms(30));
        s.step(SourceEvent::Deadline);
        let took = s.machine.ended()[0].blackout;
        assert_eq!(took, ms(20), "{:?} since {t0:?}", s.now);
    }
}

/// [SW-23]
#[test]
fn after_an_abort_there_is_no_go() {
    for first in [true, false] {
        let mut s = LoneSource::idle(Shape::DEVICES).rolling_back();
        let ready = s.ready();
        for _ in 0..2 {
            if first {
                s.written(RecordKind::MayGo);
            }
            s.hear(ready);
            s.written(RecordKind::MayGo);
            assert!(s.words().is_empty() && s.state() == "RollingBack", "{:?}", s.words());
        }
        s.ports(Op::Rollback, |all| all);
        s.ports(Op::Rollback, PortSet::vcpus);
        s.hear(ready);
        s.written(RecordKind::MayGo);
        assert_eq!(s.state(), "Parting");
        assert!(!has(&s.words(), "-> Go"));
    }
}

/// [SW-40]: each by its name, and none is taken up.
#[test]
fn a_hello_that_is_not_covered_is_refused_by_name() {
    let good = hello(Shape::PLAIN);
    let cases = [
        ("Version", Hello { version: 0, ..good }),
        ("Version", Hello { version: 2, ..good }),
        ("Layout", Hello { page_size: 16_384, ..good }),
        ("Layout", Hello { memory: good.memory + 1, ..good }),
        ("Layout", Hello { vcpu_ports: 2, ..good }),
        ("Layout", Hello { devices: 1, ..good }),
        ("Arbiter", hello(Shape::ARBITER)),
        ("Protocol", Hello { downtime_limit: Ns::from_secs(2_000), ..good }),
    ];
    for (name, bad) in cases {
        let mut d = LoneDestination::idle(Shape::PLAIN);
        let of = Envelope { attempt: attempt(1), ..Envelope::default() };
        d.step(DestinationEvent::Message(of, ToDestination::Hello(bad)));
        assert_eq!(d.words(), [format!("-> Refused({name})")], "{bad:?}");
        assert_eq!(d.state(), "Idle");
        // And for good: the same attempt is not taken up with better words.
        d.step(DestinationEvent::Message(of, ToDestination::Hello(good)));
        assert_eq!(d.words(), ["-> Refused(Old)"]);
    }
}

/// [SW-43] [SW-44]: Ready comes last, whatever the order, and only if what arrived is what was sent.
#[test]
fn ready_waits_for_everything() {
    let loaded = |port| DestinationEvent::Port(port, Op::Load, Outcome::Done);
    let settled = |port| DestinationEvent::Port(port, Op::Settle, Outcome::Done);
    let (v, d0, d1) = (Port::Vcpus(0), Port::Device(0), Port::Device(1));
    let verified = DestinationEvent::Verified(seal());
    let orders: [[DestinationEvent; 6]; 3] = [
        [loaded(v), loaded(d0), loaded(d1), verified, settled(d0), settled(d1)],
        [verified, loaded(d1), loaded(v), loaded(d0), settled(d1), settled(d0)],
        [loaded(d0), verified, loaded(d1), loaded(v), settled(d1), settled(d0)],
    ];
    for order in orders {
        let mut d = LoneDestination::idle(Shape::DEVICES).verifying();
        for (n, event) in order.into_iter().enumerate() {
            d.step(event);
            assert_eq!(has(&d.words(), "-> Ready"), n == 5, "{order:?}");
        }
    }
    // Too few chunks, other bytes, another whole: refused.
    let bad = [
        Seal { chunks: 2, ..seal() },
        Seal { digest: Default::default(), ..seal() },
        Seal { verify: Some((1, 2)), ..seal() },
    ];
    for arrived in bad {
        let mut d = LoneDestination::idle(Shape::DEVICES).verifying();
        d.step(DestinationEvent::Verified(arrived));
        assert!(has(&d.words(), "-> Refused(Digest"), "{:?}", d.words());
    }
    // And it may refuse at any time before.
    let idle = || LoneDestination::idle(Shape::DEVICES);
    for mut d in [idle().loading(), idle().told(), idle().verifying(), idle().settling(), idle().ready()] {
        d.step(DestinationEvent::Cancel);
        assert!(has(&d.words(), "-> Refused(Cancelled"), "{:?}", d.words());
    }
}

/// [SW-79]
#[test]
fn every_attempt_leaves_its_record() {
    let mut pair = Pair::new(Shape::DEVICES);
    pair.source.rule(On::Port(Port::Device(1), Op::Save), Fate::Stuck, 1);
    pair.begin();
    pair.run(ms(1_500));
    pair.runs_on(Side::Destination);
    let [aborted, committed] = &pair.records[..] else { panic!("{} records", pair.records.len()) };

    let (why, offender) = aborted.aborting.expect("it was aborted");
    assert_eq!(why, Reason::Doomed);
    let blame = offender.expect("the device that is stuck is named");
    assert_eq!((blame.side, blame.port, blame.phase), (Side::Source, Port::Device(1), Phase::Save));
    assert_eq!(aborted.ended.map(|ended| ended.ending), Some(Ending::Aborted(Reason::Doomed)));
    assert!(aborted.verdict.is_some_and(|verdict| verdict.fits) && aborted.go.is_none());
    assert!(aborted.slack(pair.hard_limit(), pair.source.clock.at(0)).is_some());

    for (side, phase) in [
        (Side::Source, Phase::Stop),
        (Side::Source, Phase::Save),
        (Side::Source, Phase::Transfer),
        (Side::Destination, Phase::Resume),
    ] {
        assert!(committed.measured(side, phase).is_some(), "{side:?} {phase:?}");
    }
    let ended = committed.ended.expect("it ended");
    assert_eq!((ended.ending, ended.offender), (Ending::Committed, None));
    let (estimate, error) = committed.estimate().expect("a committed downtime has one");
    assert!(estimate < ended.blackout && estimate.plus(error) >= ended.blackout);
    assert!(committed.phases_left_out == 0 && !committed.in_doubt && committed.alarm.is_none());
}
