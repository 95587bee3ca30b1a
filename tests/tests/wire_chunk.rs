//! Chunks of the bulk connection: the literal bytes of headers and run tables, and every bound of them.
//!
//! Control frames are in `wire.rs`.

use proptest::prelude::*;
use switchover_core::limits::{CHUNK_PAYLOAD_MAX, CHUNK_RUNS_MAX, PAGE_SIZE};
use switchover_core::port::Port;
use switchover_core::wire::chunk::{ChunkError, HEADER, Header, Kind, RUN, Run, TABLE_MAX, runs};
use switchover_core::wire::crc::Crc32c;
use switchover_tests::host::cases;

mod golden;
use golden::Golden;

/// Pages of the guest that runs are held against.
const MEMORY: u64 = 1 << 20;

fn header(kind: Kind, runs: &[Run], payload: usize) -> Header {
    Header { kind, attempt: 7, runs: runs.len() as u32, payload: payload as u32, torn_previous: false }
}

fn encoded(header: &Header, runs: &[Run]) -> Vec<u8> {
    let mut out = [0; HEADER + TABLE_MAX];
    let used = header.encode(runs, &mut out).expect("the chunk can be encoded");
    out[..used].to_vec()
}

/// What a reader does: the header, then the table, both checked.
fn read(bytes: &[u8], memory: u64) -> Result<(Header, Vec<Run>), ChunkError> {
    let (head, rest) = bytes.split_first_chunk().expect("a whole header");
    let header = Header::decode(head)?;
    let table = rest.get(..header.table()).unwrap_or(rest);
    header.check(head, table, memory)?;
    Ok((header, runs(table).collect()))
}

/// The same bytes with their checksum made right: what is judged is then the rest.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut sum = Crc32c::new();
    sum.update(&bytes[..HEADER - 4]);
    sum.update(&bytes[HEADER..]);
    bytes[HEADER - 4..HEADER].copy_from_slice(&sum.value().to_le_bytes());
    bytes
}

const TWO_RUNS: [Run; 2] = [Run { first: 5, pages: 2 }, Run { first: 0x1_0203, pages: 1 }];

/// Each kind by name, with its runs.
fn samples() -> Vec<(&'static str, Header, Vec<Run>)> {
    let state = |port, last| Kind::State { port, last };
    let torn = Header { torn_previous: true, ..header(Kind::Pages, &TWO_RUNS, 3 * PAGE_SIZE) };
    vec![
        ("pages", header(Kind::Pages, &TWO_RUNS, 3 * PAGE_SIZE), TWO_RUNS.into()),
        ("pages_after_a_torn_chunk", torn, TWO_RUNS.into()),
        ("zeros", header(Kind::Zeros, &TWO_RUNS, 0), TWO_RUNS.into()),
        ("state_of_vcpus", header(state(Port::Vcpus(1), false), &[], 300), Vec::new()),
        ("last_state_of_vcpus", header(state(Port::Vcpus(1), true), &[], 300), Vec::new()),
        ("state_of_a_device", header(state(Port::Device(3), false), &[], 0), Vec::new()),
        ("last_state_of_a_device", header(state(Port::Device(3), true), &[], 1), Vec::new()),
    ]
}

/// [SW-75] [SW-76]
#[test]
fn every_chunk_has_the_bytes_it_was_released_with() {
    let golden = Golden::read("chunk");
    for (name, header, runs) in samples() {
        let bytes = encoded(&header, &runs);
        golden.hold(name, &bytes);
        assert_eq!(read(&bytes, MEMORY), Ok((header, runs)), "{name}");
    }
    for (name, bytes) in golden.released() {
        assert!(read(&bytes, MEMORY).is_ok(), "`{name}` of version 1 is not read any more; keep its decoder");
    }
}

#[test]
fn every_single_bit_flip_of_a_header_or_table_is_refused() {
    for (name, header, runs) in samples() {
        let bytes = encoded(&header, &runs);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = read(&flipped, MEMORY);
            assert!(read.is_err(), "{name}, bit {bit}: {read:?}");
        }
    }
}

#[test]
fn a_run_must_lie_within_guest_memory() {
    let run = |first, pages| {
        let runs = [Run { first, pages }];
        // Of zeros, so that no run is too long for a payload.
        read(&encoded(&header(Kind::Zeros, &runs, 0), &runs), MEMORY).map(|_| ())
    };
    assert_eq!(run(0, 1), Ok(()));
    assert_eq!(run(MEMORY - 1, 1), Ok(()));
    assert_eq!(run(0, MEMORY as u32), Ok(()));
    for (first, pages) in [
        (MEMORY, 1),
        (MEMORY - 1, 2),
        (0, MEMORY as u32 + 1),
        (u64::MAX, 1),
        (u64::MAX, u32::MAX),
        (0, 0),
        (5, 0),
    ] {
        assert_eq!(run(first, pages), Err(ChunkError::Run), "{pages} pages from {first}");
    }
}

#[test]
fn a_payload_must_be_exactly_its_pages() {
    let payload = |kind, runs: &[Run], bytes| {
        let header = Header { payload: bytes, ..header(kind, runs, 0) };
        read(&encoded(&header, runs), MEMORY).map(|_| ())
    };
    let page = PAGE_SIZE as u32;
    assert_eq!(payload(Kind::Pages, &TWO_RUNS, 3 * page), Ok(()));
    for bytes in [0, 1, 2 * page, 3 * page - 1, 3 * page + 1, 4 * page] {
        assert_eq!(payload(Kind::Pages, &TWO_RUNS, bytes), Err(ChunkError::Bounds), "{bytes}");
    }
    assert_eq!(payload(Kind::Zeros, &TWO_RUNS, 1), Err(ChunkError::Bounds));
    // Runs that would wrap a 32-bit count of bytes to something small.
    let wrapping = [Run { first: 0, pages: 1 << 19 }, Run { first: 0, pages: 1 << 19 }];
    assert_eq!(payload(Kind::Pages, &wrapping, page), Err(ChunkError::Bounds));
}

#[test]
fn counts_are_bounded_before_anything_is_read_by_them() {
    let state = Kind::State { port: Port::Vcpus(0), last: true };
    let decode = |header: &Header| {
        let mut bytes = encoded(&Header { runs: 0, ..*header }, &[]);
        bytes[8..12].copy_from_slice(&header.runs.to_le_bytes());
        Header::decode(bytes.first_chunk().expect("a header")).map(|_| ())
    };
    let of = |kind, runs: usize, payload: usize| Header {
        kind,
        attempt: 1,
        runs: runs as u32,
        payload: payload as u32,
        torn_previous: false,
    };
    for (accepted, header) in [
        (true, of(Kind::Pages, CHUNK_RUNS_MAX, CHUNK_PAYLOAD_MAX)),
        (false, of(Kind::Pages, CHUNK_RUNS_MAX + 1, CHUNK_PAYLOAD_MAX)),
        (false, of(Kind::Pages, CHUNK_RUNS_MAX, CHUNK_PAYLOAD_MAX + 1)),
        (false, of(Kind::Pages, u32::MAX as usize, PAGE_SIZE)),
        (false, of(Kind::Pages, 0, PAGE_SIZE)),
        (false, of(Kind::Pages, 1, 0)),
        (true, of(Kind::Zeros, CHUNK_RUNS_MAX, 0)),
        (false, of(Kind::Zeros, 0, 0)),
        (false, of(Kind::Zeros, 1, PAGE_SIZE)),
        (true, of(state, 0, CHUNK_PAYLOAD_MAX)),
        (false, of(state, 0, CHUNK_PAYLOAD_MAX + 1)),
        (false, of(state, 1, 100)),
    ] {
        let expected = if accepted { Ok(()) } else { Err(ChunkError::Bounds) };
        assert_eq!(decode(&header), expected, "{header:?}");
    }
}

#[test]
fn what_is_unknown_is_an_error() {
    let bytes = encoded(&header(Kind::Pages, &TWO_RUNS, 3 * PAGE_SIZE), &TWO_RUNS);
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        read(&summed(bytes), MEMORY).map(|_| ())
    };
    assert_eq!(with(0, b'S'), Ok(()));
    assert_eq!(with(0, b'X'), Err(ChunkError::Magic));
    assert_eq!(with(1, b'X'), Err(ChunkError::Magic));
    for kind in [0, 5, 0xFF] {
        assert_eq!(with(2, kind), Err(ChunkError::Unknown), "kind {kind}");
    }
    // Flags that no version has, and one that pages do not have.
    for (at, flags) in [(16, 4), (16, 0x80), (17, 1), (19, 0x80), (16, 2)] {
        assert_eq!(with(at, flags), Err(ChunkError::Unknown), "byte {at} of the flags: {flags}");
    }
    assert_eq!(with(3, 1), Err(ChunkError::Unknown), "pages have no port");
}

#[test]
fn what_cannot_be_read_cannot_be_written() {
    let mut out = [0; HEADER + TABLE_MAX + RUN];
    let run = Run { first: 0, pages: 1 };
    let many = vec![run; CHUNK_RUNS_MAX + 1];
    assert_eq!(header(Kind::Zeros, &many, 0).encode(&many, &mut out), Err(ChunkError::Bounds));
    assert_eq!(header(Kind::Zeros, &[], 0).encode(&[run], &mut out), Err(ChunkError::Bounds));
    let small = &mut [0; HEADER + RUN - 1];
    assert_eq!(header(Kind::Zeros, &[run], 0).encode(&[run], small), Err(ChunkError::Bounds));
    for port in [Port::Memory, Port::Link, Port::Journal, Port::Arbiter, Port::Peer] {
        let state = Kind::State { port, last: true };
        assert_eq!(header(state, &[], 1).encode(&[], &mut out), Err(ChunkError::Unknown), "{port:?}");
    }
}

/// Whatever the bytes are: no panic, no allocation, and what is accepted keeps every bound.
fn endures(head: &[u8; HEADER], table: &[u8], memory: u64) {
    let mut accepted = None;
    let mut pages = 0_u64;
    let info = allocation_counter::measure(|| {
        let Ok(header) = Header::decode(head) else { return };
        let table = table.get(..header.table()).unwrap_or(table);
        if header.check(head, table, memory).is_ok() {
            accepted = Some(header);
            for run in runs(table) {
                assert!(run.pages > 0 && run.first + u64::from(run.pages) <= memory);
                pages += u64::from(run.pages);
            }
        }
    });
    assert_eq!(info.count_total, 0, "the decoder allocates");
    if let Some(header) = accepted {
        assert!(header.runs as usize <= CHUNK_RUNS_MAX && header.payload as usize <= CHUNK_PAYLOAD_MAX);
        if header.kind == Kind::Pages {
            assert_eq!(u64::from(header.payload), pages * PAGE_SIZE as u64);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(1_000, 100_000), failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_bytes_never_panic_and_never_allocate(
        head in any::<[u8; HEADER]>(),
        table in prop::collection::vec(any::<u8>(), 0..=TABLE_MAX),
        memory in any::<u64>(),
    ) {
        endures(&head, &table, memory);
    }

    /// Nearly right: a chunk of any runs with a few bytes replaced and the checksum made right again.
    #[test]
    fn damaged_chunks_never_panic_and_never_allocate(
        ranges in prop::collection::vec((0..2 * MEMORY, 0_u32..8), 1..20),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let ranges: Vec<Run> = ranges.into_iter().map(|(first, pages)| Run { first, pages }).collect();
        let pages: u32 = ranges.iter().map(|run| run.pages).sum();
        let mut bytes = encoded(&header(Kind::Pages, &ranges, pages as usize * PAGE_SIZE), &ranges);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let bytes = summed(bytes);
        let (head, table) = bytes.split_first_chunk().expect("a header");
        endures(head, table, MEMORY);
    }
}
