//! The digest that both sides compute over everything on the bulk stream.
//!
//! It covers (kind, address or device, length, bytes) of every piece, in order, and
//! chains over attempts for as long as the destination's warm memory lives (\[SW-74\]).
//! It guards against faults, not against forgery: a hostile peer is the transport's matter.
//!
//! Ports compute it where they move the bytes, never inside a machine's step: its cost
//! is proportional to the data.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// What one piece of the stream is.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Piece {
    /// A run of pages; the number of the first.
    Pages(u64),
    /// A run of pages that hold only zeros; the number of the first. No bytes follow.
    Zeros {
        /// The first page.
        first: u64,
        /// How many.
        pages: u32,
    },
    /// A slice of a vCPU port's state.
    Vcpus(u8),
    /// A slice of a device's state.
    Device(u8),
}

/// A running digest: 128 bits and the number of pieces.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Digest {
    high: u64,
    low: u64,
    pieces: u64,
}

impl Digest {
    /// The digest of nothing: a fresh chain.
    pub const EMPTY: Self = Self { high: 0, low: 0, pieces: 0 };

    /// Takes one piece in. Linear in `bytes`.
    pub fn update(&mut self, piece: Piece, bytes: &[u8]) {
        self.update_hashed(piece, bytes.len() as u64, xxh3_128_with_seed(bytes, self.seed()));
    }

    /// What the bytes of the next piece are hashed with, by whoever uses [`Digest::update_hashed`].
    pub const fn seed(&self) -> u64 {
        self.low
    }

    /// Takes one piece in whose `len` bytes the caller has hashed itself, by XXH3-128 under [`Digest::seed`]: a host may
    /// have an implementation that uses wider registers than may be assumed here.
    // [SW-72]
    pub fn update_hashed(&mut self, piece: Piece, len: u64, payload: u128) {
        let (tag, place) = match piece {
            Piece::Pages(first) => (1, first),
            Piece::Zeros { first, pages } => (2 | (pages as u64) << 8, first),
            Piece::Vcpus(port) => (3, port as u64),
            Piece::Device(device) => (4, device as u64),
        };
        let mut link = [0_u8; 48];
        let words = [self.high, self.low, tag, place, payload as u64, (payload >> 64) as u64];
        for (slot, word) in link.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        let chained = xxh3_128_with_seed(&link, len);
        self.high = (chained >> 64) as u64;
        self.low = chained as u64;
        self.pieces = self.pieces.wrapping_add(1);
    }

    /// How many pieces went in.
    pub const fn pieces(&self) -> u64 {
        self.pieces
    }

    /// The 128 bits.
    pub const fn value(&self) -> u128 {
        ((self.high as u128) << 64) | self.low as u128
    }
}
