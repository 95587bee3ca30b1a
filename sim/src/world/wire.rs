//! The control connection, and the bulk one as far as it is the same for everything on it.

use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_core::port::{Port, Side};
use switchover_core::time::Ns;
use switchover_core::units::Bytes;

use super::World;
use super::dice::For;
use super::host::{CONNECT, What};
use super::letters::{Letter, Sent};
use super::link::Load;
use super::queue::Happening;
use crate::check::Excuse;
use crate::scenario::model::Datagrams;

const fn other(side: Side) -> Side {
    match side {
        Side::Source => Side::Destination,
        Side::Destination => Side::Source,
    }
}

impl World {
    /// A machine hands a message to its link.
    pub(super) fn send(&mut self, letter: Letter) {
        let side = letter.from();
        self.at_message(letter.word(), false);
        if !self.hosts[side as usize].alive {
            return;
        }
        let now = self.source_now();
        match &letter {
            Letter::ToSource(envelope, message) => {
                self.checker.destination_says(envelope.attempt.counter, message, now);
            }
            Letter::ToDestination(envelope, message) => {
                self.checker.source_says(envelope.attempt.counter, message, now);
            }
        }
        if let Some(trace) = &mut self.trace {
            trace.sent(self.now, &letter);
        }
        if self.hosts[side as usize].linked {
            self.put_on_its_way(letter);
        } else {
            self.lost(&letter);
        }
        self.at_message(letter.word(), true);
    }

    fn put_on_its_way(&mut self, letter: Letter) {
        let side = letter.from() as usize;
        let dropped = self.plan.drops && self.dropped(letter.word());
        let cut = self.now < self.link.cut_until[side];
        let latency = self.dice.draw(For::Link, &self.plan.scenario.link.control.latency).get();
        let ready = self.now.max(self.link.stands_until) + self.plan.frame;
        let at = (ready + latency).max(self.link.last[side]);
        if dropped || cut {
            return self.lost(&letter);
        }
        let sent = Sent { letter, wire: self.link.wire, at: self.now, datagram: false };
        match self.plan.scenario.link.datagrams.clone() {
            None => {
                self.link.last[side] = at;
                let place = self.letters.put(sent);
                self.queue.push(at, Happening::Letter(place));
            }
            Some(chances) => self.datagram(sent, at, &chances),
        }
    }

    /// Lost, doubled or overtaken, as no stream does.
    fn datagram(&mut self, sent: Sent, at: u64, chances: &Datagrams) {
        let sent = Sent { datagram: true, ..sent };
        if self.dice.chance(For::Link, chances.lost) {
            return self.lost(&sent.letter);
        }
        let mut when = at;
        if self.dice.chance(For::Link, chances.reordered) {
            when += self.dice.draw(For::Link, &chances.late).get();
        } else {
            self.link.last[sent.letter.from() as usize] = at;
        }
        if self.dice.chance(For::Link, chances.doubled) {
            let again = at + self.dice.draw(For::Link, &chances.late).get();
            let place = self.letters.put(sent);
            self.queue.push(again, Happening::Letter(place));
        }
        let place = self.letters.put(sent);
        self.queue.push(when, Happening::Letter(place));
    }

    /// A message will not arrive.
    pub(super) fn lost(&mut self, letter: &Letter) {
        self.checker.overran(Side::Source, Port::Link);
        if letter.decides() && self.plan.scenario.arbiter.is_none() {
            self.checker.excuse(Excuse::Link);
        }
        if let Some(trace) = &mut self.trace {
            trace.lost(self.now, letter);
        }
    }

    /// A message has arrived at its host.
    pub(super) fn arrives(&mut self, place: u32) {
        let Some(sent) = self.letters.take(place) else { return };
        let to = other(sent.letter.from());
        let host = &self.hosts[to as usize];
        if !host.alive || !host.linked || sent.wire != self.link.wire {
            return self.lost(&sent.letter);
        }
        self.measure(&sent, to);
        if let Some(trace) = &mut self.trace {
            trace.read(self.now, &sent.letter);
        }
        match sent.letter {
            Letter::ToSource(envelope, message) => {
                self.checker.source_hears(envelope.attempt.counter, &message);
                self.tell_source(SourceEvent::Message(envelope, message));
            }
            Letter::ToDestination(envelope, message) => {
                self.tell_destination(DestinationEvent::Message(envelope, message));
            }
        }
    }

    /// A message that took longer than delta, beyond what its reader's timer may be late.
    fn measure(&mut self, sent: &Sent, to: Side) {
        let clock = &self.hosts[0].clock;
        let way = clock.at(self.now).since(clock.at(sent.at));
        if way > self.delta {
            self.checker.overran(Side::Source, Port::Link);
            let late = way > self.delta.plus(self.plan.timer(to));
            if late && sent.letter.decides() && self.plan.scenario.arbiter.is_none() {
                self.checker.excuse(Excuse::Link);
            }
        }
    }

    /// Something that the bulk connection has taken is on its way.
    pub(super) fn hand_over(&mut self, load: Load, bytes: Bytes) {
        if !self.hosts[0].linked {
            return;
        }
        self.link.piece(load, bytes);
        if self.now < self.link.cut_until[0] {
            // A stream that lost bytes is broken: nothing after them can be read.
            self.link.torn = true;
        }
        let latency = self.dice.draw(For::Link, &self.plan.scenario.link.bulk.latency).get();
        let wire = self.now.max(self.link.busy_until).max(self.link.stands_until);
        let at = (wire + latency).max(self.link.last_piece);
        self.link.last_piece = at;
        self.queue.push(at, Happening::Piece { wire: self.link.wire, stood: self.link.stood });
    }

    /// A piece is due, unless its connection is gone or has stood still meanwhile.
    pub(super) fn piece(&mut self, wire: u32, stood: u64) {
        if wire != self.link.wire || self.link.torn {
            return;
        }
        let later = self.link.stood - stood;
        if later > 0 {
            self.queue.push(self.now + later, Happening::Piece { wire, stood: self.link.stood });
        } else if let Some((piece, damaged)) = self.link.arrive() {
            self.piece_arrives(piece, damaged);
        }
    }

    /// The source's attempt to connect has come to something.
    pub(super) fn connected(&mut self) {
        let cut = self.now < self.link.cut_until[0].max(self.link.cut_until[1]).max(self.link.stands_until);
        if cut || !self.hosts[1].alive {
            return self.hear_link(Side::Source, false);
        }
        let asleep = self.hosts[1].stands_until.saturating_sub(self.now);
        if asleep > 0 {
            // Nobody answers yet.
            return self.start(Side::Source, CONNECT, What::Connect, Ns::new(asleep), None);
        }
        self.link.renew(self.now);
        if self.hosts[1].linked {
            // The source's old connection, half open: the new one takes its place.
            self.hear_link(Side::Destination, false);
        }
        self.hear_link(Side::Source, true);
        if self.hosts[1].alive {
            self.hear_link(Side::Destination, true);
        }
    }

    /// A host hears of its link.
    pub(super) fn hear_link(&mut self, side: Side, up: bool) {
        let host = &mut self.hosts[side as usize];
        if !host.alive {
            return;
        }
        let knew = host.linked == up;
        host.linked = up;
        if !up {
            self.checker.overran(Side::Source, Port::Link);
        }
        match side {
            // Told even if it knows: an attempt to connect has failed.
            Side::Source => self.tell_source(if up { SourceEvent::LinkUp } else { SourceEvent::LinkDown }),
            Side::Destination if knew => {}
            Side::Destination => {
                self.tell_destination(if up { DestinationEvent::LinkUp } else { DestinationEvent::LinkDown });
            }
        }
    }

    /// Both connections break, and what was under way is gone.
    pub(super) fn reset_link(&mut self) {
        self.link.renew(self.now);
        self.checker.overran(Side::Source, Port::Link);
        for side in [Side::Source, Side::Destination] {
            let host = &self.hosts[side as usize];
            if host.linked {
                self.queue.push(self.now, Happening::Down { side, wire: self.link.wire, life: host.life });
            }
        }
    }

    /// Nothing passes on either connection for so long.
    pub(super) fn stall_link(&mut self, time: Ns) {
        let until = self.now + time.get();
        let more = until.saturating_sub(self.now.max(self.link.stands_until));
        self.link.stands_until = self.link.stands_until.max(until);
        self.link.stood += more;
        self.link.busy_until = self.link.busy_until.max(self.now) + more;
        self.link.last_piece += more;
        self.checker.overran(Side::Source, Port::Link);
    }
}
