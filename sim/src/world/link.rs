//! What is between the hosts: two connections, and what is under way on the bulk one.

use std::collections::VecDeque;

use switchover_core::digest::{Digest, Piece as Hashed};
use switchover_core::limits::CHUNK_PAYLOAD_MAX;
use switchover_core::units::{Bytes, BytesPerSecond};

use super::guest::Pages;

/// What was handed to the bulk connection as one.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Load {
    /// `fresh`: everything is sent again, and the digest begins anew with it.
    Pages { pages: Pages, fresh: bool },
    /// Of that attempt, and of the state at that stop of the source's.
    Slice { slot: u8, generation: u16, attempt: u32 },
}

/// One piece under way.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub load: Load,
    /// Chunks since the connection opened, this piece included.
    pub chunks: u64,
}

/// Both connections.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Counts connections: what was under way on an older one is gone.
    pub wire: u32,
    /// What one side says is lost until then: the source's, the destination's.
    pub cut_until: [u64; 2],
    /// Nothing passes until then, and nothing is lost.
    pub stands_until: u64,
    /// A partition swallowed bytes of a stream: it is broken once that is noticed.
    pub torn: bool,
    /// The last arrival of a control message, by who said it.
    pub last: [u64; 2],
    /// When the bulk connection has taken everything that was handed to it.
    pub busy_until: u64,
    /// For how long it has stood still in all.
    pub stood: u64,
    pub last_piece: u64,
    pub under_way: VecDeque<Piece>,
    pub chunks_sent: u64,
    pub chunks_arrived: u64,
    pub sent: Digest,
    pub arrived: Digest,
    /// The next piece to arrive is damaged.
    pub corrupt: bool,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            wire: 0,
            cut_until: [0; 2],
            stands_until: 0,
            torn: false,
            last: [0; 2],
            busy_until: 0,
            stood: 0,
            last_piece: 0,
            under_way: VecDeque::new(),
            chunks_sent: 0,
            chunks_arrived: 0,
            sent: Digest::EMPTY,
            arrived: Digest::EMPTY,
            corrupt: false,
        }
    }

    /// As at the beginning of a run; keeps the room.
    pub(super) fn reset(&mut self) {
        let mut under_way = std::mem::take(&mut self.under_way);
        under_way.clear();
        *self = Self { under_way, ..Self::new() };
    }

    /// A new connection: whatever was under way is gone, and both streams begin anew.
    pub(super) fn renew(&mut self, now: u64) {
        self.wire += 1;
        self.last = [now; 2];
        (self.busy_until, self.last_piece) = (now, now);
        self.under_way.clear();
        (self.chunks_sent, self.chunks_arrived) = (0, 0);
        (self.sent, self.arrived) = (Digest::EMPTY, Digest::EMPTY);
        (self.torn, self.corrupt) = (false, false);
    }

    /// Takes bytes for the bulk connection; returns when the last of them is on the wire.
    pub(super) fn take(&mut self, now: u64, bytes: Bytes, rate: BytesPerSecond) -> u64 {
        self.busy_until = self.busy_until.max(now) + rate.time_for(bytes).get();
        self.busy_until
    }

    /// A piece that was taken is on its way.
    pub(super) fn piece(&mut self, load: Load, bytes: Bytes) {
        self.chunks_sent += bytes.get().div_ceil(CHUNK_PAYLOAD_MAX as u64).max(1);
        let piece = Piece { load, chunks: self.chunks_sent };
        self.sent = hashed(self.sent, &piece, false);
        self.under_way.push_back(piece);
    }

    /// The next piece arrives; says whether it is damaged.
    pub(super) fn arrive(&mut self) -> Option<(Piece, bool)> {
        let piece = self.under_way.pop_front()?;
        let damaged = std::mem::take(&mut self.corrupt);
        self.chunks_arrived = piece.chunks;
        self.arrived = hashed(self.arrived, &piece, damaged);
        Some((piece, damaged))
    }
}

/// The digest with one more piece in it. Not of contents, of which there are none: of what they are.
fn hashed(mut digest: Digest, piece: &Piece, damaged: bool) -> Digest {
    let (kind, what) = match piece.load {
        Load::Pages { fresh, .. } => {
            if fresh {
                digest = Digest::EMPTY;
            }
            (Hashed::Pages(0), 0)
        }
        Load::Slice { slot, generation, .. } => (Hashed::Device(slot), generation),
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&piece.chunks.to_le_bytes());
    bytes[8..10].copy_from_slice(&what.to_le_bytes());
    bytes[10] = u8::from(damaged);
    digest.update(kind, &bytes);
    digest
}
