//! Links that break and processes that die and come back.

use switchover_core::destination::Destination;
use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_core::id::Incarnation;
use switchover_core::journal::{DestinationGuest, SourceGuest};
use switchover_core::port::Side;
use switchover_core::source::Source;
use switchover_shell::journal::Summary;

use super::build::{GUEST, SOURCE};
use super::host::Job;
use super::pair::{Guest, Happening, Pair, Torn};
use super::show;

impl Pair {
    /// The source's attempt to connect has come to something.
    pub(super) fn connected(&mut self, side: Side) {
        let works = self.network.up && self.destination.machine.is_some();
        self.hear_link(side, works);
        if works {
            self.hear_link(Side::Destination, true);
        }
    }

    /// A host hears of its link, unless it knows.
    pub(super) fn hear_link(&mut self, side: Side, up: bool) {
        match side {
            Side::Source => {
                // Told even if it knows: an attempt to connect has failed.
                self.source.linked = up;
                self.source(if up { SourceEvent::LinkUp } else { SourceEvent::LinkDown });
            }
            Side::Destination if self.destination.linked != up => {
                self.destination.linked = up;
                self.destination(if up { DestinationEvent::LinkUp } else { DestinationEvent::LinkDown });
            }
            Side::Destination => {}
        }
    }

    /// The network is cut; both sides hear of it, and what was under way is gone.
    pub fn cut(&mut self) {
        self.say("the network is cut");
        self.network.up = false;
        self.queue.retain(|_, happening| !matches!(happening, Happening::Arrives(_)));
        for (side, linked) in
            [(Side::Source, self.source.linked), (Side::Destination, self.destination.linked)]
        {
            if linked {
                self.later(self.now, Happening::Link(side, false));
            }
        }
    }

    /// The network works again; the source has to connect.
    pub fn mend(&mut self) {
        self.say("the network is mended");
        self.network.up = true;
    }

    /// A source that holds a connection whose other end is gone notices.
    pub fn notice(&mut self) {
        if self.source.linked && !self.destination.linked {
            self.hear_link(Side::Source, false);
        }
    }

    /// One process dies. What it was doing took effect or did not; the other side hears of it.
    pub fn crash(&mut self, side: Side, torn: Torn) {
        self.crash_silently(side, torn);
        match side {
            Side::Source => self.hear_link(Side::Destination, false),
            Side::Destination if self.source.linked => self.hear_link(Side::Source, false),
            Side::Destination => {}
        }
    }

    /// One process dies, and the other side is not told: a half-open connection.
    pub fn crash_silently(&mut self, side: Side, torn: Torn) {
        self.say(&format!("{side:?} crashes"));
        let mut jobs = Vec::new();
        self.queue.retain(|_, happening| match happening {
            Happening::Job(at, job, _) if *at == side => {
                jobs.push(*job);
                false
            }
            Happening::Link(at, _) => *at != side,
            // What was under way on the connection is gone with it.
            Happening::Arrives(_) => false,
            Happening::Job(..) => true,
        });
        if torn == Torn::Kept {
            for job in jobs.iter().filter(|job| !matches!(job, Job::Connect)) {
                self.takes_effect(side, job);
            }
        }
        let dies = self.guest == Guest::DiesWithAgent;
        match side {
            Side::Source => {
                self.source.machine = None;
                (self.source.deadline, self.source.linked) = (None, false);
                self.source.life += 1;
                self.source.stuck.clear();
                if dies {
                    self.judge.source_dies();
                }
            }
            Side::Destination => {
                self.destination.machine = None;
                (self.destination.deadline, self.destination.linked) = (None, false);
                self.destination.life += 1;
                self.destination.stuck.clear();
                if dies {
                    self.judge.destination_dies();
                }
            }
        }
    }

    /// A dead process is started again: it finds its journal and its guest.
    ///
    /// # Panics
    /// When it is alive.
    pub fn restart(&mut self, side: Side) {
        self.say(&format!("{side:?} restarts"));
        match side {
            Side::Source => self.restart_source(),
            Side::Destination => self.restart_destination(),
        }
    }

    fn restart_source(&mut self) {
        assert!(self.source.machine.is_none(), "the source is alive");
        let journal = Summary::of(SOURCE, 0, &self.source.journal).source;
        let guest = match (self.judge.source_copy(), self.judge.runs_on_source()) {
            (false, _) => SourceGuest::Gone,
            (true, true) => SourceGuest::Running,
            (true, false) => SourceGuest::Stopped,
        };
        let now = self.source.clock.at(self.now);
        let (machine, step) = Source::restart(self.settings.0.clone(), journal, guest, now)
            .expect("the settings hold together");
        let actions: Vec<_> = step.actions.iter().map(show::source_action).collect();
        self.note_step("S", format!("restart {guest:?}"), show::state_of(&machine), &actions);
        self.source.machine = Some(machine);
        self.source.deadline = step.deadline;
        step.actions.into_iter().for_each(|action| self.do_source(action));
    }

    fn restart_destination(&mut self) {
        assert!(self.destination.machine.is_none(), "the destination is alive");
        self.incarnation = Incarnation(self.incarnation.0 + 1);
        let journal = Summary::of(self.identity, 0, &self.destination.journal).destination;
        let guest = match (self.judge.destination_copy(), self.judge.any_on_destination()) {
            (false, _) => DestinationGuest::Gone,
            (true, true) => DestinationGuest::Running(GUEST),
            (true, false) => DestinationGuest::Paused(GUEST),
        };
        let now = self.destination.clock.at(self.now);
        let config = self.settings.1.clone();
        let (machine, step) = Destination::restart(config, journal, guest, self.incarnation, now)
            .expect("the settings hold together");
        let actions: Vec<_> = step.actions.iter().map(show::destination_action).collect();
        self.note_step("D", format!("restart {guest:?}"), show::state_of(&machine), &actions);
        self.destination.machine = Some(machine);
        self.destination.deadline = step.deadline;
        step.actions.into_iter().for_each(|action| self.do_destination(action));
    }

    /// The operator's fence, and a true one: the destination's host is dead, guest and all.
    pub fn fence(&mut self) {
        if self.destination.machine.is_some() {
            self.crash(Side::Destination, Torn::Lost);
        }
        self.fenced = true;
        self.judge.fenced();
        self.source(SourceEvent::Fence);
    }
}
