//! core's digest, with its bytes hashed by the widest registers that this processor has.
//!
//! Hashing is what a stop-copy costs beyond a bare `writev`, on both sides. core may assume nothing of its processor; here it is
//! looked at once, when the first piece is hashed.

use switchover_core::digest::{Digest, Piece};
use twox_hash::XxHash3_128;

/// As [`Digest::update`], and the same value.
pub(crate) fn update(digest: &mut Digest, piece: Piece, bytes: &[u8]) {
    let hash = XxHash3_128::oneshot_with_seed(digest.seed(), bytes);
    digest.update_hashed(piece, bytes.len() as u64, hash);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_hash_are_one_digest() {
        let bytes: Vec<u8> = (0_u32..600_000).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let (mut here, mut core) = (Digest::EMPTY, Digest::EMPTY);
        // Around every length at which the algorithm changes, and the lengths of pages and runs.
        let lengths = (0..1100).chain([4095, 4096, 4097, 65_536, 262_144, 600_000]);
        for (place, length) in (0..).zip(lengths) {
            update(&mut here, Piece::Pages(place), &bytes[..length]);
            core.update(Piece::Pages(place), &bytes[..length]);
            assert_eq!(here, core, "{length} bytes");
        }
    }
}
