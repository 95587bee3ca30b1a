//! What happens in the world: messages and jobs begin, jobs take effect, processes die and come back.

use switchover_core::destination::Destination;
use switchover_core::event::Owner;
use switchover_core::id::{AttemptId, Incarnation};
use switchover_core::journal::{
    DestinationGuest, DestinationJournal, Record, RecordKind, SourceGuest, SourceJournal,
};
use switchover_core::port::{Op, Port, PortSet, Side};
use switchover_core::source::Source;

use super::judge::Verdict;
use super::reached::Reached;
use super::settings::{self, DESTINATIONS, SOURCE};
use super::state::{DEAD, EVER, Left, State, place};
use super::tables::{Job, Letter, NOW, Outcome};
use super::walk::{Act, Ends, UNSOUND, Walk, counter_of};
use super::world::Guest;

impl Walk {
    /// Does what a step asked for, in order.
    pub(super) fn act(&mut self, s: &mut State, side: Side, outcome: Outcome) -> Verdict {
        // By number, since the tables may not be borrowed while they are used.
        for at in 0..self.memo[place(side)].acts(outcome).len() {
            let act = self.memo[place(side)].acts(outcome)[at];
            self.act_once(s, side, act)?;
        }
        Ok(())
    }

    fn act_once(&mut self, s: &mut State, side: Side, act: Act) -> Verdict {
        match act {
            Act::Send(letter) => self.send(s, letter),
            Act::Start(job) => self.begin(s, side, job),
            Act::Write(job) => self.write(s, side, job),
            Act::Undo(attempt, ports) => {
                s.judge.rolls_back(attempt)?;
                self.drop_ports(s, side, ports);
            }
            Act::Unload(ports) => self.drop_ports(s, side, ports),
            Act::Keep => {
                s.judge.keeps_pages();
                self.drop_jobs(s, side, |job| matches!(job, Job::Round { .. } | Job::LastPages | Job::Seal));
            }
            Act::Read => s.judge.reads_pages(),
            Act::ReadAll => s.judge.owes_all_pages(),
            Act::Expect(warm) => s.judge.expects(warm),
            Act::Discard => {
                self.drop_jobs(s, side, |job| matches!(job, Job::Drain(_) | Job::Verify(_)));
            }
            Act::Stopping => s.judge.stopping(),
            Act::Runs => s.judge.says_runs()?,
            Act::Aborted => s.judge.says_aborted()?,
            Act::DeviceLost => s.judge.source_device(true),
            Act::Go(attempt, incarnation) => s.judge.says_go(attempt, incarnation),
            Act::Fin => s.judge.says_fin()?,
            Act::Running => s.judge.says_running()?,
            Act::Refused(attempt, incarnation) => s.judge.says_refused(attempt, incarnation)?,
            Act::Unsound => return Err(UNSOUND),
        }
        Ok(())
    }

    fn send(&mut self, s: &mut State, letter: u8) {
        if self.timed() {
            s.letters.add_timed(letter, self.way(letter));
        } else if !self.calm || s.facts.connected != 0 {
            s.letters.add(letter);
        }
    }

    pub(super) fn begin(&mut self, s: &mut State, side: Side, job: u8) {
        if self.timed() {
            let left = self.length(side, job);
            s.jobs[place(side)].add_timed(job, left);
        } else {
            s.jobs[place(side)].add(job);
        }
    }

    /// Ends a job without its effect.
    pub(super) fn end(&self, s: &mut State, side: Side, job: u8, left: u8) {
        if self.timed() {
            s.jobs[place(side)].take_timed(job, left);
        } else {
            s.jobs[place(side)].take(job);
        }
    }

    /// A journal makes its records durable in the order in which they were asked for. In a timed world nothing is
    /// asked for before what came before it is durable, and the time that is left matters.
    fn write(&mut self, s: &mut State, side: Side, job: u8) {
        if self.timed() {
            return self.begin(s, side, job);
        }
        let queue = &mut s.writes[place(side)];
        let free = queue.iter().position(|slot| *slot == 0);
        queue[free.expect("a machine has at most RECORDS_MAX records under way")] = job + 1;
    }

    fn drop_ports(&self, s: &mut State, side: Side, ports: PortSet) {
        self.drop_jobs(s, side, |job| match job {
            Job::Port(port, _) => ports.meets(PortSet::one(*port)),
            _ => false,
        });
    }

    fn drop_jobs(&self, s: &mut State, side: Side, of: impl Fn(&Job) -> bool) {
        let under_way: Vec<(u8, u8)> = self.under_way(s, side).collect();
        for (job, left) in under_way {
            if of(&self.jobs[place(side)][usize::from(job)]) {
                self.end(s, side, job, left);
            }
        }
    }

    /// The jobs of a side, and the time that is left to each.
    pub(super) fn under_way(&self, s: &State, side: Side) -> impl Iterator<Item = (u8, u8)> + use<> {
        let jobs = s.jobs[place(side)];
        let timed = self.timed();
        let set = (!timed).then(|| jobs.numbers().map(|job| (job, EVER)));
        let list = timed.then(|| jobs.entries());
        set.into_iter().flatten().chain(list.into_iter().flatten())
    }

    /// Who owns the run of an attempt, `side` being the one that asks.
    pub(super) fn claim(s: &mut State, id: AttemptId, side: Side) -> Owner {
        let shift = (counter_of(id) & 3) * 2;
        if s.facts.owners >> shift & 3 == 0 {
            s.facts.owners |= (1 + place(side) as u8) << shift;
        }
        if s.facts.owners >> shift & 3 == 1 { Owner::Source } else { Owner::Destination }
    }

    fn give(s: &mut State, id: AttemptId) {
        let shift = (counter_of(id) & 3) * 2;
        s.facts.owners = s.facts.owners & !(3 << shift) | 1 << shift;
    }

    /// What a job changes in the world, apart from its answer.
    pub(super) fn effect(&mut self, s: &mut State, side: Side, job: &Job, ends: Ends) -> Verdict {
        if ends == Ends::Failed {
            return Ok(());
        }
        match (side, *job) {
            (Side::Source, Job::Write(record)) => source_record(s, &record),
            (Side::Destination, Job::Write(record)) => destination_record(s, &record),
            (Side::Source, Job::Port(port, op)) => return self.source_port(s, port, op),
            (Side::Destination, Job::Port(port, op)) => return self.destination_port(s, port, op),
            (_, Job::Round { .. }) => s.judge.round_ends(),
            (_, Job::Release) => s.judge.released()?,
            (_, Job::Verify(seal)) => {
                let generation = seal.verify.map_or(0, |(generation, _)| generation as u8);
                s.judge.arrived(generation, ends == Ends::Corrupt);
            }
            (_, Job::Claim(id)) => {
                Self::claim(s, id, side);
            }
            (_, Job::Yield(id)) => {
                self.firsts.at(Reached::Yielded, self.at);
                Self::give(s, id);
            }
            _ => {}
        }
        Ok(())
    }

    fn source_port(&mut self, s: &mut State, port: Port, op: Op) -> Verdict {
        match (port, op) {
            (Port::Vcpus(_), Op::Stop) => s.judge.source_stopped(),
            (Port::Vcpus(_), Op::Rollback) => {
                self.worst[1] = self.worst[1].max(s.judge.dark);
                s.judge.source_ran()?;
            }
            (Port::Device(_), Op::Quiesce | Op::Stop) => s.judge.source_device(false),
            (Port::Device(_), Op::Rollback) => s.judge.source_device(true),
            _ => {}
        }
        Ok(())
    }

    fn destination_port(&mut self, s: &mut State, port: Port, op: Op) -> Verdict {
        let counter = || self.destinations.get(s.machines[1]).attempt().map_or(0, counter_of);
        match (port, op) {
            (Port::Vcpus(_), Op::Load) if s.lives(Side::Destination) => {
                let counter = counter();
                s.judge.loaded(counter, s.facts.incarnation);
            }
            (Port::Vcpus(_), Op::Resume) => {
                self.worst[0] = self.worst[0].max(s.judge.dark);
                s.judge.destination_ran()?;
            }
            (Port::Vcpus(_), Op::Unload) => s.judge.unloaded()?,
            _ => {}
        }
        Ok(())
    }

    /// One process dies. The oldest `written` records of its journal's queue are durable, the others not; what its
    /// ports and the arbiter were doing took effect or did not.
    pub(super) fn crash(&mut self, s: &mut State, side: Side, written: u8, kept: bool) -> Verdict {
        let queue = std::mem::take(&mut s.writes[place(side)]);
        for job in queue.into_iter().take(usize::from(written)).filter(|job| *job != 0) {
            let job = self.jobs[place(side)][usize::from(job - 1)];
            self.effect(s, side, &job, Ends::Done)?;
        }
        if kept {
            let under_way: Vec<(u8, u8)> = self.under_way(s, side).collect();
            for (job, _) in under_way {
                let job = self.jobs[place(side)][usize::from(job)];
                if matches!(job, Job::Port(..) | Job::Claim(_) | Job::Yield(_) | Job::Release) {
                    self.effect(s, side, &job, Ends::Done)?;
                }
            }
        }
        s.jobs[place(side)] = super::state::Pool::EMPTY;
        s.machines[place(side)] = DEAD;
        (s.facts.connected, s.facts.linked[place(side)]) = (0, 0);
        let guest_too = self.world.guest == Guest::DiesWithAgent;
        match side {
            Side::Source => s.judge.source_agent_dies(guest_too),
            Side::Destination if guest_too => {
                s.judge.destination_dies();
                s.facts.instance += 1;
            }
            Side::Destination => {}
        }
        Ok(())
    }

    /// The destination's host is fenced, guest and all, and the operator says so to the source.
    pub(super) fn fence(&mut self, s: &mut State) -> Verdict {
        if s.lives(Side::Destination) {
            self.crash(s, Side::Destination, 0, false)?;
        }
        s.facts.instance += 1;
        s.judge.fenced();
        Ok(())
    }

    /// A dead process is started again: it finds its journal, or a new one, and its guest.
    pub(super) fn restart(&mut self, s: &mut State, side: Side, lost_journal: bool) -> Verdict {
        if lost_journal {
            s.destination = super::state::DestinationRecords { identity: 1, ..Default::default() };
        }
        match side {
            Side::Source => self.restart_source(s),
            Side::Destination => self.restart_destination(s),
        }
    }

    fn restart_source(&mut self, s: &mut State) -> Verdict {
        let runs = s.judge.runs_on_source() && !s.judge.device_stopped();
        let guest = match (s.judge.source_copy(), runs) {
            (false, _) => SourceGuest::Gone,
            (true, true) => SourceGuest::Running,
            (true, false) => SourceGuest::Stopped,
        };
        let records =
            u32::from_ne_bytes([s.source.open, s.source.may_go, s.source.incarnation, s.source.ends]);
        let key = 9 << 28 | guest as u32;
        let outcome = match self.memo[0].find(records, key) {
            Some(outcome) => outcome,
            None => {
                let (machine, step) = Source::restart(settings::source(&self.world), journal(s), guest, NOW)
                    .expect("the settings of a world hold together");
                let counter = machine.attempt().map_or(0, counter_of);
                let mut acts = Vec::new();
                for action in &step.actions {
                    self.firsts.source(action, u32::from(counter), self.at);
                    self.lower_source(action, counter, &mut acts);
                }
                let next = self.sources.number(machine);
                self.memo[0].keep(records, key, next, &acts)
            }
        };
        s.machines[0] = outcome.next;
        self.act(s, Side::Source, outcome)
    }

    fn restart_destination(&mut self, s: &mut State) -> Verdict {
        s.facts.incarnation += 1;
        let r = s.destination;
        let named = switchover_core::id::GuestInstance(u64::from(s.facts.instance));
        let (guest, kind) = match (s.judge.destination_copy(), s.judge.runs_on_destination()) {
            (false, _) => (DestinationGuest::Gone, 0),
            (true, true) => (DestinationGuest::Running(named), 1),
            (true, false) => (DestinationGuest::Paused(named), 2),
        };
        let records = u32::from_ne_bytes([r.running, r.instance, r.claiming, r.identity]);
        let key = 9 << 28 | kind << 16 | u32::from(s.facts.incarnation) << 8 | u32::from(s.facts.instance);
        let outcome = match self.memo[1].find(records, key) {
            Some(outcome) => outcome,
            None => {
                let config = settings::destination(&self.world, s.facts.instance);
                let incarnation = Incarnation(u64::from(s.facts.incarnation));
                let (machine, step) =
                    Destination::restart(config, destination_journal(s), guest, incarnation, NOW)
                        .expect("the settings of a world hold together");
                self.firsts.restarted(&step.actions, self.at);
                let mut acts = Vec::new();
                for action in &step.actions {
                    self.firsts.destination(action, self.at);
                    self.lower_destination(action, &mut acts);
                }
                let next = self.destinations.number(machine);
                self.memo[1].keep(records, key, next, &acts)
            }
        };
        s.machines[1] = outcome.next;
        self.act(s, Side::Destination, outcome)
    }

    /// What may come on the network from here on, if nothing goes wrong any more: nothing of before.
    pub(super) fn calmed(s: &State) -> State {
        State { letters: super::state::Pool::EMPTY, left: Left::default(), ..*s }
    }

    /// Whom a message is for.
    pub(super) fn reader(&self, letter: u8) -> Side {
        match self.letters[usize::from(letter)] {
            Letter::ToSource(..) => Side::Source,
            Letter::ToDestination(..) => Side::Destination,
        }
    }
}

fn attempt(counter: u8) -> AttemptId {
    AttemptId { journal: SOURCE, counter: u32::from(counter) }
}

fn source_record(s: &mut State, record: &Record) {
    let counter = counter_of(record.attempt);
    let latest = s.source.open == counter;
    match record.kind {
        RecordKind::Open => s.source = super::state::SourceRecords { open: counter, ..Default::default() },
        RecordKind::MayGo if latest => {
            let which = DESTINATIONS.iter().position(|journal| *journal == record.peer);
            s.source.may_go = which.map_or(0, |which| which as u8 + 1);
            s.source.incarnation = record.incarnation.0 as u8;
        }
        RecordKind::Committed if latest => s.source.ends |= 1,
        RecordKind::Fenced => {
            s.judge.knows(counter);
            if latest {
                s.source.ends |= 2;
            }
        }
        _ => {}
    }
}

fn destination_record(s: &mut State, record: &Record) {
    let counter = counter_of(record.attempt);
    let r = &mut s.destination;
    match record.kind {
        RecordKind::Running => (r.running, r.instance) = (counter, record.instance.0 as u8),
        RecordKind::Refused | RecordKind::Finished => {
            if r.running == counter {
                (r.running, r.instance) = (0, 0);
            }
            // A claim that was made before a refusal is still to be yielded.
            if record.kind == RecordKind::Finished && r.claiming == counter {
                r.claiming = 0;
            }
        }
        RecordKind::Claiming => r.claiming = counter,
        _ => {}
    }
}

fn journal(s: &State) -> SourceJournal {
    let r = &s.source;
    SourceJournal {
        identity: SOURCE,
        open: (r.open != 0).then(|| attempt(r.open)),
        may_go: (r.may_go != 0)
            .then(|| (DESTINATIONS[usize::from(r.may_go - 1)], Incarnation(u64::from(r.incarnation)))),
        committed: r.ends & 1 != 0,
        fenced: r.ends & 2 != 0,
    }
}

fn destination_journal(s: &State) -> DestinationJournal {
    let r = &s.destination;
    DestinationJournal {
        identity: DESTINATIONS[usize::from(r.identity)],
        running: (r.running != 0)
            .then(|| (attempt(r.running), switchover_core::id::GuestInstance(u64::from(r.instance)))),
        claiming: (r.claiming != 0 && r.claiming != r.running).then(|| attempt(r.claiming)),
    }
}
