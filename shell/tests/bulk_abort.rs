//! An abort is over at once, whatever the link does, and loses no page.

mod bulk_pair;

use std::time::{Duration, Instant};

use bulk_pair::relay::Relay;
use bulk_pair::{Pair, attempt, done};
use switchover_core::hal::destination::Memory as _;
use switchover_core::hal::source::Memory as _;
use switchover_core::port::Port;
use switchover_shell::guest::memory::PAGE;
use switchover_shell::link::bulk::{SendState, SenderFaults};

const SIZE: u64 = 64 << 20;
/// What a call that does not wait may take on a machine whose processors are busy.
const AT_ONCE: Duration = Duration::from_millis(20);

/// A pair with a relay between, a warm destination, and a guest that has written everything since.
fn stalled_in_the_stop_copy() -> (Pair, Relay) {
    let mut pair = Pair::apart(SIZE, true);
    let (relay, source, destination) = Relay::new();
    pair.source.attach(source);
    pair.destination.attach(destination);
    pair.destination_expects(1, false);
    for page in 0..pair.there.pages() {
        pair.guest.fill(page, 1);
    }
    pair.round(1, true);
    pair.round(1, false);
    for page in 0..pair.there.pages() {
        pair.guest.fill(page, 2);
    }
    relay.pause();
    assert_eq!(pair.source.last_pages(), Err(nb::Error::WouldBlock));
    pair.state(b"state that never leaves");
    // Until the buffers are full and a chunk is half written.
    let mut before = 0;
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let now = pair.source.bulk().counters().snapshot().bytes;
        if now == before {
            break;
        }
        before = now;
    }
    assert_eq!(pair.source.last_pages(), Err(nb::Error::WouldBlock), "the link is stalled");
    (pair, relay)
}

fn keep_at_once(pair: &mut Pair) {
    let begun = Instant::now();
    pair.source.keep();
    let took = begun.elapsed();
    assert!(took < AT_ONCE, "keep took {took:?}");
}

/// [SW-26], [SW-75]: cut in the middle of a chunk, then again, with writes before, during and after.
#[test]
fn what_an_abort_cut_off_arrives_with_the_next_attempt() {
    let (mut pair, relay) = stalled_in_the_stop_copy();
    keep_at_once(&mut pair);
    pair.destination.discard();
    // The guest runs again, and writes what is half sent too.
    for page in (0..pair.there.pages()).step_by(3) {
        pair.guest.fill(page, 3);
    }
    // The next attempt is asked for while the link is stalled still.
    pair.destination_expects(2, true);
    assert_eq!(pair.source.round(attempt(2), false), Err(nb::Error::WouldBlock));
    relay.resume();
    let pass = done(|| pair.source.round(attempt(2), false)).expect("round");
    assert!(pass.sent.get() < 2 * SIZE, "{pass:?}");
    done(|| pair.destination.drain(pass.chunks)).expect("drain");
    for page in (0..pair.there.pages()).step_by(5) {
        pair.guest.fill(page, 4);
    }
    let (sealed, arrived) = pair.finish().expect("the end");
    assert_eq!(sealed, arrived);
    assert!(sealed.verify.is_some() && relay.torn() == 1, "torn chunks: {}", relay.torn());
    assert_eq!(relay.chunks(), sealed.chunks);
    pair.assert_exact();
    // Of the first attempt's state nothing is left.
    assert_eq!(pair.destination.inbox().take(Port::Vcpus(0)), Some((b"vcpus".to_vec(), true)));
}

/// A link that is stalled for ever holds neither an abort nor the end of the process.
#[test]
fn a_link_that_never_moves_again_holds_nothing() {
    let (mut pair, relay) = stalled_in_the_stop_copy();
    keep_at_once(&mut pair);
    for counter in 2..5 {
        assert_eq!(pair.source.round(attempt(counter), false), Err(nb::Error::WouldBlock));
        keep_at_once(&mut pair);
    }
    let begun = Instant::now();
    let Pair { source, .. } = pair;
    drop(source);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "the end took {took:?}");
    drop(relay);
}

/// Aborts at random moments beside a guest that writes all the time.
#[test]
fn many_aborts_and_a_clean_end() {
    let mut pair = Pair::new(8 << 20, true);
    let pages = pair.there.pages();
    pair.destination_expects(1, false);
    let busy = pair.guest.busy(pages);
    pair.round(1, true);
    for counter in 2..30 {
        pair.destination_expects(counter, true);
        let _ = pair.source.round(attempt(counter), false);
        std::thread::sleep(Duration::from_micros(u64::from(counter) * 97 % 1500));
        pair.source.keep();
        pair.destination.discard();
    }
    pair.destination_expects(30, true);
    pair.round(30, false);
    busy.stop();
    let (sealed, arrived) = pair.finish().expect("the end");
    assert_eq!(sealed, arrived);
    pair.assert_exact();
}

/// [SW-74]: an idle guest's second attempt sends next to nothing.
#[test]
fn warm_memory_is_not_sent_again() {
    let mut pair = Pair::new(SIZE, true);
    for page in 0..pair.there.pages() / 2 {
        pair.guest.fill(page, 1);
    }
    pair.destination_expects(1, false);
    let first = pair.round(1, true);
    pair.finish().expect("the seal");
    pair.source.keep();
    pair.destination.discard();
    pair.guest.fill(3, 9);
    pair.destination_expects(2, true);
    let second = pair.round(2, false);
    assert!(second.sent.get() < first.sent.get() / 100, "{first:?} {second:?}");
    let (sealed, arrived) = pair.finish().expect("the end");
    assert_eq!(sealed, arrived);
    pair.assert_exact();
}

/// A helper that is late with its state after an abort does no harm.
#[test]
fn states_of_an_attempt_that_is_over_are_refused() {
    let mut pair = Pair::new(1 << 20, false);
    pair.destination_expects(1, false);
    pair.round(1, true);
    let states = pair.source.bulk().states();
    assert_eq!(states.send(Port::Device(0), vec![1; 100], false), Ok(()));
    pair.source.keep();
    pair.destination.discard();
    assert_eq!(states.send(Port::Device(0), vec![2; 100], true), Err(SendState::Over));
    assert_eq!(
        pair.source.bulk().send_state(Port::Device(0), vec![0; (1 << 20) + 1], true),
        Err(SendState::Unfit)
    );
    assert_eq!(pair.source.bulk().send_state(Port::Memory, vec![0], true), Err(SendState::Unfit));
    pair.destination_expects(2, true);
    pair.round(2, false);
    let (sealed, arrived) = pair.finish().expect("the end");
    assert_eq!(sealed, arrived);
    assert_eq!(pair.destination.inbox().take(Port::Device(0)), None);
}

/// `stall:link`: nothing leaves from t = 0 on, and an abort ends it.
#[test]
fn a_stalled_link_holds_the_stop_copy_and_no_abort() {
    let mut pair = Pair::new(4 << 20, false);
    pair.guest.fill(1, 1);
    pair.destination_expects(1, false);
    pair.source.bulk().inject(SenderFaults { stall: Some(Duration::from_secs(60)), ..Default::default() });
    let round = pair.round(1, true);
    assert!(round.sent.get() > PAGE as u64, "pre-copy is not stalled: {round:?}");
    pair.guest.fill(1, 2);
    let before = pair.source.bulk().counters().snapshot().bytes;
    pair.state(b"state");
    assert_eq!(pair.source.last_pages(), Err(nb::Error::WouldBlock));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(pair.source.last_pages(), Err(nb::Error::WouldBlock));
    assert_eq!(pair.source.bulk().counters().snapshot().bytes, before, "something left");
    keep_at_once(&mut pair);
    pair.destination.discard();
    pair.destination_expects(2, true);
    pair.source.bulk().inject(SenderFaults { stall: Some(Duration::from_millis(150)), ..Default::default() });
    pair.round(2, false);
    let begun = Instant::now();
    let (sealed, arrived) = pair.finish().expect("the end");
    assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
    assert_eq!(sealed, arrived);
    pair.assert_exact();
}

/// The guest runs again the moment an abort is asked for, while the thread may be in the middle of a chunk that it
/// sends straight from guest memory: that chunk must not be taken for what was sent.
#[test]
fn a_guest_that_writes_right_after_an_abort_breaks_no_digest() {
    let mut pair = Pair::new(8 << 20, false);
    let pages = pair.there.pages();
    pair.destination_expects(1, false);
    pair.round(1, true);
    for counter in 2..60 {
        for page in 0..pages {
            pair.guest.fill(page, counter.into());
        }
        pair.destination_expects(counter, true);
        // Nothing to send yet, as far as is known: the log is read when the guest is stopped.
        assert_eq!(pair.source.last_pages(), Err(nb::Error::WouldBlock));
        std::thread::sleep(Duration::from_micros(u64::from(counter) * 131 % 2500));
        pair.source.keep();
        let busy = pair.guest.busy(pages);
        pair.destination.discard();
        std::thread::sleep(Duration::from_millis(2));
        busy.stop();
        if counter % 8 == 0 {
            pair.destination_expects(counter, true);
            pair.round(counter, false);
            let (sealed, arrived) = pair.finish().expect("the end");
            assert_eq!(sealed, arrived, "attempt {counter}");
            pair.assert_exact();
            pair.source.keep();
            pair.destination.discard();
        }
    }
}
