//! P6: the record agrees with what was seen.

use switchover_core::outcome::{Ending, Reason};
use switchover_core::port::{Blame, Phase, Port, Side};
use switchover_core::record::AttemptRecord;
use switchover_core::time::{At, Ns};

use super::{Broken, Checker};

/// Which ports used more than their contract, failed, or were never done, in the attempt under way: the only ones that a
/// record may blame.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Overruns([u8; 2]);

/// What a blame may be about: a record blames a port of one of these kinds.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Word {
    /// The vCPUs.
    Vcpus,
    /// A device below the fourth; all others share its place.
    Device(u8),
    /// Memory.
    Memory,
    /// The journal.
    Journal,
    /// The link, or the peer as a whole.
    Link,
    /// The arbiter.
    Arbiter,
}

impl Word {
    /// The kind of a port.
    #[must_use]
    pub const fn of(port: Port) -> Self {
        match port {
            Port::Vcpus(_) => Self::Vcpus,
            Port::Device(i) => Self::Device(i),
            Port::Memory => Self::Memory,
            Port::Journal => Self::Journal,
            Port::Link | Port::Peer => Self::Link,
            Port::Arbiter => Self::Arbiter,
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Vcpus => 1,
            Self::Device(0) => 2,
            Self::Device(1) => 4,
            Self::Device(_) => 8,
            Self::Memory => 16,
            Self::Journal => 32,
            Self::Link => 64,
            Self::Arbiter => 128,
        }
    }
}

impl Overruns {
    /// Nobody.
    pub const NONE: Self = Self([0; 2]);

    fn add(&mut self, side: Side, word: Word) {
        self.0[side as usize] |= word.bit();
    }

    fn has(self, side: Side, word: Word) -> bool {
        self.0[side as usize] & word.bit() != 0
    }

    fn any(self) -> bool {
        self.0 != [0; 2]
    }
}

impl Checker {
    /// A port used more than its contract, failed, or was cut short while it did.
    pub fn overran(&mut self, side: Side, port: Port) {
        self.over.add(side, Word::of(port));
    }

    /// The source's record of an attempt that has ended; `late` is how late the source may hear of its own guest
    /// (nothing, unless its processor is taken away), `drift` in parts per million what both clocks may differ by.
    pub fn explained<const P: usize>(&mut self, record: &AttemptRecord<P>, late: Ns, drift: u32, now: At) {
        let Some(ended) = record.ended else {
            return self.check(false, Broken::NoRecord, now);
        };
        self.check(self.outcome_is(ended.ending), Broken::WrongOutcome, now);
        // A restarted source does not know when its guest was stopped.
        let whole = record.stopping.is_some() && ended.attempt.counter == self.source.attempt;
        if whole {
            let downtime = self.downtime_is(record, ended.blackout, late, drift, now);
            self.check(downtime, Broken::WrongDowntime, now);
            let mut rows = record.phases.iter().filter(|row| in_blackout(row.side, row.phase));
            let possible = rows.all(|row| row.measured <= ended.blackout.plus(late));
            self.check(possible, Broken::WrongPhase, now);
        }
        if let Some(blame) = ended.offender {
            self.check(self.may_be_blamed(blame, ended.ending), Broken::WrongOffender, now);
        }
    }

    fn outcome_is(&self, ending: Ending) -> bool {
        match ending {
            // It may have died there since: that it ran is what was said.
            Ending::Committed => !self.source.exists && self.destination.ran == Some(self.source.generation),
            Ending::Aborted(_) => self.runs_on_source(),
            Ending::Lost => self.source.exists && self.source.runs.vcpus().is_empty(),
        }
    }

    /// An aborted attempt's downtime is known to the source; a committed one's up to the answer's way.
    fn downtime_is<const P: usize>(
        &self,
        record: &AttemptRecord<P>,
        said: Ns,
        late: Ns,
        drift: u32,
        now: At,
    ) -> bool {
        let seen = self.latest(now);
        let committed = record.ended.is_some_and(|ended| ended.ending == Ending::Committed);
        if !committed {
            return said >= seen && said.minus(seen) <= late
                || matches!(record.ended, Some(e) if e.ending == Ending::Lost);
        }
        let Some((estimate, way)) = record.estimate() else { return said >= seen };
        // The destination's own part is measured on its clock.
        let slop = said.times(u64::from(drift)).part(1_000_000).plus(Ns::new(2));
        said >= seen && estimate.minus(way).minus(slop) <= seen
    }

    fn may_be_blamed(&self, blame: Blame, ending: Ending) -> bool {
        match (Word::of(blame.port), ending) {
            // What only failed to be heard of is blamed on what it should have been heard over.
            (Word::Link, _) => self.over.any(),
            (_, Ending::Aborted(Reason::Cancelled) | Ending::Lost) => true,
            (word, _) => self.over.has(blame.side, word),
        }
    }
}

/// Phases that lie wholly in the blackout of the source's clock.
fn in_blackout(side: Side, phase: Phase) -> bool {
    side == Side::Source
        && matches!(
            phase,
            Phase::Stop | Phase::Save | Phase::Transfer | Phase::Seal | Phase::Ready | Phase::Go
        )
}
