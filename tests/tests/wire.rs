//! Control frames: the literal bytes of every message, and what a decoder makes of everything else.
//!
//! Chunks of the bulk connection are in `wire_chunk.rs`.

mod golden;
mod wire_samples;

use std::fmt::Debug;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use switchover_core::limits::{FRAME_HEADER, FRAME_MAX, MESSAGE_MAX, VERSION, VERSION_OLDEST};
use switchover_core::wire::crc::Crc32c;
use switchover_core::wire::frame::{Decoded, FrameError, decode, encode};
use switchover_core::wire::message::{Envelope, ToDestination, ToSource};
use switchover_core::wire::version::Offer;
use switchover_tests::host::cases;

use golden::Golden;
use wire_samples::{envelope, longest_envelope, to_destination, to_source};

fn frame<M: Serialize>(envelope: &Envelope, message: &M) -> Vec<u8> {
    let mut out = [0; FRAME_MAX];
    encode(envelope, message, &mut out).expect("a message fits its frame").to_vec()
}

/// The longest samples travel in the longest envelope.
fn envelope_of(name: &str) -> Envelope {
    if name.ends_with("_max") { longest_envelope() } else { envelope() }
}

/// Every sample's frame, of both directions.
fn frames() -> Vec<Vec<u8>> {
    let there = to_destination().into_iter().map(|(name, message)| frame(&envelope_of(name), &message));
    let back = to_source().into_iter().map(|(name, message)| frame(&envelope_of(&name), &message));
    there.chain(back).collect()
}

/// [SW-76]
#[test]
fn every_message_has_the_bytes_it_was_released_with() {
    let golden = Golden::read("to_destination");
    for (name, message) in to_destination() {
        let envelope = envelope_of(name);
        let bytes = frame(&envelope, &message);
        golden.hold(name, &bytes);
        assert_eq!(decode(&bytes), Ok(Decoded::Whole(envelope, message, bytes.len())), "{name}");
    }
    let golden = Golden::read("to_source");
    for (name, message) in to_source() {
        let envelope = envelope_of(&name);
        let bytes = frame(&envelope, &message);
        golden.hold(&name, &bytes);
        assert_eq!(decode(&bytes), Ok(Decoded::Whole(envelope, message, bytes.len())), "{name}");
    }
}

#[test]
fn everything_that_was_ever_released_is_still_read() {
    let whole = |name: &str, length: usize, used: Option<usize>| {
        assert_eq!(used, Some(length), "`{name}` of version 1 is not read any more; keep its decoder");
    };
    for (name, bytes) in Golden::read("to_destination").released() {
        whole(name, bytes.len(), used(decode::<ToDestination>(&bytes)));
    }
    for (name, bytes) in Golden::read("to_source").released() {
        whole(name, bytes.len(), used(decode::<ToSource>(&bytes)));
    }
}

fn used<M>(decoded: Result<Decoded<M>, FrameError>) -> Option<usize> {
    match decoded {
        Ok(Decoded::Whole(_, _, used)) => Some(used),
        Ok(Decoded::Partial(_)) | Err(_) => None,
    }
}

#[test]
fn the_largest_message_fits() {
    let largest = frames().iter().map(Vec::len).max().expect("there are frames");
    println!("the largest frame has {largest} of {FRAME_MAX} bytes");
    assert!(largest - FRAME_HEADER <= MESSAGE_MAX);
    assert!(
        largest - FRAME_HEADER > MESSAGE_MAX / 2,
        "MESSAGE_MAX promises readers more room than any message needs"
    );
}

#[test]
fn the_checksum_is_crc_32c_over_length_and_body() {
    // The check value that the polynomial's catalogue gives.
    assert_eq!(Crc32c::of(b"123456789"), 0xE306_9283);
    for bytes in frames() {
        let mut sum = Crc32c::new();
        sum.update(&bytes[..4]);
        sum.update(&bytes[FRAME_HEADER..]);
        assert_eq!(bytes[4..8], sum.value().to_le_bytes());
        assert_eq!(bytes[..4], u32::try_from(bytes.len() - FRAME_HEADER).expect("short").to_le_bytes());
    }
}

/// A checksum is the same however its input is cut, and as a plain loop over bits has it.
#[test]
fn a_checksum_does_not_depend_on_how_its_input_is_cut() {
    let bytes: Vec<u8> = (0..67_u32).map(|n| (n * 37) as u8).collect();
    let mut plain = !0_u32;
    for byte in &bytes {
        plain ^= u32::from(*byte);
        for _ in 0..8 {
            plain = if plain & 1 == 1 { plain >> 1 ^ 0x82F6_3B78 } else { plain >> 1 };
        }
    }
    for cut in 0..=bytes.len() {
        let mut sum = Crc32c::default();
        sum.update(&bytes[..cut]);
        sum.update(&bytes[cut..]);
        assert_eq!(sum.value(), !plain, "cut at {cut}");
    }
}

#[test]
fn a_frame_cut_anywhere_is_partial_and_says_how_much_is_missing() {
    fn check<M: DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
        for cut in 0..bytes.len() {
            match decode::<M>(&bytes[..cut]) {
                // Exactly the rest once the length is there; the rest of the header before.
                Ok(Decoded::Partial(missing)) => {
                    let whole = if cut < 4 { FRAME_HEADER } else { bytes.len() };
                    assert_eq!(missing, whole - cut, "cut at {cut} of {}", bytes.len());
                }
                other => panic!("cut at {cut} of {}: {other:?}", bytes.len()),
            }
        }
        // What follows a frame is the next frame's.
        let mut longer = bytes.to_vec();
        longer.extend_from_slice(bytes);
        assert_eq!(used(decode::<M>(&longer)), Some(bytes.len()));
    }
    for (name, message) in to_destination() {
        check::<ToDestination>(&frame(&envelope_of(name), &message));
    }
    for (name, message) in to_source() {
        check::<ToSource>(&frame(&envelope_of(&name), &message));
    }
}

/// Refused, not merely not taken: with more bytes behind it, a length that grew does not wait for ever.
#[test]
fn every_single_bit_flip_of_a_frame_is_refused() {
    fn check<M: DeserializeOwned + Debug>(bytes: &[u8]) {
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(used(decode::<M>(&flipped)).is_none(), "bit {bit} of {bytes:02x?}");
            flipped.resize(FRAME_MAX, 0);
            let decoded = decode::<M>(&flipped);
            assert!(decoded.is_err(), "bit {bit} of {bytes:02x?}: {decoded:?}");
        }
    }
    for (name, message) in to_destination() {
        check::<ToDestination>(&frame(&envelope_of(name), &message));
    }
    for (name, message) in to_source() {
        check::<ToSource>(&frame(&envelope_of(&name), &message));
    }
}

#[test]
fn a_length_is_bounded_before_anything_is_waited_for() {
    for length in [0, MESSAGE_MAX as u32 + 1, u32::MAX] {
        assert_eq!(decode::<ToSource>(&length.to_le_bytes()), Err(FrameError::Length), "{length}");
    }
    let longest = (MESSAGE_MAX as u32).to_le_bytes();
    assert_eq!(decode::<ToSource>(&longest), Ok(Decoded::Partial(FRAME_HEADER + MESSAGE_MAX - 4)));
}

/// A frame around any body: with the right length and checksum, so that the body itself is judged.
fn around(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short").to_le_bytes();
    let mut sum = Crc32c::new();
    sum.update(&length);
    sum.update(body);
    [&length[..], &sum.value().to_le_bytes(), body].concat()
}

#[test]
fn a_body_must_be_a_message_to_its_last_byte() {
    for bytes in frames() {
        let body = &bytes[FRAME_HEADER..];
        for shorter in 1..body.len() {
            let cut = around(&body[..shorter]);
            assert!(used(decode::<ToDestination>(&cut)).is_none_or(|used| used == cut.len()));
        }
        let longer = around(&[body, &[0]].concat());
        assert_eq!(
            decode::<ToDestination>(&longer).and(decode::<ToSource>(&longer).map(|_| ())),
            Err(FrameError::Body)
        );
    }
    // A kind that no version 1 speaks.
    let mut unknown = frame(&envelope(), &ToSource::Stranger);
    let last = unknown.len() - 1;
    unknown[last] = 0x7F;
    assert_eq!(decode::<ToSource>(&around(&unknown[FRAME_HEADER..])), Err(FrameError::Body));
}

/// Whatever `bytes` are, decoding them neither panics nor allocates; the answer keeps its promises.
fn endures(bytes: &[u8]) {
    let mut answers = (None, None);
    let info = allocation_counter::measure(|| {
        answers = (Some(decode::<ToDestination>(bytes)), Some(decode::<ToSource>(bytes)));
    });
    assert_eq!(info.count_total, 0, "the decoder allocates");
    let sound = |answer: Result<Option<usize>, usize>| match answer {
        Ok(Some(used)) => assert!(used <= bytes.len()),
        Ok(None) => {}
        Err(missing) => assert!(missing > 0 && bytes.len() + missing <= FRAME_MAX),
    };
    fn seen<M>(answer: Option<Result<Decoded<M>, FrameError>>) -> Result<Option<usize>, usize> {
        match answer.expect("an answer") {
            Ok(Decoded::Whole(_, _, used)) => Ok(Some(used)),
            Ok(Decoded::Partial(missing)) => Err(missing),
            Err(_) => Ok(None),
        }
    }
    sound(seen(answers.0));
    sound(seen(answers.1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(2_000, 200_000), failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_bytes_never_panic_and_never_allocate(bytes in prop::collection::vec(any::<u8>(), 0..2 * FRAME_MAX)) {
        endures(&bytes);
    }

    #[test]
    fn arbitrary_bodies_never_panic_and_never_allocate(body in prop::collection::vec(any::<u8>(), 1..=MESSAGE_MAX)) {
        endures(&around(&body));
    }

    /// Nearly right: a real body with a few bytes replaced.
    #[test]
    fn damaged_bodies_never_panic_and_never_allocate(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let frames = frames();
        let mut body = which.get(&frames)[FRAME_HEADER..].to_vec();
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        endures(&around(&body));
    }
}

#[test]
fn encoding_never_allocates() {
    let messages = to_destination();
    let info = allocation_counter::measure(|| {
        for (_, message) in &messages {
            let mut out = [0; FRAME_MAX];
            assert!(encode(&longest_envelope(), message, &mut out).is_ok());
        }
    });
    assert_eq!(info.count_total, 0, "the encoder allocates");
}

/// [SW-77]
#[test]
fn the_highest_common_version_is_chosen_or_none() {
    let offer = |oldest, newest| Offer { oldest, newest };
    for (ours, theirs, chosen) in [
        (offer(1, 1), offer(1, 1), Some(1)),
        (offer(1, 3), offer(2, 5), Some(3)),
        (offer(1, 3), offer(3, 3), Some(3)),
        (offer(1, 2), offer(3, 4), None),
        (offer(0, u16::MAX), offer(7, 7), Some(7)),
        // An offer that is none.
        (offer(5, 4), offer(1, 9), None),
    ] {
        assert_eq!(ours.choose(theirs), chosen, "{ours:?} {theirs:?}");
        assert_eq!(theirs.choose(ours), chosen, "{theirs:?} {ours:?}");
    }
    assert_eq!(Offer::OURS, offer(VERSION_OLDEST, VERSION));
    assert_eq!(Offer::OURS.choose(Offer::OURS), Some(VERSION));
}
