//! The deadline formulas against arithmetic of their own, and against the worked example of `docs/TIMING.md`.
//!
//! What the machines do with the results is not tested here.

use proptest::prelude::*;
use switchover_core::schedule::{Inputs, Schedule};
use switchover_core::time::{At, Ns, Ppm};

const fn ppm(ppm: u32) -> Ppm {
    match Ppm::new(ppm) {
        Some(ppm) => ppm,
        None => Ppm::MAX,
    }
}

/// The contracts that `docs/TIMING.md` assumes.
fn example() -> Inputs {
    Inputs {
        hard_limit: Ns::from_millis(310),
        rollback: Ns::from_millis(2),
        journal: Ns::from_millis(1),
        timer: Ns::from_millis(1),
        peer_timer: Ns::from_millis(1),
        need: Ns::from_millis(3),
        peer_journal: Ns::from_millis(1),
        delay: Ns::from_micros(500),
        claim: None,
        drift: ppm(500).relative(ppm(500)),
    }
}

/// `value` is the decimal number of milliseconds in `text`, to its last digit.
fn rounds_to(value: Ns, text: &str) {
    let digits = text.split('.').nth(1).unwrap_or_default().len() as u32;
    let unit = 1_000_000 / 10u64.pow(digits);
    let rounded = (value.get() + unit / 2) / unit;
    let written: u64 = text.replace('.', "").parse().expect("a decimal number");
    assert_eq!(rounded, written, "{value:?} is not {text} ms");
}

/// [SW-63] [SW-64] [SW-66] [SW-68] [SW-81]
#[test]
fn the_example_in_the_documents_is_what_the_code_computes() {
    let inputs = example();
    let text = include_str!("../../docs/TIMING.md");
    let schedule = inputs.schedule().expect("310 ms leave time");
    for (value, written) in [
        (schedule.lease, "6.5025"),
        (schedule.answer, "2.5010"),
        (schedule.lease.stretched(inputs.drift), "6.5090"),
        (inputs.reserve(), "8.0070"),
        (schedule.go_by, "301.99"),
    ] {
        rounds_to(value, written);
        assert!(text.contains(written), "docs/TIMING.md has no {written}");
    }
    assert_eq!(inputs.drift.get(), 1001);
}

/// The lease covers a slow source journal as well as a slow link: [SW-64], decision 4.
#[test]
fn the_lease_covers_whichever_go_waits_for_longer() {
    let link = example();
    let slow = Inputs { journal: Ns::from_millis(40), ..link };
    let waited = slow.lease().minus(link.lease());
    assert!(waited >= Ns::from_millis(39), "{waited:?}");
    let fast = Inputs { journal: Ns::ZERO, delay: Ns::from_millis(1), ..link };
    assert!(fast.lease() > link.lease(), "the link alone decides when the journal is faster");
}

/// [SW-11]: the smallest hard limit leaves no work at all; one tick less leaves no schedule.
#[test]
fn a_limit_below_the_reserve_is_none() {
    let reserve = example().reserve();
    let at = |hard_limit| Inputs { hard_limit, ..example() }.schedule();
    assert!(at(reserve.minus(Ns::new(1))).is_err());
    assert_eq!(at(reserve).map(|s| s.go_by), Ok(Ns::ZERO));
    assert_eq!(at(reserve.plus(Ns::new(1))).map(|s| s.go_by), Ok(Ns::new(1)));
}

/// [SW-69]: `now <= x` is armed one tick later.
#[test]
fn a_rule_that_allows_its_instant_is_armed_just_after_it() {
    let x = At::from_ns(7);
    assert!(x.just_after() > x);
    assert_eq!(x.just_after().since(x), Ns::new(1));
}

/// [SW-81]: the sum of both bounds would be too small.
#[test]
fn relative_drift_is_more_than_the_sum() {
    assert_eq!(ppm(0).relative(ppm(0)).get(), 0);
    assert_eq!(ppm(500).relative(ppm(500)).get(), 1001);
    // 1.1 / 0.9 - 1 = 0.2222...
    assert_eq!(ppm(100_000).relative(ppm(100_000)).get(), 222_223);
}

/// `n` on one clock, at most, on the other; exact, rounded up.
fn stretch(n: u128, drift: Ppm) -> u128 {
    (n * (1_000_000 + u128::from(drift.get()))).div_ceil(1_000_000)
}

prop_compose! {
    fn inputs()(
        times in prop::array::uniform7(0u64..50_000_000),
        claim in prop::option::of(0u64..50_000_000),
        drift in 0u32..=200_000,
        hard in 0u64..2_000_000_000_000,
    ) -> Inputs {
        let [rollback, journal, timer, peer_timer, need, delay, peer_journal] = times.map(Ns::new);
        let drift = ppm(drift / 2).relative(ppm(drift / 2));
        Inputs {
            hard_limit: Ns::new(hard), rollback, journal, timer, peer_timer, need, peer_journal, delay,
            claim: claim.map(Ns::new), drift,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(switchover_tests::host::cases(2_000, 200_000)))]

    /// [SW-65] [SW-66]: a `Go` that is sent at `go_by` ends by H in every way, at the worst relative rate, and
    /// no more than rounding is given away.
    #[test]
    fn whatever_follows_the_latest_go_ends_by_the_hard_limit(inputs in inputs()) {
        let Ok(Schedule { lease, decide, answer, go_by, .. }) = inputs.schedule() else {
            prop_assert!(inputs.reserve() > inputs.hard_limit);
            return Ok(());
        };
        let n = |time: Ns| u128::from(time.get());
        prop_assert_eq!(n(decide) + n(inputs.need), n(lease));
        // The destination resumes by the end of its lease at the latest. Both instants were read: a tick each.
        let commits = n(go_by) + stretch(n(lease), inputs.drift) + 2;
        // Or it decides against it, says so, and the source rolls back; or the source claims, a tick after answer_by.
        let claims = inputs.claim.map_or(0, |claim| 1 + n(claim) + n(inputs.timer));
        let returns = n(go_by) + stretch(n(decide), inputs.drift) + n(answer) + claims + n(inputs.rollback);
        let hard = n(inputs.hard_limit);
        prop_assert!(commits <= hard && returns <= hard);
        prop_assert!(hard - commits.max(returns) <= 4, "{} ns given away", hard - commits.max(returns));
    }

    /// [SW-64] [SW-68]: lease and answer allowance cover what they stand for.
    #[test]
    fn lease_and_answer_cover_their_terms(inputs in inputs()) {
        let n = |time: Ns| u128::from(time.get());
        let waiting = n(inputs.delay).max(n(inputs.journal)) + n(inputs.timer) + n(inputs.delay);
        let record = inputs.claim.map_or(0, |_| n(inputs.peer_journal));
        let lease = stretch(waiting, inputs.drift).max(record) + n(inputs.peer_timer) + n(inputs.need);
        prop_assert!((lease..=lease + 2).contains(&n(inputs.lease())));
        let answer = n(inputs.delay) + n(inputs.timer) + stretch(n(inputs.peer_timer), inputs.drift);
        prop_assert!((answer..=answer + 2).contains(&n(inputs.answer())));
    }

    /// [SW-69]: stretching never loses a tick.
    #[test]
    fn stretching_rounds_up_and_adds_a_tick(ns in 0u64..u64::MAX / 2, drift in 0u32..=100_000) {
        let exact = stretch(u128::from(ns), ppm(drift));
        prop_assert_eq!(u128::from(Ns::new(ns).stretched(ppm(drift)).get()), exact + 1);
    }
}
