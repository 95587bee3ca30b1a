//! The bytes of a journal: one header slot, then record slots, 64 bytes each, little-endian.
//!
//! ```text
//!        0       4      5     6        8          16               24        28       32     40            48         56          60      64
//! record | CRC-32C | form | kind | zero | sequence | attempt.journal | counter | zero   | peer | incarnation | instance | unix seconds | zero |
//! header | CRC-32C | form | 0xff | zero | magic    | identity        | floor   | zero                                                        |
//! ```
//!
//! The checksum covers everything after itself. The sequence of the first record is 1 and has no gaps, so that a slot
//! left over from elsewhere is not taken for one of this journal's.

use switchover_core::id::{AttemptId, GuestInstance, Incarnation, JournalId};
use switchover_core::journal::{Record, RecordKind};
use switchover_core::wire::crc::Crc32c;

/// Bytes of a slot.
pub const SLOT: usize = 64;

/// The form of slots that this build writes, and the only one it reads.
const FORM: u8 = 1;
const HEADER_KIND: u8 = 0xff;
const MAGIC: [u8; 8] = *b"SWOVJRNL";

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub identity: JournalId,
    /// The highest attempt counter among the records that compaction has left out.
    pub floor: u32,
}

/// Why the first slot is no header of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoHeader {
    /// It is something else altogether.
    Foreign,
    /// It is a journal of another form.
    Form(u8),
    /// It was one; bytes have changed.
    Damaged,
}

const KINDS: [RecordKind; 9] = [
    RecordKind::Open,
    RecordKind::MayGo,
    RecordKind::Committed,
    RecordKind::Fenced,
    RecordKind::Aborted,
    RecordKind::Running,
    RecordKind::Refused,
    RecordKind::Claiming,
    RecordKind::Finished,
];

fn kind_byte(kind: RecordKind) -> u8 {
    // Numbers on disk: a kind's place never changes. A match, so that a new kind cannot be forgotten.
    match kind {
        RecordKind::Open => 0,
        RecordKind::MayGo => 1,
        RecordKind::Committed => 2,
        RecordKind::Fenced => 3,
        RecordKind::Aborted => 4,
        RecordKind::Running => 5,
        RecordKind::Refused => 6,
        RecordKind::Claiming => 7,
        RecordKind::Finished => 8,
    }
}

fn put<const N: usize>(slot: &mut [u8; SLOT], at: usize, bytes: [u8; N]) {
    slot[at..at + N].copy_from_slice(&bytes);
}

fn get<const N: usize>(slot: &[u8; SLOT], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&slot[at..at + N]);
    bytes
}

fn seal(mut slot: [u8; SLOT]) -> [u8; SLOT] {
    slot[4] = FORM;
    let checksum = Crc32c::of(&slot[4..]);
    put(&mut slot, 0, checksum.to_le_bytes());
    slot
}

fn is_whole(slot: &[u8; SLOT]) -> bool {
    u32::from_le_bytes(get(slot, 0)) == Crc32c::of(&slot[4..])
}

/// The slot of one record.
#[must_use]
pub fn encode_record(sequence: u64, record: &Record, unix_seconds: u32) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[5] = kind_byte(record.kind);
    put(&mut slot, 8, sequence.to_le_bytes());
    put(&mut slot, 16, record.attempt.journal.0.to_le_bytes());
    put(&mut slot, 24, record.attempt.counter.to_le_bytes());
    put(&mut slot, 32, record.peer.0.to_le_bytes());
    put(&mut slot, 40, record.incarnation.0.to_le_bytes());
    put(&mut slot, 48, record.instance.0.to_le_bytes());
    put(&mut slot, 56, unix_seconds.to_le_bytes());
    seal(slot)
}

/// Reads one back; `None` if it is torn, damaged, or no record.
#[must_use]
pub fn decode_record(slot: &[u8; SLOT]) -> Option<(u64, Record)> {
    if !is_whole(slot) || slot[4] != FORM {
        return None;
    }
    let record = Record {
        kind: *KINDS.get(usize::from(slot[5]))?,
        attempt: AttemptId {
            journal: JournalId(u64::from_le_bytes(get(slot, 16))),
            counter: u32::from_le_bytes(get(slot, 24)),
        },
        peer: JournalId(u64::from_le_bytes(get(slot, 32))),
        incarnation: Incarnation(u64::from_le_bytes(get(slot, 40))),
        instance: GuestInstance(u64::from_le_bytes(get(slot, 48))),
    };
    Some((u64::from_le_bytes(get(slot, 8)), record))
}

pub(super) fn encode_header(header: Header) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[5] = HEADER_KIND;
    put(&mut slot, 8, MAGIC);
    put(&mut slot, 16, header.identity.0.to_le_bytes());
    put(&mut slot, 24, header.floor.to_le_bytes());
    seal(slot)
}

pub(super) fn decode_header(slot: &[u8; SLOT]) -> Result<Header, NoHeader> {
    if get(slot, 8) != MAGIC {
        return Err(NoHeader::Foreign);
    }
    if !is_whole(slot) {
        return Err(NoHeader::Damaged);
    }
    if slot[4] != FORM || slot[5] != HEADER_KIND {
        return Err(NoHeader::Form(slot[4]));
    }
    Ok(Header {
        identity: JournalId(u64::from_le_bytes(get(slot, 16))),
        floor: u32::from_le_bytes(get(slot, 24)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_from_its_number() {
        for (index, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(usize::from(kind_byte(kind)), index);
        }
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let record = Record {
            kind: RecordKind::Running,
            attempt: AttemptId { journal: JournalId(7), counter: 3 },
            peer: JournalId(8),
            incarnation: Incarnation(9),
            instance: GuestInstance(10),
        };
        let slot = encode_record(5, &record, 1_700_000_000);
        assert_eq!(decode_record(&slot), Some((5, record)));
        for bit in 0..SLOT * 8 {
            let mut damaged = slot;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_record(&damaged), None, "bit {bit}");
        }
        assert_eq!(decode_record(&[0; SLOT]), None, "nothing is not a record");
    }
}
