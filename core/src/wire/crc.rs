//! CRC-32C (Castagnoli), the checksum of control frames and chunk headers (\[SW-76\]).
//!
//! Of its own, since what a driver reaches must not be able to panic, and a general implementation indexes its input
//! in ways that the optimiser cannot prove: here every index is a byte into 256 entries. Eight bytes a step, from
//! 8 KiB of tables that the compiler computes.
//!
//! Not for payload: that is the stream's [`Digest`](crate::digest::Digest).

/// The polynomial, bits reversed: the least significant bit goes first.
const POLYNOMIAL: u32 = 0x82F6_3B78;
/// Bytes taken at once.
const STRIDE: usize = 8;

/// `TABLES[n][b]`: what byte `b` does to the remainder when `n` more bytes follow it.
static TABLES: [[u32; 256]; STRIDE] = tables();

const fn tables() -> [[u32; 256]; STRIDE] {
    let mut tables = [[0; 256]; STRIDE];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = if remainder & 1 == 1 { remainder >> 1 ^ POLYNOMIAL } else { remainder >> 1 };
            bit += 1;
        }
        tables[0][byte] = remainder;
        byte += 1;
    }
    // Only now: an entry of the later tables looks up any entry of the first.
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = tables[0][byte];
        let mut follow = 1;
        while follow < STRIDE {
            remainder = remainder >> 8 ^ tables[0][(remainder & 0xFF) as usize];
            tables[follow][byte] = remainder;
            follow += 1;
        }
        byte += 1;
    }
    tables
}

/// A running checksum.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Crc32c(u32);

impl Crc32c {
    /// The checksum of nothing.
    pub const fn new() -> Self {
        Self(!0)
    }

    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> u32 {
        let mut running = Self::new();
        running.update(bytes);
        running.value()
    }

    /// Takes `bytes` in.
    pub fn update(&mut self, bytes: &[u8]) {
        let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
        let (strides, rest) = bytes.as_chunks::<STRIDE>();
        for [b0, b1, b2, b3, b4, b5, b6, b7] in strides {
            let [r0, r1, r2, r3] = (self.0 ^ u32::from_le_bytes([*b0, *b1, *b2, *b3])).to_le_bytes();
            let (low, high) = (
                at(t7, r0) ^ at(t6, r1) ^ at(t5, r2) ^ at(t4, r3),
                at(t3, *b4) ^ at(t2, *b5) ^ at(t1, *b6) ^ at(t0, *b7),
            );
            self.0 = low ^ high;
        }
        for byte in rest {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = self.0 >> 8 ^ at(t0, low ^ byte);
        }
    }

    /// What it comes to.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

/// An entry: a byte cannot lie beyond 256 of them.
const fn at(table: &[u32; 256], byte: u8) -> u32 {
    table[byte as usize]
}
