//! The control link: frames in pieces, frames that are none, ends of connections, and who may ask whom.

mod link_support;

use std::io::{Read, Write};
use std::net::Shutdown;

use link_support::{door, envelope, next, quiet, session, source_link};
use switchover_core::hal::{Link, LinkInput};
use switchover_core::limits::{FRAME_MAX, MESSAGE_MAX};
use switchover_core::wire::frame::{Decoded, decode, encode};
use switchover_core::wire::message::{Echo, ToDestination, ToSource};
use switchover_shell::link::Trouble;
use switchover_shell::link::connector::connect;
use switchover_shell::link::session::Purpose;

fn frame(message: &ToDestination) -> Vec<u8> {
    encode(&envelope(7), message, &mut [0; FRAME_MAX]).expect("it fits").to_vec()
}

#[test]
fn messages_go_both_ways_in_order() {
    let mut door = door();
    let (mut source, _source_poll) = source_link(door.target(7));
    let (mut destination, _destination_poll) = door.link();
    assert!(source.send(&envelope(7), &ToDestination::Go).is_err(), "no connection yet");
    source.connect();
    assert!(matches!(next(&mut source), LinkInput::Up));
    assert!(matches!(next(&mut destination), LinkInput::Up));
    source.connect();
    assert!(matches!(next(&mut source), LinkInput::Up), "said again to whoever asks again");
    for number in 0..1000 {
        source.send(&envelope(7), &ToDestination::Ping(number)).expect("taken");
        if number % 10 == 9 {
            for expected in number - 9..=number {
                assert_eq!(
                    next(&mut destination),
                    LinkInput::Message(envelope(7), ToDestination::Ping(expected))
                );
            }
            destination.send(&envelope(7), &ToSource::Pong(Echo::Ping(number))).expect("taken");
            let pong = ToSource::Pong(Echo::Ping(number));
            assert_eq!(next(&mut source), LinkInput::Message(envelope(7), pong));
        }
    }
}

#[test]
fn a_frame_in_pieces_is_one_message_and_two_in_one_are_two() {
    let mut door = door();
    let mut source = session(&door, 7).control;
    let (mut link, _poll) = door.link();
    assert!(matches!(next(&mut link), LinkInput::Up));
    let bytes = frame(&ToDestination::Ping(1));
    for (index, byte) in bytes.iter().enumerate() {
        assert!(link.receive().is_err(), "after {index} bytes");
        source.write_all(&[*byte]).expect("written");
        if index % 8 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    assert_eq!(next(&mut link), LinkInput::Message(envelope(7), ToDestination::Ping(1)));
    let many: Vec<u8> = (0..200).flat_map(|number| frame(&ToDestination::Ping(number))).collect();
    source.write_all(&many).expect("written");
    for number in 0..200 {
        assert_eq!(next(&mut link), LinkInput::Message(envelope(7), ToDestination::Ping(number)));
    }
}

// [SW-76]
#[test]
fn bytes_that_are_no_frame_end_the_connection_by_name() {
    let long = [&(MESSAGE_MAX as u32 + 1).to_le_bytes()[..], &[0; 8]].concat();
    let none = [0; 12].to_vec();
    let mut damaged = frame(&ToDestination::Ping(1));
    damaged[9] ^= 1;
    for (bytes, word) in [(long, "impossible length"), (none, "impossible length"), (damaged, "checksum")] {
        let mut door = door();
        let mut source = session(&door, 7).control;
        let (mut link, _poll) = door.link();
        assert!(matches!(next(&mut link), LinkInput::Up));
        source.write_all(&frame(&ToDestination::Ping(5))).expect("written");
        source.write_all(&bytes).expect("written");
        assert_eq!(
            next(&mut link),
            LinkInput::Message(envelope(7), ToDestination::Ping(5)),
            "what came before counts"
        );
        assert!(matches!(next(&mut link), LinkInput::Down));
        let why = link.last_error().expect("a reason").to_string();
        assert!(why.contains(word), "{why}");
        quiet(&mut link);
        assert!(link.send(&envelope(7), &ToSource::Lost).is_err());
    }
}

#[test]
fn a_message_that_came_before_the_end_is_read_before_the_end() {
    let mut door = door();
    let mut source = session(&door, 7).control;
    let (mut link, _poll) = door.link();
    assert!(matches!(next(&mut link), LinkInput::Up));
    source.write_all(&frame(&ToDestination::Fin)).expect("written");
    source.write_all(&frame(&ToDestination::Go)[..5]).expect("written");
    source.shutdown(Shutdown::Both).expect("shut down");
    drop(source);
    std::thread::sleep(std::time::Duration::from_millis(20));
    // Writing to it fails now; what was said before is heard all the same.
    while link.send(&envelope(7), &ToSource::Lost).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(next(&mut link), LinkInput::Message(envelope(7), ToDestination::Fin));
    assert!(matches!(next(&mut link), LinkInput::Down));
}

#[test]
fn a_peer_that_reads_nothing_fills_a_bounded_buffer_and_no_more() {
    let mut door = door();
    let mut source = session(&door, 7).control;
    let (mut link, _poll) = door.link();
    assert!(matches!(next(&mut link), LinkInput::Up));
    let pong = |number| ToSource::Pong(Echo::Ping(number));
    let mut taken = 0;
    while link.send(&envelope(7), &pong(taken)).is_ok() {
        taken += 1;
        assert!(taken < 10_000_000, "unbounded");
    }
    assert_eq!(link.send(&envelope(7), &pong(taken)), Err(nb::Error::WouldBlock));
    // Every one that was taken arrives, in order and whole.
    let reader = std::thread::spawn(move || {
        let (mut bytes, mut read, mut chunk) = (Vec::new(), 0, [0; 65536]);
        while read < taken {
            let count = source.read(&mut chunk).expect("bytes");
            bytes.extend_from_slice(&chunk[..count]);
            let mut at = 0;
            while let Decoded::Whole(_, message, length) = decode::<ToSource>(&bytes[at..]).expect("frames") {
                assert_eq!(message, pong(read));
                (read, at) = (read + 1, at + length);
            }
            bytes.drain(..at);
        }
        // Kept open: a connection that closes is another test's.
        source
    });
    while !reader.is_finished() {
        assert!(link.receive().is_err());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let _open = reader.join().expect("all of them");
}

// [SW-61]
#[test]
fn h03_a_source_in_doubt_is_answered_by_a_destination_that_serves_another() {
    let mut door = door();
    let _served = session(&door, 7);
    let (mut link, _poll) = door.link();
    assert!(matches!(next(&mut link), LinkInput::Up));
    let (mut doubting, _doubting_poll) = source_link(door.target(8));
    doubting.in_doubt();
    doubting.connect();
    assert!(matches!(next(&mut doubting), LinkInput::Up));
    doubting.send(&envelope(8), &ToDestination::Query).expect("taken");
    assert_eq!(next(&mut link), LinkInput::Message(envelope(8), ToDestination::Query));
    link.send(&envelope(8), &ToSource::Stranger).expect("routed to the one who asked");
    assert_eq!(next(&mut doubting), LinkInput::Message(envelope(8), ToSource::Stranger));
    // It may not do more than ask; and the source that is served notices nothing.
    doubting.send(&envelope(8), &ToDestination::Ping(1)).expect("taken");
    quiet(&mut link);
    assert_eq!(link.last_error(), Some(&Trouble::OutOfPlace));
    assert!(matches!(next(&mut doubting), LinkInput::Down));
    link.send(&envelope(7), &ToSource::Lost).expect("the session there was is still there");
}

#[test]
fn h03_after_go_a_source_connects_again_as_one_in_doubt() {
    let mut door = door();
    let (mut source, _source_poll) = source_link(door.target(8));
    let (mut link, _poll) = door.link();
    source.connect();
    assert!(matches!(next(&mut source), LinkInput::Up));
    source.send(&envelope(8), &ToDestination::Go).expect("taken");
    assert!(matches!(next(&mut link), LinkInput::Up));
    assert_eq!(next(&mut link), LinkInput::Message(envelope(8), ToDestination::Go));
    // Its connection is lost, and another source is served before it is back.
    let again = connect(&door.target(8), Purpose::Again, 2).expect("its own place");
    assert!(matches!(next(&mut link), LinkInput::Down));
    assert!(matches!(next(&mut link), LinkInput::Up));
    assert!(matches!(next(&mut source), LinkInput::Down));
    drop(again);
    assert!(matches!(next(&mut link), LinkInput::Down));
    let _other = session(&door, 7);
    assert!(matches!(next(&mut link), LinkInput::Up));
    source.connect();
    assert!(matches!(next(&mut source), LinkInput::Up), "a new source would have been refused");
}
