//! What goes wrong, and when: triggers, and what each kind of fault does.

use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_core::journal::RecordKind;
use switchover_core::port::{Phase, Port, Side};
use switchover_core::time::Ns;

use super::World;
use super::dice::For;
use super::host;
use super::plan::means;
use super::queue::Happening;
use crate::scenario::model::{What, When};

/// What one fault of the scenario is up to in this run.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Fault {
    /// It happens in this run.
    will: bool,
    /// In which attempt it began last; 0: it has not.
    began: u32,
    /// How often it began.
    times: u8,
    /// It waits for the next operation, or message, that it is about.
    armed: bool,
    /// It was lifted: faults are over.
    over: bool,
    /// At which step, and before which of its actions.
    step: u32,
    action: u8,
}

impl World {
    /// Draws which faults happen, and when those do that wait for nothing.
    pub(super) fn draw_faults(&mut self) {
        self.faults.clear();
        for index in 0..self.plan.scenario.faults.len() {
            let fault = &self.plan.scenario.faults[index];
            let mut state = Fault { will: self.dice.chance(For::Faults, fault.chance), ..Fault::default() };
            match &fault.when {
                When::After(dist) if state.will => {
                    let at = self.dice.draw(For::Faults, dist).get();
                    self.queue.push(at, Happening::Fault(index as u8));
                }
                When::Step { within } => {
                    state.step = 1 + self.dice.below(For::Faults, u64::from(*within)) as u32;
                    state.action = self.dice.below(For::Faults, 4) as u8;
                }
                _ => {}
            }
            self.faults.push(state);
        }
    }

    /// Whether a trigger may set this fault off now.
    fn may_begin(&self, index: usize, attempt: u32) -> bool {
        let state = &self.faults[index];
        // For every attempt of one run: a process that is started again begins another run, and faults have an end.
        let again = attempt == 0 && state.began != self.attempt && state.times < self.plan.rules.attempts;
        state.will && !state.over && (state.began == 0 || again)
    }

    /// A phase is entered.
    pub(super) fn enters(&mut self, side: Side, phase: Phase) {
        if self.faults.is_empty() || self.phase == Some((side, phase, self.attempt)) {
            return;
        }
        self.phase = Some((side, phase, self.attempt));
        for index in 0..self.faults.len() {
            let When::Phase { phase: when, attempt } = self.plan.scenario.faults[index].when else {
                continue;
            };
            let here = when == phase && (attempt == 0 || attempt == self.attempt);
            if here && self.may_begin(index, attempt) {
                self.begin_fault(index);
            }
        }
    }

    /// t = 0.
    pub(super) fn since_stop(&mut self) {
        for index in 0..self.faults.len() {
            if let When::SinceStop(dist) = &self.plan.scenario.faults[index].when
                && self.faults[index].will
                && self.stops == 0
            {
                let later = self.dice.draw(For::Faults, dist).get();
                self.queue.push(self.now + later, Happening::Fault(index as u8));
            }
        }
        self.stops += 1;
        self.stopped_at = self.now;
    }

    /// A message is about to be handed to the link, or just was.
    pub(super) fn at_message(&mut self, word: &str, was: bool) {
        for index in 0..self.faults.len() {
            if let When::Message { message, after } = &self.plan.scenario.faults[index].when
                && *after == was
                && message == word
                && self.may_begin(index, 1)
            {
                self.begin_fault(index);
            }
        }
    }

    /// A machine has made a step, and `action` of its actions are done.
    pub(super) fn at_step(&mut self, action: u8) {
        for index in 0..self.faults.len() {
            let state = self.faults[index];
            if matches!(self.plan.scenario.faults[index].when, When::Step { .. })
                && state.step <= self.steps
                && state.action <= action
                && self.may_begin(index, 1)
            {
                self.begin_fault(index);
            }
        }
    }

    /// The fault begins.
    pub(super) fn begin_fault(&mut self, index: usize) {
        if self.faults[index].over {
            return;
        }
        self.faults[index].began = self.attempt.max(1);
        self.faults[index].times = self.faults[index].times.saturating_add(1);
        let what = self.plan.scenario.faults[index].what.clone();
        if let Some(trace) = &mut self.trace {
            trace.fault(self.now, &what);
        }
        match what {
            What::Stall { .. } | What::Fail { .. } | What::Lie { .. } => self.arm(index),
            What::Drop { .. } => self.arm(index),
            What::Partition { from, time } => self.partition(from, time),
            What::Reset => self.reset_link(),
            What::StallLink { time } => self.stall_link(time),
            What::Kill { side, restart, torn } => self.kill(side, restart, torn),
            What::Pause { side, time } => self.stand_still(side, time),
            What::Corrupt => {
                self.link.corrupt = true;
                self.checker.overran(Side::Source, Port::Link);
                self.checker.overran(Side::Destination, Port::Memory);
                for device in 0..self.plan.scenario.devices.len() {
                    self.checker.overran(Side::Destination, Port::Device(device as u8));
                }
            }

            What::Cancel { side } => self.queue.push(self.now, Happening::Cancel(side)),
            What::NoArbiter { side, time } => {
                let until = self.now + time.get();
                for cut in [Side::Source, Side::Destination] {
                    if side.is_none_or(|side| side == cut) {
                        self.no_arbiter_until[cut as usize] = until;
                        self.checker.overran(cut, Port::Arbiter);
                    }
                }
                self.noisy_until(until);
            }
        }
        self.noisy_until(self.now);
    }

    /// It acts from now on, until it has, or until faults are over.
    fn arm(&mut self, index: usize) {
        self.faults[index].armed = true;
        let lasts = matches!(self.plan.scenario.faults[index].what, What::Drop { once: false, .. });
        if lasts {
            let until = self.now + self.plan.scenario.calm.get();
            self.queue.push(until, Happening::Calm);
            self.noisy_until(until);
        }
    }

    /// Messages that are lost without end are lost no more.
    pub(super) fn calm_down(&mut self) {
        for (state, fault) in self.faults.iter_mut().zip(&self.plan.scenario.faults) {
            if matches!(fault.what, What::Drop { once: false, .. }) {
                (state.armed, state.over) = (false, true);
            }
        }
    }

    /// Up to then the world is not calm.
    pub(super) fn noisy_until(&mut self, at: u64) {
        self.noisy_until = self.noisy_until.max(at);
    }

    /// The operator's word.
    pub(super) fn cancel(&mut self, side: Side) {
        if !self.hosts[side as usize].alive {
            return;
        }
        match side {
            Side::Source => self.tell_source(SourceEvent::Cancel),
            Side::Destination => self.tell_destination(DestinationEvent::Cancel),
        }
    }

    fn partition(&mut self, from: Option<Side>, time: Ns) {
        let until = self.now + time.get();
        for side in [Side::Source, Side::Destination] {
            if from.is_none_or(|from| from == side) {
                let cut = &mut self.link.cut_until[side as usize];
                *cut = (*cut).max(until);
            }
        }
        self.queue.push(until, Happening::Mended);
        self.checker.overran(Side::Source, Port::Link);
        self.noisy_until(until);
    }

    /// A process, or its whole host, stands still.
    pub(super) fn stand_still(&mut self, side: Side, time: Ns) {
        let host = &mut self.hosts[side as usize];
        let until = host.clock.after(self.now, time);
        host.stands_until = host.stands_until.max(until);
        self.noisy_until(until);
    }

    /// Whether a message is lost by a fault.
    pub(super) fn dropped(&mut self, word: &str) -> bool {
        let mut lost = false;
        for (state, fault) in self.faults.iter_mut().zip(&self.plan.scenario.faults) {
            if let What::Drop { message, once } = &fault.what
                && state.armed
                && message == word
            {
                lost = true;
                state.armed = !once;
            }
        }
        lost
    }

    /// What faults make of a job: how long it takes, whether it fails, whether it never ends.
    pub(super) fn strained(
        &mut self,
        side: Side,
        job: &host::What,
        mut time: Ns,
        contract: Option<Ns>,
    ) -> (Ns, bool, bool) {
        let (mut fails, mut stuck) = (false, false);
        if !self.plan.ports_fail {
            return (time, fails, stuck);
        }
        let (port, phases) = place(side, job);
        let promised = contract.or_else(|| match *job {
            host::What::Port(port, op) => self.plan.contract(side, port, op),
            _ => None,
        });
        for (state, fault) in self.faults.iter_mut().zip(&self.plan.scenario.faults) {
            if !state.armed {
                continue;
            }
            match fault.what {
                What::Stall { side: s, port: p, phase, time: more }
                    if s == side && means(p, port) && phases.contains(&phase) =>
                {
                    state.armed = false;
                    stuck |= more.is_none();
                    time = time.plus(more.unwrap_or_default());
                }
                What::Fail { side: s, port: p, phase }
                    if s == side && means(p, port) && phases.contains(&phase) =>
                {
                    state.armed = false;
                    fails = true;
                }
                What::Lie { side: s, port: p, phase, percent }
                    if s == side && means(p, port) && phases.contains(&phase) =>
                {
                    let promised = promised.unwrap_or(time);
                    time = promised.times(u64::from(percent)).part(100);
                }
                _ => {}
            }
        }
        (time, fails, stuck)
    }
}

/// Which port a job is of, and by which phases a scenario may mean it.
fn place(side: Side, job: &host::What) -> (Port, &'static [Phase]) {
    use switchover_core::port::Op;
    match *job {
        host::What::Port(port, op) => (
            port,
            match op {
                Op::Quiesce | Op::Stop => &[Phase::Stop],
                Op::Save => &[Phase::Save],
                Op::Load => &[Phase::Load],
                Op::Settle => &[Phase::Seal],
                Op::Resume => &[Phase::Resume],
                Op::Rollback => &[Phase::Rollback],
                Op::Unload => &[],
            },
        ),
        host::What::Round | host::What::Drain { .. } => (Port::Memory, &[Phase::Precopy]),
        host::What::LastPages => (Port::Memory, &[Phase::Transfer]),
        host::What::Seal | host::What::Verify(_) => (Port::Memory, &[Phase::Seal]),
        host::What::Write(record) => (
            Port::Journal,
            match record.kind {
                RecordKind::Open => &[Phase::Hello],
                RecordKind::MayGo => &[Phase::Seal, Phase::Ready],
                RecordKind::Claiming => &[Phase::Ready],
                RecordKind::Running | RecordKind::Refused => &[Phase::Go, Phase::Resume],
                RecordKind::Committed | RecordKind::Fenced if matches!(side, Side::Source) => {
                    &[Phase::Resume]
                }
                RecordKind::Committed | RecordKind::Fenced | RecordKind::Aborted | RecordKind::Finished => {
                    &[]
                }
            },
        ),
        host::What::Claim(_) | host::What::Claimed(..) | host::What::Yield(_) => (Port::Arbiter, &[]),
        host::What::Release | host::What::Connect => (Port::Link, &[]),
    }
}
