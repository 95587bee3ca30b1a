//! One host: whether its machine's process lives, its clock, its timer, its journal, and the jobs it does for the machine.

use switchover_core::event::Owner;
use switchover_core::id::{AttemptId, JournalId};
use switchover_core::journal::Record;
use switchover_core::port::{Op, Port};
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::Seal;

use super::clock::Clock;
use super::journal::Journal;

/// Something that a machine asked for and that takes time.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    Port(Port, Op),
    Round,
    LastPages,
    Seal,
    Release,
    Drain {
        round: u32,
        chunks: u64,
    },
    Verify(Seal),
    Claim(AttemptId),
    /// The arbiter's answer is on its way back.
    Claimed(AttemptId, Owner),
    Yield(AttemptId),
    Connect,
    Write(Record),
}

/// The first slots are those of ports: two of vCPUs, then devices.
pub(super) const PORTS: usize = 6;
/// Slots of other jobs: one of a kind is under way at a time.
pub(super) const PASS: u8 = 6;
pub(super) const SEAL: u8 = 7;
pub(super) const DRAIN: u8 = 8;
pub(super) const RELEASE: u8 = 9;
pub(super) const CLAIM: u8 = 10;
pub(super) const YIELD: u8 = 11;
pub(super) const CONNECT: u8 = 12;
pub(super) const JOURNAL: u8 = 13;
const SLOTS: usize = 14;

/// One job.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Job {
    pub what: What,
    /// Counts jobs: an end with another token is that of a job that was taken back.
    pub token: u32,
    /// When it was asked for, on the host's clock; of a port's slices, the first.
    pub asked: At,
    /// What it may take; `None`: there is no contract.
    pub contract: Option<Ns>,
    pub fails: bool,
    /// It will never end.
    pub stuck: bool,
}

/// What a port has of the state that it saves or loads.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Slices {
    /// Saved or loaded.
    pub done: u32,
    /// Arrived, at the destination.
    pub arrived: u32,
    /// When the last one arrived, on the host's clock.
    pub last: At,
    /// Which state they are of.
    pub generation: u16,
    pub damaged: bool,
    /// What the whole takes, drawn with the first.
    pub whole: Ns,
    /// When the first was asked for.
    pub began: At,
    /// A slice is asked for and has not arrived.
    pub waits: bool,
}

/// One host.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// Its agent's process lives.
    pub alive: bool,
    /// Counts processes.
    pub life: u32,
    pub clock: Clock,
    /// When the machine wants to be called, on its clock, and the true time at which it will be.
    pub deadline: Option<At>,
    pub due: Option<u64>,
    /// Nothing of the host runs before.
    pub stands_until: u64,
    /// When it began to wait for its latest input.
    pub waits_since: u64,
    /// The process believes that its link is up.
    pub linked: bool,
    pub journal: Journal,
    pub jobs: [Option<Job>; SLOTS],
    pub slices: [Slices; PORTS],
    /// States of this attempt are taken in; what arrives of another is nobody's.
    pub expected: u32,
    pub token: u32,
}

impl Host {
    pub(super) fn new(clock: Clock, identity: JournalId) -> Self {
        Self {
            alive: true,
            life: 0,
            clock,
            deadline: None,
            due: None,
            stands_until: 0,
            waits_since: 0,
            linked: false,
            journal: Journal::new(identity),
            jobs: [None; SLOTS],
            slices: [Slices::default(); PORTS],
            expected: 0,
            token: 0,
        }
    }

    pub(super) fn has_jobs(&self) -> bool {
        self.jobs.iter().any(|job| job.is_some_and(|job| !job.stuck))
    }

    /// Takes a job whose token is this.
    pub(super) fn end(&mut self, slot: u8, token: u32) -> Option<Job> {
        let job = self.jobs.get_mut(usize::from(slot))?;
        if job.is_some_and(|job| job.token == token) { job.take() } else { None }
    }
}

/// The slot of a port.
pub(super) const fn slot_of(port: Port) -> u8 {
    match port {
        Port::Vcpus(i) => i,
        Port::Device(i) => 2 + i,
        // Never asked anything.
        Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => PASS,
    }
}
