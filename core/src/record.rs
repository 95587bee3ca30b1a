//! The record of an attempt (P6, \[SW-79\]): planned and measured, slack, outcome, offender.
//!
//! Lies outside the machines and is fed by the notes among their actions; fixed size.
//! A host keeps one [`Recorder`] a side and takes each attempt's record when it ends.

use heapless::Vec;

use crate::action::{Alarm, Note};
use crate::admission::Verdict;
use crate::id::AttemptId;
use crate::outcome::{Ended, Ending, Reason};
use crate::port::{Blame, Phase, Port, PortSet, Side};
use crate::time::{At, Ns};
use crate::units::Bytes;

/// One phase of one port.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct PhaseRow {
    /// Where.
    pub side: Side,
    /// Whose.
    pub port: Port,
    /// Which.
    pub phase: Phase,
    /// Its contract; zero where none is known on this side.
    pub planned: Ns,
    /// What it took.
    pub measured: Ns,
    /// When it ended, on the recorder's clock.
    pub ended: At,
}

/// Everything that is kept of one attempt: up to `P` phases.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AttemptRecord<const P: usize = 96> {
    /// Which.
    pub attempt: AttemptId,
    /// When it began, on the recorder's clock.
    pub began: At,
    /// The last verdict.
    pub verdict: Option<Verdict>,
    /// Phases in the order in which they ended.
    pub phases: Vec<PhaseRow, P>,
    /// Phases that found no room.
    pub phases_left_out: u32,
    /// Pre-copy rounds.
    pub rounds: u32,
    /// Bytes sent while the guest ran.
    pub precopied: Bytes,
    /// Bytes sent while it was stopped.
    pub last_pages: Bytes,
    /// t = 0.
    pub stopping: Option<At>,
    /// When `Go` was sent, or read.
    pub go: Option<At>,
    /// When the guest ran again on this side.
    pub runs: Option<At>,
    /// Why it was aborted, when that was decided.
    pub aborting: Option<(Reason, Option<Blame>)>,
    /// Whether it was ever in doubt.
    pub in_doubt: bool,
    /// Devices that did not come back.
    pub devices_lost: PortSet,
    /// The last thing that could not be.
    pub alarm: Option<Alarm>,
    /// How it ended; `None` while it goes on.
    pub ended: Option<Ended>,
}

impl<const P: usize> AttemptRecord<P> {
    /// The guest's blackout: as ended, or up to `now` while it is stopped.
    pub fn blackout(&self, now: At) -> Ns {
        match (self.ended, self.stopping) {
            (Some(ended), _) => ended.blackout,
            (None, Some(t0)) => self.runs.unwrap_or(now).since(t0),
            (None, None) => Ns::ZERO,
        }
    }

    /// What was left of the hard limit when the attempt ended; `None` beyond it.
    pub fn slack(&self, hard_limit: Ns, now: At) -> Option<Ns> {
        hard_limit.checked_minus(self.blackout(now))
    }

    /// A committed attempt's downtime less the answer's way, and how far that may be off:
    /// `Go` and its answer took their round trip besides the destination's own part.
    pub fn estimate(&self) -> Option<(Ns, Ns)> {
        let ended = self.ended.filter(|ended| ended.ending == Ending::Committed)?;
        let there_and_back = self.measured(Side::Source, Phase::Go)?;
        let theirs = self.measured(Side::Destination, Phase::Resume)?;
        let way = there_and_back.minus(theirs).part(2);
        Some((ended.blackout.minus(way), way))
    }

    fn row(&mut self, row: PhaseRow) {
        if self.phases.push(row).is_err() {
            self.phases_left_out = self.phases_left_out.saturating_add(1);
        }
    }

    /// The longest of a side's phases of one kind.
    pub fn measured(&self, side: Side, phase: Phase) -> Option<Ns> {
        let rows = self.phases.iter().filter(|row| row.side == side && row.phase == phase);
        rows.map(|row| row.measured).max()
    }
}

/// Makes records from notes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recorder<const P: usize = 96> {
    current: AttemptRecord<P>,
}

impl<const P: usize> Recorder<P> {
    /// The attempt under way, or the last one.
    pub fn current(&self) -> &AttemptRecord<P> {
        &self.current
    }

    /// Takes one note; returns whether it ended the attempt, whose record is then whole.
    pub fn note(&mut self, now: At, note: &Note) -> bool {
        let current = &mut self.current;
        match *note {
            Note::Began(attempt) => *current = AttemptRecord { attempt, began: now, ..Default::default() },
            Note::Verdict(verdict) => current.verdict = Some(verdict),
            Note::Round { number, sent, .. } => {
                current.rounds = number.saturating_add(1);
                current.precopied = current.precopied.plus(sent);
            }
            Note::Stopping => current.stopping = Some(now),
            Note::Phase { side, port, phase, planned, measured } => {
                current.row(PhaseRow { side, port, phase, planned, measured, ended: now });
            }
            Note::CutShort { blame: Blame { side, port, phase }, planned, measured } => {
                current.row(PhaseRow { side, port, phase, planned, measured, ended: now });
            }
            Note::Sent(bytes) => current.last_pages = bytes,
            Note::Aborting { reason, offender } => current.aborting = Some((reason, offender)),
            Note::Go => current.go = Some(now),
            Note::InDoubt => current.in_doubt = true,
            Note::DeviceLost(devices) => current.devices_lost = current.devices_lost.with(devices),
            Note::Alarm(alarm) => current.alarm = Some(alarm),
            Note::Runs => current.runs = Some(now),
            Note::Ended(ended) => {
                current.ended = Some(ended);
                return true;
            }
            Note::PeerDecides | Note::Finished => {}
        }
        false
    }
}
