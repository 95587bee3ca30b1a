//! Every bound of the core, its reason, and the relations between them.

use crate::time::Ns;

/// The version of the protocol that this build speaks, and the oldest it still does.
pub const VERSION: u16 = 1;
/// See [`VERSION`].
pub const VERSION_OLDEST: u16 = 1;

/// vCPU ports a machine can have: groups of vCPUs, not vCPUs.
pub const VCPU_PORTS_MAX: usize = 8;
/// Devices a machine can have: what is left of a 32-bit [`crate::port::PortSet`].
pub const DEVICES_MAX: usize = 24;
const _: () = assert!(VCPU_PORTS_MAX + DEVICES_MAX == 32);

/// Room for the actions that one step returns. The longest list, 8, is that of an input that
/// ends one phase of the stop-copy too late for the next: two notes and a seal (or a note, Save
/// and the last pages), then a note on who was waited for, devices rolled back, pages kept,
/// Abort, and a note of why. The rest is headroom: the tests hold that one place is always left.
pub const ACTIONS_MAX: usize = 10;

/// The longest duration a configuration may name: the RFC's 2000 s, for either limit and their sum.
pub const DURATION_MAX: Ns = Ns::from_secs(2_000);

/// Page size of the memory stream.
pub const PAGE_SIZE: usize = 4096;
/// The most page runs that one chunk of the bulk stream describes.
pub const CHUNK_RUNS_MAX: usize = 256;
/// The most payload bytes of one chunk: what an abort may have to wait for on a sound link.
pub const CHUNK_PAYLOAD_MAX: usize = 1 << 20;
const _: () = assert!(CHUNK_RUNS_MAX * PAGE_SIZE <= CHUNK_PAYLOAD_MAX);

/// The largest encoded control message, in bytes; a test encodes the largest of each.
pub const MESSAGE_MAX: usize = 192;
/// Length and checksum before a control message.
pub const FRAME_HEADER: usize = 8;
/// The largest control frame.
pub const FRAME_MAX: usize = FRAME_HEADER + MESSAGE_MAX;

/// Messages a driver holds for a link that takes none at the moment. What finds no room is
/// lost as if on the wire: whatever an answer is awaited to is said again.
pub const OUTBOX_MAX: usize = 8;
/// Records a driver holds for a journal that is busy: one a decision, and at most
/// MayGo, Fenced, Committed and Aborted of one attempt.
pub const RECORDS_MAX: usize = 4;
/// Rounds of one driver poll before it hands control back: a flood of messages must not
/// keep the host from its other work.
pub const POLL_ROUNDS_MAX: usize = 64;
