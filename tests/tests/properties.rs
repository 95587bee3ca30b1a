//! Properties of either machine alone, over arbitrary sequences of events.
//!
//! Most moves answer what the machine has asked or said, so that sequences get far; the rest is anything at all, at any
//! time. What a whole switchover must keep is in `campaign.rs`.

mod properties_moves;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use switchover_core::event::{Pass, SourceEvent};
use switchover_core::limits::ACTIONS_MAX;
use switchover_core::port::Op;
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::{ToSource, Welcome};
use switchover_tests::host::cases;
use switchover_tests::machines::build::SOURCE;
use switchover_tests::machines::lone::{LoneSource, START};
use switchover_tests::machines::{Shape, TestSource, ms, source_config};

use properties_moves::{Alone, Move, moves};

/// The longest list of actions that any sequence has met; nothing may be dropped from one.
static LONGEST: AtomicUsize = AtomicUsize::new(0);
const LONGEST_KNOWN: usize = 8;

const SHAPES: [Shape; 4] = [Shape::PLAIN, Shape::DEVICES, Shape::TWO_PORTS, Shape::FULL];

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn shifted(at: At, shift: i64) -> At {
    at.shifted(shift)
}

/// Plays the moves and holds every property after each.
fn hold<M: Alone>(mut machine: M, script: &[Move], shift: i64) -> Result<(), TestCaseError> {
    let mut twin = machine.clone();
    twin.rebase(shift);
    let mut now = START;
    for step in script {
        now = machine.when(now, step);
        let event = machine.choose(step);
        let before = machine.clone();
        prop_assert_eq!(hash(&before.key()), hash(&machine.key()), "equal machines have equal hashes");

        let (count, deadline) = machine.step(now, event);
        LONGEST.fetch_max(count, Ordering::Relaxed);
        prop_assert!(machine.invariant(), "the invariant, after {event:?}");
        prop_assert!(count <= LONGEST_KNOWN, "{count} actions, after {event:?}");

        // The same step of an equal machine is the same step.
        let mut again = before;
        again.step(now, event);
        prop_assert!(again.same(&machine), "a clone differs, after {event:?}");

        // Nothing depends on when time began.
        let (twins, due) = twin.step(shifted(now, shift), event);
        prop_assert_eq!(twins, count);
        prop_assert_eq!(due, deadline.map(|at| shifted(at, shift)), "after {:?}", event);
        let mut back = twin.clone();
        back.rebase(-shift);
        prop_assert!(back.same(&machine), "a shifted machine differs, after {event:?}");

        // A deadline that is due moves on, or is cleared: no host is made to spin.
        if let Some(due) = deadline {
            let mut late = machine.clone();
            let at = due.or_later(now);
            let mut next = Some(due);
            for _ in 0..4 {
                next = late.step(at, M::deadline_event()).1;
                if next.is_none_or(|next| next > at) {
                    break;
                }
            }
            prop_assert!(next.is_none_or(|next| next > at), "it spins at {at:?}, after {event:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(400, 40_000)) })]

    /// [SW-69] [SW-71] [SW-78]
    #[test]
    fn a_source_keeps_its_properties(
        shape in 0..SHAPES.len(),
        script in vec(moves(), 1..160),
        shift in -900_000_000_000i64..900_000_000_000,
    ) {
        hold(properties_moves::source::Player::new(SHAPES[shape]), &script, shift)?;
    }

    /// [SW-69] [SW-71] [SW-78]
    #[test]
    fn a_destination_keeps_its_properties(
        shape in 0..SHAPES.len(),
        script in vec(moves(), 1..160),
        shift in -900_000_000_000i64..900_000_000_000,
    ) {
        hold(properties_moves::destination::Player::new(SHAPES[shape]), &script, shift)?;
    }
}

/// [SW-78]: the longest lists there are; one place is always left.
#[test]
fn the_longest_list_of_actions_leaves_room() {
    // The last pages come too late, and end the attempt.
    let mut s = LoneSource::idle(Shape::FULL).saving();
    s.ports(Op::Save, |all| all);
    s.pass(ms(200));
    s.step(SourceEvent::LastPages(Pass::default()));
    assert_eq!((s.state().as_str(), s.last.actions.len()), ("RollingBack", 8), "{:?}", s.words());
    // A Welcome ends an attempt, and the run with it.
    let mut config = source_config(Shape::PLAIN);
    config.limits.downtime = ms(3);
    config.limits.switchover = Ns::ZERO;
    let machine = TestSource::new(config, SOURCE, 0).expect("settings");
    let mut s = LoneSource::of(machine, Shape::PLAIN).greeting();
    let terms = s.terms();
    s.hear(ToSource::Welcome(Welcome { terms, warm: false }));
    assert_eq!(s.last.actions.len(), 7, "{:?}", s.words());
    const { assert!(ACTIONS_MAX > LONGEST_KNOWN) };
    println!("longest list met by chance: {}", LONGEST.load(Ordering::Relaxed));
}
