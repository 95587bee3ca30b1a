//! A control link that loses messages, stalls, or is where its process dies: a decorator around the real one.

use std::convert::Infallible;

use switchover_core::hal::{Link, LinkDown, LinkInput};
use switchover_core::wire::message::{Envelope, ToDestination, ToSource};

use super::hold::{Hold, Injection};
use crate::words::{Phase, Side};
use switchover_text::faults::{Copies, Droppable, Stall};

/// What faults ask of a message.
pub trait Marked {
    /// Whether it can be lost to order.
    fn droppable(&self) -> Option<Droppable>;
    /// Whether it is the first that is sent after t = 0.
    fn opens_the_stop(&self) -> bool;
    /// Whether it takes an attempt up.
    fn is_welcome(&self) -> bool {
        false
    }
    /// Whether it is the commit point.
    fn is_go(&self) -> bool {
        self.droppable() == Some(Droppable::Go)
    }
}

impl Marked for ToDestination {
    fn droppable(&self) -> Option<Droppable> {
        matches!(self, ToDestination::Go).then_some(Droppable::Go)
    }

    fn opens_the_stop(&self) -> bool {
        matches!(self, ToDestination::Stopping { .. })
    }
}

impl Marked for ToSource {
    fn droppable(&self) -> Option<Droppable> {
        match self {
            ToSource::Ready { .. } => Some(Droppable::Ready),
            ToSource::Running(_) => Some(Droppable::Running),
            _ => None,
        }
    }

    fn opens_the_stop(&self) -> bool {
        false
    }

    fn is_welcome(&self) -> bool {
        matches!(self, ToSource::Welcome(_))
    }
}

/// A link with faults. Without any it passes everything through.
pub struct FaultyLink<L> {
    inner: L,
    injection: Injection,
    side: Side,
    stall: Hold,
    /// The attempt in which the link has stalled.
    stalled_in: Option<u32>,
    /// For each droppable message, the attempt in which its first copy was lost.
    lost_in: [Option<u32>; 3],
}

impl<L> FaultyLink<L> {
    /// `inner`, on that side, with the faults of that side.
    pub fn new(inner: L, side: Side, injection: Injection) -> Self {
        FaultyLink { inner, injection, side, stall: Hold::default(), stalled_in: None, lost_in: [None; 3] }
    }

    /// The link itself.
    pub fn inner(&self) -> &L {
        &self.inner
    }

    /// The link itself.
    pub fn inner_mut(&mut self) -> &mut L {
        &mut self.inner
    }

    /// Whether nothing passes at the moment, in either direction.
    fn stalls(&mut self) -> bool {
        self.stalled_in == Some(self.injection.attempt.get())
            && self.stall.holds(&self.injection, Stall::Link)
    }

    /// Whether this copy is lost.
    fn loses(&mut self, message: Droppable) -> bool {
        let attempt = self.injection.attempt.get();
        match self.injection.faults.drops(message, attempt) {
            None => false,
            Some(Copies::Every) => true,
            Some(Copies::First) => {
                let lost = &mut self.lost_in[message as usize];
                lost.replace(attempt) != Some(attempt)
            }
        }
    }

    /// Dies at `Go`, if it is to.
    fn at_go(&self, message: &impl Marked) {
        if message.is_go() {
            self.injection.kill(self.side, Phase::Go);
        }
    }
}

impl<L: Link<Out: Marked, In: Marked>> Link for FaultyLink<L> {
    type Out = L::Out;
    type In = L::In;

    fn connect(&mut self) {
        self.inner.connect();
    }

    fn send(&mut self, envelope: &Envelope, message: &L::Out) -> nb::Result<(), LinkDown> {
        if message.opens_the_stop() && self.injection.stall(Stall::Link).is_some() {
            self.stalled_in = Some(self.injection.attempt.get());
        }
        if self.stalls() {
            return Err(nb::Error::WouldBlock);
        }
        // Offered again and again, a message that waits is one copy: only what is taken counts as lost.
        if message.droppable().is_some_and(|what| self.loses(what)) {
            return Ok(());
        }
        self.inner.send(envelope, message)?;
        if message.is_welcome() {
            self.injection.kill(self.side, Phase::Hello);
        }
        self.at_go(message);
        Ok(())
    }

    fn receive(&mut self) -> nb::Result<LinkInput<L::In>, Infallible> {
        if self.stalls() {
            return Err(nb::Error::WouldBlock);
        }
        let input = self.inner.receive()?;
        if let LinkInput::Message(_, message) = &input {
            self.at_go(message);
        }
        Ok(input)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::faults::{AttemptNumber, Faults};
    use crate::wake::Wake;
    use switchover_core::time::Ns;
    use switchover_core::wire::message::Measured;

    /// A link that keeps what it is given.
    #[derive(Default)]
    struct Kept<Out, In>(Vec<Out>, VecDeque<In>);

    impl<Out: Copy + Marked, In: Marked> Link for Kept<Out, In> {
        type Out = Out;
        type In = In;
        fn connect(&mut self) {}
        fn send(&mut self, _: &Envelope, message: &Out) -> nb::Result<(), LinkDown> {
            self.0.push(*message);
            Ok(())
        }
        fn receive(&mut self) -> nb::Result<LinkInput<In>, Infallible> {
            let message = self.1.pop_front().ok_or(nb::Error::WouldBlock)?;
            Ok(LinkInput::Message(Envelope::default(), message))
        }
    }

    fn injection(texts: &[&str]) -> Injection {
        let faults = texts.iter().map(|text| text.parse().expect("a fault")).collect();
        let attempt = AttemptNumber::default();
        attempt.next();
        Injection { faults: Faults::new(faults).expect("no conflict"), attempt, wake: Wake::none() }
    }

    fn destination(texts: &[&str]) -> (FaultyLink<Kept<ToSource, ToDestination>>, AttemptNumber) {
        let injection = injection(texts);
        let attempt = injection.attempt.clone();
        let inner = Kept(Vec::new(), VecDeque::new());
        (FaultyLink::new(inner, Side::Destination, injection), attempt)
    }

    const RUNNING: ToSource =
        ToSource::Running(Measured { load: Ns::ZERO, seal: Ns::ZERO, resume: Ns::ZERO, offender: None });

    // [SW-80]
    #[test]
    fn every_copy_is_lost_in_its_attempt_and_nothing_else_is() {
        let (mut link, attempt) = destination(&["drop:running"]);
        for _ in 0..3 {
            assert_eq!(link.send(&Envelope::default(), &RUNNING), Ok(()));
            assert_eq!(link.send(&Envelope::default(), &ToSource::Lost), Ok(()));
        }
        assert_eq!(link.inner().0, [ToSource::Lost; 3]);
        attempt.next();
        assert_eq!(link.send(&Envelope::default(), &RUNNING), Ok(()));
        assert_eq!(link.inner().0.last(), Some(&RUNNING));
    }

    #[test]
    fn once_is_once_in_every_attempt_that_it_strikes() {
        let (mut link, attempt) = destination(&["drop:running:once#all"]);
        for so_far in [2, 4] {
            for _ in 0..3 {
                assert_eq!(link.send(&Envelope::default(), &RUNNING), Ok(()));
            }
            assert_eq!(link.inner().0.len(), so_far);
            attempt.next();
        }
    }

    #[test]
    fn a_stalled_link_passes_nothing_either_way_until_it_is_over() {
        let inner = Kept(Vec::new(), VecDeque::from([ToSource::Lost]));
        let mut link: FaultyLink<Kept<ToDestination, ToSource>> =
            FaultyLink::new(inner, Side::Source, injection(&["stall:link:50ms"]));
        let stopping =
            ToDestination::Stopping { elapsed: Ns::ZERO, hard_limit: Ns::from_millis(310), lease: Ns::ZERO };
        assert_eq!(link.send(&Envelope::default(), &ToDestination::Ping(1)), Ok(()), "before t = 0");
        let began = Instant::now();
        while link.send(&Envelope::default(), &stopping) == Err(nb::Error::WouldBlock) {
            assert!(link.receive().is_err());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(began.elapsed() >= Duration::from_millis(50));
        assert_eq!(link.inner().0, [ToDestination::Ping(1), stopping]);
        assert!(link.receive().is_ok());
    }
}
