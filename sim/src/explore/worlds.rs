//! The worlds that are explored, by name.

use super::reached::Reached;
use super::world::{From, Guest, Timing, World};

/// One run, nothing goes wrong but the network.
const CALM: World = World {
    name: "calm",
    reaches: &[
        Reached::Committed,
        Reached::InDoubt,
        Reached::Doomed,
        Reached::TooLate,
        Reached::NotAdmitted,
        Reached::PeerLost,
        Reached::Superseded,
        Reached::Finished,
        Reached::PeerDecides,
    ],
    states: 63840,
    about: "one attempt; messages are lost, delayed, doubled and reordered, and nothing else goes wrong",
    guest: Guest::DiesWithAgent,
    devices: 0,
    arbiter: false,
    runs: 1,
    retries: 1,
    crashes: [0, 0],
    cuts: 0,
    failures: 0,
    cancels: [0, 0],
    fences: 0,
    lost_journals: 0,
    late: true,
    timing: None,
    #[cfg(feature = "mutants")]
    mutant: None,
};

/// Clocks that agree, and the smallest contracts at which no two of them are the same.
const AGREE: Timing = Timing {
    from: From::Sealed,
    hard_limit: 36,
    work: 1,
    rollback: 3,
    resume: 2,
    journal: 2,
    source_journal: 1,
    source_timer: 1,
    timer: 1,
    delay: 2,
    claim: 2,
    again: 400,
    drift_ppm: 0,
    gains: [1, 1],
    per: 1,
};

const B: World = World { guest: Guest::OutlivesAgent, ..CALM };

/// The worlds that every test run explores.
const STANDARD: &[World] = &[
    CALM,
    World {
        name: "failure",
        reaches: &[
            Reached::Committed,
            Reached::PortFailed,
            Reached::JournalFailed,
            Reached::RefusedDigest,
            Reached::RefusedPortFailed,
            Reached::RefusedJournalFailed,
            Reached::RollbackFailed,
        ],
        states: 235782,
        about: "one job fails, in every way in which it can; any input may be late",
        failures: 1,
        ..CALM
    },
    World {
        name: "device",
        reaches: &[
            Reached::Committed,
            Reached::Cancelled,
            Reached::CancelRequested,
            Reached::Ineffective,
            Reached::DeviceLost,
            Reached::PortFailed,
            Reached::RefusedPortFailed,
        ],
        states: 566712,
        about: "the same with a device",
        failures: 1,
        devices: 1,
        cancels: [1, 0],
        late: false,
        ..CALM
    },
    World {
        name: "crash-a",
        reaches: &[
            Reached::Committed,
            Reached::Lost,
            Reached::PeerChanged,
            Reached::RefusedLinkLost,
            Reached::InDoubt,
            Reached::Finished,
        ],
        states: 5315723,
        about: "either process dies once, and the guest with it; a link breaks",
        crashes: [1, 1],
        cuts: 1,
        late: false,
        ..CALM
    },
    World {
        name: "timed-stop",
        reaches: &[Reached::Doomed, Reached::TooLate],
        states: 112128,
        about: "clocks that agree; every end before Ready",
        late: false,
        timing: Some(Timing { from: From::Stop, ..AGREE }),
        ..CALM
    },
    World {
        name: "timed",
        reaches: &[Reached::Committed, Reached::TooLate, Reached::RefusedLeaseEnded],
        states: 393070,
        about: "clocks that agree; every end from Sealed on",
        late: false,
        timing: Some(AGREE),
        ..CALM
    },
    World {
        name: "timed-arbiter",
        reaches: &[Reached::Committed, Reached::ClaimWon, Reached::InDoubt],
        states: 1145899,
        about: "the same with an arbiter",
        arbiter: true,
        late: false,
        timing: Some(Timing { hard_limit: 44, ..AGREE }),
        ..CALM
    },
    World {
        name: "timed-drift-slow",
        reaches: &[Reached::Committed, Reached::TooLate, Reached::RefusedLeaseEnded],
        states: 426192,
        about: "the source's clock slow, the destination's fast",
        late: false,
        timing: Some(Timing { hard_limit: 44, drift_ppm: 100_000, gains: [9, 11], per: 10, ..AGREE }),
        ..CALM
    },
    World {
        name: "timed-drift",
        reaches: &[Reached::Committed, Reached::TooLate, Reached::RefusedLeaseEnded],
        states: 529536,
        about: "the source's clock fast, the destination's slow",
        late: false,
        timing: Some(Timing { hard_limit: 44, drift_ppm: 100_000, gains: [11, 9], per: 10, ..AGREE }),
        ..CALM
    },
];

/// More, and larger ones.
const LARGE: &[World] = &[
    World {
        name: "crash-b",
        reaches: &[Reached::Committed, Reached::Restarted, Reached::RolledForward, Reached::PeerChanged],
        states: 7998920,
        about: "either process dies once, and the guest outlives it",
        crashes: [1, 1],
        late: false,
        ..B
    },
    World {
        name: "faults",
        about: "one job fails, either operator cancels, a link breaks; any input may be late",
        failures: 1,
        cancels: [1, 1],
        cuts: 1,
        ..CALM
    },
    World {
        name: "arbiter-a",
        reaches: &[
            Reached::Committed,
            Reached::Lost,
            Reached::ClaimWon,
            Reached::ClaimLost,
            Reached::Yielded,
            Reached::RefusedClaimLost,
        ],
        states: 0,
        about: "an arbiter, and the destination dies",
        arbiter: true,
        crashes: [0, 1],
        late: false,
        ..CALM
    },
    World {
        name: "arbiter-b",
        reaches: &[
            Reached::Committed,
            Reached::ClaimWon,
            Reached::ClaimLost,
            Reached::Yielded,
            Reached::RolledForward,
        ],
        states: 0,
        about: "an arbiter, and the destination's agent dies",
        arbiter: true,
        crashes: [0, 1],
        late: false,
        ..B
    },
    World {
        name: "journal-lost",
        reaches: &[Reached::Stranger, Reached::RolledForward],
        states: 0,
        about: "the destination's journal is lost at its restart",
        crashes: [0, 1],
        lost_journals: 1,
        late: false,
        ..B
    },
    World {
        name: "crash-b-cut",
        about: "crash-b, and a link breaks",
        crashes: [1, 1],
        cuts: 1,
        late: false,
        ..B
    },
];

/// Those that every test run explores, all of them within seconds.
#[must_use]
pub const fn standard() -> &'static [World] {
    STANDARD
}

/// Every world, the standard ones first.
pub fn worlds() -> impl Iterator<Item = &'static World> {
    STANDARD.iter().chain(LARGE)
}

/// The world of that name.
#[must_use]
pub fn world(name: &str) -> Option<&'static World> {
    worlds().find(|world| world.name == name)
}
