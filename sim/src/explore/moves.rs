//! What can happen next in a state, and the state that follows.
//!
//! Nothing is left out for speed: any message that may come, any job that is under way with each of its ends, either
//! deadline, and any fault that is left, in any order. What is *not* a move of its own: steps that commute with
//! everything since no machine takes part in them (a send, a record of the log), which are part of the step that
//! asks for them.

use switchover_core::event::Owner;
use switchover_core::port::{Op, Side};
use switchover_core::source::Standing;

use super::judge::{Broken, Verdict};
use super::reached::Reached;
use super::state::{EVER, State, place};
use super::tables::{Job, Letter, Moment};
use super::walk::{Code, Ends, Walk};

/// Something that happens.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Move {
    /// The operator has the guest moved.
    Begin,
    /// A message comes.
    Deliver(u8, u8, Moment),
    /// A job ends.
    Job(Side, u8, u8, Ends, Moment),
    /// The arbiter decides; its answer is on the way.
    Grant(Side, u8, u8),
    /// The oldest record of that side's journal is durable, or is not.
    Write(Side, Ends, Moment),
    /// That side's deadline fires.
    Due(Side),
    /// That side hears that its connection is gone.
    Down(Side),
    /// The connection breaks.
    Cut,
    /// That side's process dies: so many records are durable all the same; other jobs took effect or not.
    Crash(Side, u8, bool),
    /// It is started again; the flag: its journal is lost.
    Restart(Side, bool),
    /// The operator wants the guest to stay, and says so there.
    Cancel(Side),
    /// The operator fences the destination's host, and says so.
    Fence,
    /// Time passes.
    Tick,
}

const SIDES: [Side; 2] = [Side::Source, Side::Destination];

impl Walk {
    /// Everything that can happen.
    pub(super) fn moves(&self, s: &State, out: &mut Vec<Move>) {
        out.clear();
        let letters = s.letters;
        if self.timed() {
            letters.entries().for_each(|(letter, left)| self.deliver(s, letter, left, out));
        } else {
            letters.numbers().for_each(|letter| self.deliver(s, letter, EVER, out));
        }
        for side in SIDES {
            if s.lives(side) {
                self.moves_of_living(s, side, out);
            } else {
                out.push(Move::Restart(side, false));
                if side == Side::Destination && s.left.lost_journals > 0 {
                    out.push(Move::Restart(side, true));
                }
            }
        }
        if s.lives(Side::Source) && !self.calm {
            let standing = self.sources.get(s.machines[0]).standing();
            if s.left.runs > 0 && standing == Standing::Rests && s.judge.runs_on_source() {
                out.push(Move::Begin);
            }
            if s.left.fences > 0 && matches!(standing, Standing::InDoubt | Standing::Held) {
                out.push(Move::Fence);
            }
        }
        if s.left.cuts > 0 && s.facts.connected != 0 {
            out.push(Move::Cut);
        }
        if self.may_tick(s) {
            out.push(Move::Tick);
        }
    }

    fn moments(&self) -> &'static [Moment] {
        if self.world.late && !self.calm { &[Moment::Now, Moment::Late] } else { &[Moment::Now] }
    }

    fn deliver(&self, s: &State, letter: u8, left: u8, out: &mut Vec<Move>) {
        if s.lives(self.reader(letter)) {
            out.extend(self.moments().iter().map(|moment| Move::Deliver(letter, left, *moment)));
        }
    }

    fn moves_of_living(&self, s: &State, side: Side, out: &mut Vec<Move>) {
        for (job, left) in self.under_way(s, side) {
            self.ends_of(s, side, job, left, out);
        }
        let oldest = s.writes[place(side)][0];
        if oldest != 0 {
            for moment in self.moments() {
                out.push(Move::Write(side, Ends::Done, *moment));
            }
            if s.left.failures > 0 {
                out.push(Move::Write(side, Ends::Failed, Moment::Now));
                out.push(Move::Write(side, Ends::FailedDone, Moment::Now));
            }
        }
        if self.is_due(s, side) {
            out.push(Move::Due(side));
        }
        if s.facts.linked[place(side)] != 0 && s.facts.connected == 0 {
            out.push(Move::Down(side));
        }
        if s.left.cancels[place(side)] > 0 {
            out.push(Move::Cancel(side));
        }
        if s.left.crashes[place(side)] > 0 {
            self.crashes(s, side, out);
        }
    }

    /// What a job that the crash finds under way came to makes a difference only if it has an effect.
    fn crashes(&self, s: &State, side: Side, out: &mut Vec<Move>) {
        let queued = s.writes[place(side)].iter().filter(|job| **job != 0).count() as u8;
        let effective = self.under_way(s, side).any(|(job, _)| {
            matches!(
                self.jobs[place(side)][usize::from(job)],
                Job::Port(..) | Job::Claim(_) | Job::Yield(_) | Job::Release
            )
        });
        for written in 0..=queued {
            out.push(Move::Crash(side, written, false));
            if effective {
                out.push(Move::Crash(side, written, true));
            }
        }
    }

    fn ends_of(&self, s: &State, side: Side, job: u8, left: u8, out: &mut Vec<Move>) {
        let what = &self.jobs[place(side)][usize::from(job)];
        let mut ends = |of: Ends, moment| out.push(Move::Job(side, job, left, of, moment));
        match what {
            Job::Connect => {
                if s.lives(Side::Destination) {
                    ends(Ends::Done, Moment::Now);
                }
                if !s.lives(Side::Destination) || s.left.cuts > 0 {
                    ends(Ends::Failed, Moment::Now);
                }
                return;
            }
            Job::Claim(_) => {
                out.push(Move::Grant(side, job, left));
                if s.left.failures > 0 {
                    out.push(Move::Job(side, job, left, Ends::Failed, Moment::Now));
                }
                return;
            }
            _ => {}
        }
        for moment in self.moments() {
            ends(Ends::Done, *moment);
        }
        if s.left.failures == 0 {
            return;
        }
        let failing: &[Ends] = match what {
            Job::Write(_) | Job::Port(_, Op::Resume) | Job::Yield(_) => &[Ends::Failed, Ends::FailedDone],
            Job::Verify(_) => &[Ends::Failed, Ends::Corrupt],
            Job::Port(_, Op::Unload) | Job::Release => &[],
            // The answer alone is lost: the claim was made.
            Job::Claimed(..)
            | Job::Port(..)
            | Job::Round { .. }
            | Job::LastPages
            | Job::Seal
            | Job::Drain(_) => &[Ends::Failed],
            Job::Connect | Job::Claim(_) => &[],
        };
        failing.iter().for_each(|of| ends(*of, Moment::Now));
    }

    /// The state after a move, and what the checker says of it.
    pub(super) fn after(&mut self, s: &State, what: Move) -> (State, Verdict) {
        let mut next = *s;
        let verdict = self.take(&mut next, what);
        (next, verdict)
    }

    fn take(&mut self, s: &mut State, what: Move) -> Verdict {
        match what {
            Move::Begin => {
                s.left.runs -= 1;
                self.step(s, Side::Source, Moment::Now, Code::Begin)
            }
            Move::Deliver(letter, left, moment) => self.read(s, letter, left, moment),
            Move::Job(side, job, left, ends, moment) => self.ended(s, (side, job, left), ends, moment),
            Move::Grant(side, job, left) => self.grant(s, side, job, left),
            Move::Write(side, ends, moment) => self.written(s, side, ends, moment),
            Move::Due(side) => self.step(s, side, Moment::Due, Code::Due),
            Move::Down(side) => self.hears_down(s, side),
            Move::Cut => {
                s.left.cuts -= 1;
                s.facts.connected = 0;
                Ok(())
            }
            Move::Crash(side, written, kept) => {
                s.left.crashes[place(side)] -= 1;
                self.crash(s, side, written, kept)
            }
            Move::Restart(side, lost_journal) => {
                s.left.lost_journals -= u8::from(lost_journal);
                self.restart(s, side, lost_journal)
            }
            Move::Cancel(side) => {
                s.left.cancels[place(side)] -= 1;
                if side == Side::Source && self.sources.get(s.machines[0]).standing() == Standing::InDoubt {
                    self.firsts.at(Reached::CancelRequested, self.at);
                }
                self.step(s, side, Moment::Now, Code::Cancel)
            }
            Move::Fence => {
                s.left.fences -= 1;
                self.fence(s)?;
                self.step(s, Side::Source, Moment::Now, Code::Fence)
            }
            Move::Tick => self.tick(s),
        }
    }

    fn read(&mut self, s: &mut State, letter: u8, left: u8, moment: Moment) -> Verdict {
        use switchover_core::wire::message::ToSource;
        // A network that faults have left alone says everything once; before that, as often as it likes.
        if self.timed() {
            s.letters.take_timed(letter, left);
        } else if self.calm {
            s.letters.take(letter);
        }
        match self.letters[usize::from(letter)] {
            Letter::ToSource(envelope, ToSource::Refused { .. }) => {
                let counter = super::walk::counter_of(envelope.attempt);
                s.judge.hears_refused(counter, envelope.incarnation.0 as u8);
            }
            Letter::ToSource(_, ToSource::Stranger) => self.firsts.at(Reached::Stranger, self.at),
            _ => {}
        }
        self.step(s, self.reader(letter), moment, Code::Letter(letter))
    }

    fn ended(&mut self, s: &mut State, which: (Side, u8, u8), ends: Ends, moment: Moment) -> Verdict {
        let (side, number, left) = which;
        let job = self.jobs[place(side)][usize::from(number)];
        self.end(s, side, number, left);
        if job == Job::Connect {
            return self.connected(s, ends);
        }
        s.left.failures -= u8::from(ends != Ends::Done);
        self.effect(s, side, &job, ends)?;
        if let (Side::Source, Job::Claimed(id, owner), Ends::Done) = (side, job, ends) {
            match owner {
                Owner::Source => s.judge.knows(super::walk::counter_of(id)),
                Owner::Destination => self.firsts.at(Reached::ClaimLost, self.at),
            }
        }
        let generation = if job == Job::Seal { s.judge.generation() } else { 0 };
        self.step(s, side, moment, Code::Job(number, ends, generation))
    }

    fn connected(&mut self, s: &mut State, ends: Ends) -> Verdict {
        if ends != Ends::Done {
            s.left.cuts -= u8::from(s.lives(Side::Destination));
            s.facts.linked[0] = 0;
            return self.step(s, Side::Source, Moment::Now, Code::LinkDown);
        }
        // A new connection of the same source takes the place of one that is half open. [SW-61]
        if s.facts.linked[1] != 0 {
            self.hears_down(s, Side::Destination)?;
        }
        (s.facts.connected, s.facts.linked) = (1, [1, 1]);
        self.step(s, Side::Destination, Moment::Now, Code::LinkUp)?;
        self.step(s, Side::Source, Moment::Now, Code::LinkUp)
    }

    fn hears_down(&mut self, s: &mut State, side: Side) -> Verdict {
        s.facts.linked[place(side)] = 0;
        self.step(s, side, Moment::Now, Code::LinkDown)
    }

    /// Two steps: granted there, heard here.
    fn grant(&mut self, s: &mut State, side: Side, number: u8, left: u8) -> Verdict {
        let Job::Claim(id) = self.jobs[place(side)][usize::from(number)] else { return Ok(()) };
        self.end(s, side, number, left);
        let owner = Self::claim(s, id, side);
        let answer = self.job(side, Job::Claimed(id, owner));
        if self.timed() {
            s.jobs[place(side)].add_timed(answer, left);
        } else {
            s.jobs[place(side)].add(answer);
        }
        Ok(())
    }

    fn written(&mut self, s: &mut State, side: Side, ends: Ends, moment: Moment) -> Verdict {
        let queue = &mut s.writes[place(side)];
        let number = queue[0] - 1;
        queue.rotate_left(1);
        queue[3] = 0;
        s.left.failures -= u8::from(ends != Ends::Done);
        let job = self.jobs[place(side)][usize::from(number)];
        self.effect(s, side, &job, ends)?;
        self.step(s, side, moment, Code::Job(number, ends, 0))
    }
}

/// A broken promise, and the move that broke it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Breach {
    /// The state that was left.
    pub from: u32,
    pub by: Move,
    pub broken: Broken,
}
