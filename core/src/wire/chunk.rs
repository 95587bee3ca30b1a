//! Chunks of the bulk connection: a fixed header, a table of page runs, the payload.
//!
//! ```text
//!  0     2      3      4         8        12         16      20        24
//!  | SW  | kind | port | attempt | runs   | payload  | flags | CRC-32C | runs x 12 | payload
//!                                                             run: u64 first page, u32 pages
//! ```
//!
//! The CRC covers header and run table; the payload is covered by the stream's
//! [`Digest`](crate::digest::Digest). Every number is bounded before anything is
//! read into memory by it, and a run must lie within guest memory (\[SW-76\]).

use crate::limits::{CHUNK_PAYLOAD_MAX, CHUNK_RUNS_MAX, PAGE_SIZE};
use crate::port::Port;
use crate::wire::crc::Crc32c;

/// Bytes of a chunk's header.
pub const HEADER: usize = 24;
/// Bytes of one entry of the run table.
pub const RUN: usize = 12;
/// Bytes of the longest run table.
pub const TABLE_MAX: usize = RUN * CHUNK_RUNS_MAX;

const MAGIC: [u8; 2] = *b"SW";
const TORN_PREVIOUS: u32 = 1;
const LAST_SLICE: u32 = 2;

/// What a chunk carries.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Pages, as the run table says.
    Pages,
    /// Pages of zeros, as the run table says; no payload.
    Zeros,
    /// A slice of one vCPU port's or device's state; no run table.
    State {
        /// Whose.
        port: Port,
        /// Whether it is that port's last.
        last: bool,
    },
}

/// A run of consecutive pages.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Run {
    /// The first page's number.
    pub first: u64,
    /// How many.
    pub pages: u32,
}

/// A chunk's header.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// What follows.
    pub kind: Kind,
    /// The counter of the attempt it belongs to.
    pub attempt: u32,
    /// Entries of the run table.
    pub runs: u32,
    /// Bytes of payload.
    pub payload: u32,
    /// The chunk before this one was torn by an abort: leave it out of the digest (\[SW-75\]).
    pub torn_previous: bool,
}

/// Bytes that are no chunk header. The connection cannot be trusted any further.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum ChunkError {
    /// Not a header at all.
    Magic,
    /// The checksum does not match.
    Checksum,
    /// An unknown kind, port or flag.
    Unknown,
    /// A count beyond its bound, or payload and run table do not agree.
    Bounds,
    /// A run outside guest memory.
    Run,
}

impl Header {
    /// Encodes header and run table into `out`, checksum included; returns the bytes used.
    ///
    /// # Errors
    /// [`ChunkError::Bounds`] if there are too many runs or `out` is too small,
    /// [`ChunkError::Unknown`] for a port that has no state.
    pub fn encode(&self, runs: &[Run], out: &mut [u8]) -> Result<usize, ChunkError> {
        let used = HEADER + runs.len() * RUN;
        if runs.len() > CHUNK_RUNS_MAX || runs.len() != self.runs as usize {
            return Err(ChunkError::Bounds);
        }
        let out = out.get_mut(..used).ok_or(ChunkError::Bounds)?;
        let (kind, port, mut flags) = match self.kind {
            Kind::Pages => (1, 0, 0),
            Kind::Zeros => (2, 0, 0),
            Kind::State { port, last } => {
                let flags = if last { LAST_SLICE } else { 0 };
                match port {
                    Port::Vcpus(i) => (3, i, flags),
                    Port::Device(i) => (4, i, flags),
                    Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => {
                        return Err(ChunkError::Unknown);
                    }
                }
            }
        };
        if self.torn_previous {
            flags |= TORN_PREVIOUS;
        }
        let (head, table) = out.split_at_mut(HEADER);
        let fields: [&[u8]; 8] = [
            &MAGIC,
            &[kind],
            &[port],
            &self.attempt.to_le_bytes(),
            &self.runs.to_le_bytes(),
            &self.payload.to_le_bytes(),
            &flags.to_le_bytes(),
            &[0; 4],
        ];
        for (slot, byte) in head.iter_mut().zip(fields.into_iter().flatten()) {
            *slot = *byte;
        }
        for (entry, run) in table.chunks_exact_mut(RUN).zip(runs) {
            let (first, pages) = entry.split_at_mut(8);
            first.copy_from_slice(&run.first.to_le_bytes());
            pages.copy_from_slice(&run.pages.to_le_bytes());
        }
        let sum = checksum(head, table).to_le_bytes();
        for (slot, byte) in head.iter_mut().skip(HEADER - 4).zip(sum) {
            *slot = byte;
        }
        Ok(used)
    }

    /// Decodes a header; its checksum is checked by [`Header::check`], once the run table is here.
    ///
    /// # Errors
    /// See [`ChunkError`].
    pub fn decode(head: &[u8; HEADER]) -> Result<Self, ChunkError> {
        let word = |at: usize| -> u32 {
            let mut bytes = [0; 4];
            for (slot, byte) in bytes.iter_mut().zip(head.iter().skip(at)) {
                *slot = *byte;
            }
            u32::from_le_bytes(bytes)
        };
        let [m0, m1, kind, port, ..] = *head;
        if [m0, m1] != MAGIC {
            return Err(ChunkError::Magic);
        }
        let (attempt, runs, payload, flags) = (word(4), word(8), word(12), word(16));
        if flags & !(TORN_PREVIOUS | LAST_SLICE) != 0 {
            return Err(ChunkError::Unknown);
        }
        let last = flags & LAST_SLICE != 0;
        // Pages have no port and no last slice.
        let kind = match (kind, port, last) {
            (1, 0, false) => Kind::Pages,
            (2, 0, false) => Kind::Zeros,
            (3, port, last) => Kind::State { port: Port::Vcpus(port), last },
            (4, port, last) => Kind::State { port: Port::Device(port), last },
            _ => return Err(ChunkError::Unknown),
        };
        let fits = match kind {
            Kind::Pages => runs > 0 && payload > 0,
            Kind::Zeros => runs > 0 && payload == 0,
            Kind::State { .. } => runs == 0,
        };
        if !fits || runs as usize > CHUNK_RUNS_MAX || payload as usize > CHUNK_PAYLOAD_MAX {
            return Err(ChunkError::Bounds);
        }
        Ok(Self { kind, attempt, runs, payload, torn_previous: flags & TORN_PREVIOUS != 0 })
    }

    /// Bytes of the run table.
    pub const fn table(&self) -> usize {
        self.runs as usize * RUN
    }

    /// Checks header and table against the checksum, and every run against a memory of
    /// `memory_pages`; the payload must be exactly the runs' pages.
    ///
    /// # Errors
    /// See [`ChunkError`].
    pub fn check(&self, head: &[u8; HEADER], table: &[u8], memory_pages: u64) -> Result<(), ChunkError> {
        if table.len() != self.table() {
            return Err(ChunkError::Bounds);
        }
        let stored = head.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if checksum(head, table) != stored {
            return Err(ChunkError::Checksum);
        }
        let mut pages = 0_u64;
        for run in runs(table) {
            let end = run.first.checked_add(u64::from(run.pages)).ok_or(ChunkError::Run)?;
            if run.pages == 0 || end > memory_pages {
                return Err(ChunkError::Run);
            }
            pages = pages.saturating_add(u64::from(run.pages));
        }
        let bytes = match self.kind {
            Kind::Pages => pages.saturating_mul(PAGE_SIZE as u64),
            Kind::Zeros => 0,
            Kind::State { .. } => u64::from(self.payload),
        };
        if bytes == u64::from(self.payload) { Ok(()) } else { Err(ChunkError::Bounds) }
    }
}

/// The runs of an encoded table.
pub fn runs(table: &[u8]) -> impl Iterator<Item = Run> + '_ {
    table.chunks_exact(RUN).filter_map(|entry| {
        let (first, rest) = entry.split_first_chunk::<8>()?;
        let pages = rest.first_chunk::<4>()?;
        Some(Run { first: u64::from_le_bytes(*first), pages: u32::from_le_bytes(*pages) })
    })
}

fn checksum(head: &[u8], table: &[u8]) -> u32 {
    let mut sum = Crc32c::new();
    sum.update(head.get(..HEADER - 4).unwrap_or(head));
    sum.update(table);
    sum.value()
}
