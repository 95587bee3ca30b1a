//! What goes over the wire and what does not: zeros, caps, corruption, dropped connections.

mod bulk_pair;

use std::time::{Duration, Instant};

use bulk_pair::relay::Relay;
use bulk_pair::{Pair, attempt, done};
use switchover_core::hal::Failed;
use switchover_core::hal::destination::Memory as _;
use switchover_core::hal::source::Memory as _;
use switchover_core::port::Port;
use switchover_shell::guest::memory::PAGE;
use switchover_shell::link::bulk::{Broken, SenderFaults};

/// Pages of zeros are named, and those that are not zero any more on the destination are made so.
#[test]
fn zeros_are_named_not_sent() {
    let mut pair = Pair::new(64 << 20, true);
    pair.guest.fill(5, 1);
    pair.guest.fill(6, 1);
    pair.destination_expects(1, false);
    let first = pair.round(1, true);
    assert!(first.sent.get() < 3 * PAGE as u64, "{first:?}");
    pair.guest.clear(5);
    // Touched and zero: it has to be looked at.
    pair.guest.clear(9);
    let progress = pair.source.bulk().counters().snapshot();
    assert_eq!((progress.pages, progress.zero_pages), (2, pair.there.pages() - 2));
    let (sealed, arrived) = pair.finish().expect("the end");
    assert_eq!(sealed, arrived);
    assert!(pair.there.is_zero(5) && !pair.there.is_zero(6));
    pair.assert_exact();
}

/// A destination that has more than it should, in pages that are zero here, is put right by a fresh round.
#[test]
fn a_fresh_round_clears_what_an_earlier_one_left() {
    let mut pair = Pair::new(4 << 20, true);
    for page in 0..100 {
        pair.guest.fill(page, 1);
    }
    pair.destination_expects(1, false);
    pair.round(1, true);
    pair.source.keep();
    pair.destination.discard();
    pair.connect();
    for page in 0..50 {
        // Not in the log: a fresh round does not need it.
        pair.guest.memory.write_pages(page, &[0; PAGE]).expect("inside");
    }
    pair.destination_expects(2, false);
    pair.round(2, true);
    let (sealed, arrived) = pair.finish().expect("the end");
    assert_eq!(sealed, arrived);
    pair.assert_exact();
}

/// A cap holds for pre-copy, exactly enough, and not for the stop-copy.
#[test]
fn the_bandwidth_cap_is_kept_in_precopy_alone() {
    const CAP: u64 = 64 << 20;
    let mut pair = Pair::new(32 << 20, false);
    for page in 0..pair.there.pages() {
        pair.guest.fill(page, 1);
    }
    pair.destination_expects(1, false);
    pair.source.bulk().set_max_bandwidth(Some(CAP));
    let begun = Instant::now();
    let pass = pair.round(1, true);
    let took = begun.elapsed();
    let rate = pass.sent.get() as f64 / took.as_secs_f64() / CAP as f64;
    // Not above, save for the credit; below only as far as a busy machine wakes late.
    assert!((0.7..1.06).contains(&rate), "rate {rate} of the cap, {pass:?}");
    let throttled = Duration::from_nanos(pass.throttled.get());
    assert!(throttled < took && throttled > took / 2, "throttled {throttled:?} of {took:?}");
    for page in 0..pair.there.pages() {
        pair.guest.fill(page, 2);
    }
    let begun = Instant::now();
    let (sealed, arrived) = pair.finish().expect("the end");
    assert!(begun.elapsed() < took / 2, "the stop-copy took {:?}, pre-copy {took:?}", begun.elapsed());
    assert_eq!(sealed, arrived);
}

/// A cap does not hold an abort.
#[test]
fn a_throttled_round_ends_at_once() {
    let mut pair = Pair::new(8 << 20, false);
    for page in 0..pair.there.pages() {
        pair.guest.fill(page, 1);
    }
    pair.destination_expects(1, false);
    pair.source.bulk().set_max_bandwidth(Some(1000));
    assert_eq!(pair.source.round(attempt(1), true), Err(nb::Error::WouldBlock));
    std::thread::sleep(Duration::from_millis(50));
    pair.source.keep();
    pair.source.bulk().set_max_bandwidth(None);
    pair.destination_expects(2, true);
    // The debt of the cap is gone with the cap, at the latest with the next chunk.
    let begun = Instant::now();
    pair.source.bulk().set_max_bandwidth(None);
    pair.round(2, true);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// A bit that flips on its way is seen, in pre-copy, in the stop-copy and in a state, and fresh memory is right again.
#[test]
fn a_flipped_bit_is_seen() {
    for case in 0..3 {
        let mut pair = Pair::new(4 << 20, true);
        for page in 0..200 {
            pair.guest.fill(page, 1);
        }
        let page = SenderFaults { corrupt_page: true, ..Default::default() };
        let state = SenderFaults { corrupt_state: true, ..Default::default() };
        pair.destination_expects(1, false);
        if case == 0 {
            pair.source.bulk().inject(page);
        }
        pair.round(1, true);
        if case > 0 {
            pair.source.bulk().inject([page, page, state][case]);
        }
        pair.guest.fill(100, 2);
        let (sealed, arrived) = pair.finish().expect("the end");
        assert_ne!(sealed.digest, arrived.digest, "case {case}");
        assert_eq!(sealed.chunks, arrived.chunks, "case {case}");
        assert_ne!(sealed.verify, arrived.verify, "case {case}");
        pair.source.keep();
        pair.destination.discard();
        // The same connection, but nothing is trusted: everything again.
        pair.destination_expects(2, false);
        pair.round(2, true);
        let (sealed, arrived) = pair.finish().expect("the end");
        assert_eq!(sealed, arrived, "case {case}");
        pair.assert_exact();
    }
}

/// A connection that breaks fails what is under way on both sides, with a reason; another one serves a fresh attempt.
#[test]
fn a_broken_connection_fails_and_another_one_serves() {
    let mut pair = Pair::apart(64 << 20, true);
    assert_eq!(pair.source.bulk().broken(), Some(Broken::Absent));
    assert_eq!(pair.destination.broken(), Some(Broken::Absent));
    assert_eq!(done(|| pair.source.round(attempt(1), true)), Err(Failed));
    let (relay, source, destination) = Relay::new();
    pair.source.attach(source);
    pair.destination.attach(destination);
    for page in 0..pair.there.pages() {
        pair.guest.fill(page, 1);
    }
    pair.destination_expects(2, false);
    assert_eq!(pair.source.round(attempt(2), true), Err(nb::Error::WouldBlock));
    relay.wait_for_bytes(1 << 20);
    relay.cut();
    assert_eq!(done(|| pair.source.round(attempt(2), true)), Err(Failed));
    assert_eq!(done(|| pair.destination.drain(u64::MAX)), Err(Failed));
    assert_eq!(pair.source.bulk().broken(), Some(Broken::Closed));
    assert_eq!(pair.destination.broken(), Some(Broken::Closed));
    assert_eq!(done(|| pair.source.seal()), Err(Failed));
    pair.source.keep();
    pair.destination.discard();
    pair.connect();
    pair.destination_expects(3, false);
    pair.round(3, true);
    let (sealed, arrived) = pair.finish().expect("the end");
    assert_eq!(sealed, arrived);
    pair.assert_exact();
}

/// An idle source notices that its peer is gone.
#[test]
fn a_closed_connection_is_noticed_when_nothing_is_sent() {
    let mut pair = Pair::new(1 << 20, false);
    pair.destination_expects(1, false);
    pair.round(1, true);
    assert_eq!(pair.source.bulk().broken(), None);
    let Pair { destination, source, .. } = pair;
    drop(destination);
    let begun = Instant::now();
    while source.bulk().broken().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(5), "not noticed");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// States in many slices, between pages; more than fits waits until it is taken.
#[test]
fn states_arrive_in_order_and_bounded() {
    let mut pair = Pair::new(4 << 20, false);
    pair.guest.fill(1, 1);
    pair.destination_expects(1, false);
    pair.round(1, true);
    assert_eq!(pair.source.last_pages(), Err(nb::Error::WouldBlock));
    const SLICES: u32 = 100;
    let (mut sent, mut taken) = (0, 0);
    let begun = Instant::now();
    let mut most = 0;
    while taken < SLICES {
        assert!(begun.elapsed() < bulk_pair::PATIENCE, "{sent} sent, {taken} taken");
        if sent < SLICES {
            let mut slice = vec![0; 1 << 20];
            slice[..4].copy_from_slice(&sent.to_le_bytes());
            if pair.source.bulk().send_state(Port::Device(0), slice, sent == SLICES - 1).is_ok() {
                sent += 1;
                continue;
            }
            std::thread::sleep(Duration::from_millis(1));
            let here = pair.source.bulk().counters().snapshot().bytes;
            if begun.elapsed() < Duration::from_millis(500) {
                // Nothing is taken for a while: the destination stops reading.
                most = most.max(here);
                continue;
            }
        }
        if let Some((slice, last)) = pair.destination.inbox().take(Port::Device(0)) {
            assert_eq!(slice[..4], taken.to_le_bytes());
            taken += 1;
            assert_eq!(last, taken == SLICES);
        }
    }
    assert!(most < 96 << 20, "{most} bytes went although nobody took them");
    done(|| pair.source.last_pages()).expect("pages");
    let (sealed, arrived) = pair.seal().expect("the end");
    assert_eq!(sealed, arrived);
}
