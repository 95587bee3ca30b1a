//! Whatever a peer sends on the bulk connection: a reason, and never a write where none belongs ([SW-62], [SW-76]).

mod bulk_pair;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bulk_pair::{Pair, attempt, done, sockets};
use switchover_core::digest::{Digest, Piece};
use switchover_core::hal::Failed;
use switchover_core::hal::destination::Memory as _;
use switchover_core::port::Port;
use switchover_core::wire::chunk::{ChunkError, HEADER, Header, Kind, Run, TABLE_MAX};
use switchover_core::wire::message::Seal;
use switchover_shell::guest::memory::PAGE;
use switchover_shell::link::bulk::Broken;

/// A destination of 256 pages that talks to the test itself.
fn alone(expects: bool) -> (Pair, TcpStream) {
    let mut pair = Pair::apart(1 << 20, false);
    let (ours, theirs) = sockets();
    pair.destination.attach(theirs);
    if expects {
        pair.destination_expects(1, false);
    }
    (pair, ours)
}

fn chunk(kind: Kind, runs: &[Run], payload: &[u8], torn_previous: bool) -> Vec<u8> {
    let header =
        Header { kind, attempt: 1, runs: runs.len() as u32, payload: payload.len() as u32, torn_previous };
    let mut bytes = vec![0; HEADER + TABLE_MAX];
    let used = header.encode(runs, &mut bytes).expect("fits");
    bytes.truncate(used);
    bytes.extend_from_slice(payload);
    bytes
}

fn page(first: u64, value: u8) -> Vec<u8> {
    chunk(Kind::Pages, &[Run { first, pages: 1 }], &[value; PAGE], false)
}

fn broken(pair: &Pair) -> Broken {
    let begun = Instant::now();
    loop {
        if let Some(why) = pair.destination.broken() {
            return why;
        }
        assert!(begun.elapsed() < bulk_pair::PATIENCE, "nothing was noticed");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_is_no_chunk_ends_the_connection_with_a_reason() {
    let vcpus = |port| Kind::State { port: Port::Vcpus(port), last: true };
    let mut flipped = page(3, 7);
    flipped[HEADER] ^= 1;
    let mut endless = page(3, 7);
    endless[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut crowded = page(3, 7);
    crowded[8..12].copy_from_slice(&257_u32.to_le_bytes());
    let cases = [
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_vec(), Broken::Chunk(ChunkError::Magic)),
        (vec![0xff; 3000], Broken::Chunk(ChunkError::Magic)),
        (flipped, Broken::Chunk(ChunkError::Checksum)),
        (endless, Broken::Chunk(ChunkError::Bounds)),
        (crowded, Broken::Chunk(ChunkError::Bounds)),
        (page(256, 7), Broken::Chunk(ChunkError::Run)),
        (page(u64::MAX, 7), Broken::Chunk(ChunkError::Run)),
        (chunk(Kind::Zeros, &[Run { first: 255, pages: 2 }], &[], false), Broken::Chunk(ChunkError::Run)),
        (
            chunk(Kind::Pages, &[Run { first: 1, pages: 2 }], &[7; PAGE], false),
            Broken::Chunk(ChunkError::Bounds),
        ),
        (chunk(vcpus(1), &[], b"state", false), Broken::Port),
        (chunk(Kind::State { port: Port::Device(23), last: true }, &[], b"state", false), Broken::Port),
        (page(3, 7)[..20].to_vec(), Broken::Closed),
        (page(3, 7)[..1000].to_vec(), Broken::Closed),
        (Vec::new(), Broken::Closed),
    ];
    for (bytes, why) in cases {
        let (mut pair, mut ours) = alone(true);
        // The other side may have closed before all of it is written.
        let _ = ours.write_all(&bytes);
        drop(ours);
        assert_eq!(broken(&pair), why, "{:?}", &bytes[..bytes.len().min(40)]);
        assert!(!why.to_string().is_empty());
        assert_eq!(done(|| pair.destination.drain(1)), Err(Failed));
        assert_eq!(done(|| pair.destination.verify(&Seal { chunks: 1, ..Seal::default() })), Err(Failed));
        // And the next source is served as if nothing had been.
        pair.connect();
        pair.destination_expects(2, false);
        pair.guest.fill(9, 9);
        pair.round(2, true);
        let (sealed, arrived) = pair.finish().expect("the end");
        assert_eq!(sealed, arrived);
        pair.assert_exact();
    }
}

#[test]
fn nothing_is_written_before_an_attempt_is_expected() {
    let (pair, mut ours) = alone(false);
    let _ = ours.write_all(&page(3, 7));
    assert_eq!(broken(&pair), Broken::Unasked);
    assert!(pair.there.is_zero(3));
}

#[test]
fn nothing_is_written_after_the_seal() {
    let (mut pair, mut ours) = alone(true);
    ours.write_all(&page(3, 7)).expect("sent");
    let seal = Seal { chunks: 1, ..Seal::default() };
    let arrived = done(|| pair.destination.verify(&seal)).expect("arrived");
    let mut digest = Digest::EMPTY;
    digest.update(Piece::Pages(3), &[7; PAGE]);
    assert_eq!(arrived, Seal { digest, chunks: 1, verify: None });
    let _ = ours.write_all(&page(4, 8));
    assert_eq!(broken(&pair), Broken::Unasked);
    assert!(!pair.there.is_zero(3) && pair.there.is_zero(4));
}

#[test]
fn more_than_was_sealed_is_not_what_was_sealed() {
    let (mut pair, mut ours) = alone(true);
    ours.write_all(&page(3, 7)).expect("sent");
    ours.write_all(&page(4, 8)).expect("sent");
    done(|| pair.destination.drain(2)).expect("arrived");
    let seal = Seal { chunks: 1, ..Seal::default() };
    let arrived = done(|| pair.destination.verify(&seal)).expect("an answer");
    assert_ne!(arrived.chunks, 1);
}

/// [SW-75]: the header after a torn chunk takes it out of the digest.
#[test]
fn a_torn_chunk_counts_and_is_not_digested() {
    let (mut pair, mut ours) = alone(true);
    ours.write_all(&page(3, 7)).expect("sent");
    ours.write_all(&page(4, 8)).expect("sent");
    ours.write_all(&chunk(Kind::Pages, &[Run { first: 5, pages: 1 }], &[9; PAGE], true)).expect("sent");
    ours.write_all(&chunk(Kind::Zeros, &[Run { first: 6, pages: 9 }], &[], false)).expect("sent");
    let mut digest = Digest::EMPTY;
    digest.update(Piece::Pages(3), &[7; PAGE]);
    digest.update(Piece::Pages(5), &[9; PAGE]);
    digest.update(Piece::Zeros { first: 6, pages: 9 }, &[]);
    let seal = Seal { chunks: 4, ..Seal::default() };
    assert_eq!(done(|| pair.destination.verify(&seal)), Ok(Seal { digest, chunks: 4, verify: None }));
}

/// States of an attempt that is over are read, digested and dropped; its pages are kept.
#[test]
fn what_comes_after_the_end_of_an_attempt_is_kept_only_if_it_is_memory() {
    let (mut pair, mut ours) = alone(true);
    let state = chunk(Kind::State { port: Port::Vcpus(0), last: true }, &[], b"state", false);
    ours.write_all(&state).expect("sent");
    done(|| pair.destination.drain(1)).expect("arrived");
    pair.destination.discard();
    ours.write_all(&state).expect("sent");
    ours.write_all(&page(3, 7)).expect("sent");
    done(|| pair.destination.drain(3)).expect("arrived");
    pair.destination.expect(attempt(2), true);
    assert_eq!(pair.destination.inbox().take(Port::Vcpus(0)), None);
    assert!(!pair.there.is_zero(3));
    let mut digest = Digest::EMPTY;
    digest.update(Piece::Vcpus(0), b"state");
    digest.update(Piece::Vcpus(0), b"state");
    digest.update(Piece::Pages(3), &[7; PAGE]);
    let seal = Seal { chunks: 3, ..Seal::default() };
    assert_eq!(done(|| pair.destination.verify(&seal)), Ok(Seal { digest, chunks: 3, verify: None }));
}
