//! Ports whose operations stall: decorators around the real ones.
//!
//! A stalled stop or save is one whose answer does not come; a stalled resume or rollback is one that does not begin.
//! A rollback ends a stalled stop or save, as it ends a real one.

use switchover_core::hal::{Failed, ResumeFailed, Slice, destination, source};
use switchover_core::id::AttemptId;
use switchover_core::wire::message::Seal;

use super::hold::{Hold, Injection};
use switchover_text::faults::Stall;

/// vCPUs of a source that may stall in stop, save and rollback; of a destination in load and resume.
pub struct StallingVcpus<P> {
    inner: P,
    injection: Injection,
    stop: Held<()>,
    save: Held<Slice>,
    load: Held<Slice>,
    before: Hold,
}

/// The answer that is held back.
struct Held<T> {
    hold: Hold,
    answer: Option<T>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Held { hold: Hold::default(), answer: None }
    }
}

impl<T: Copy> Held<T> {
    /// Asks `inner` until it answers, then holds the answer back for as long as the stall takes.
    fn answer<E>(
        &mut self,
        injection: &Injection,
        place: Stall,
        inner: impl FnOnce() -> nb::Result<T, E>,
    ) -> nb::Result<T, E> {
        let answer = match self.answer {
            Some(answer) => answer,
            None => *self.answer.insert(inner()?),
        };
        if self.hold.holds(injection, place) {
            return Err(nb::Error::WouldBlock);
        }
        self.answer = None;
        Ok(answer)
    }
}

impl<P> StallingVcpus<P> {
    /// `inner`, with stalls.
    pub fn new(inner: P, injection: Injection) -> Self {
        let (stop, save, load) = (Held::default(), Held::default(), Held::default());
        StallingVcpus { inner, injection, stop, save, load, before: Hold::default() }
    }
}

impl<P: source::Vcpus> source::Vcpus for StallingVcpus<P> {
    fn stop(&mut self) -> nb::Result<(), Failed> {
        self.stop.answer(&self.injection, Stall::Stop, || self.inner.stop())
    }

    fn save(&mut self) -> nb::Result<Slice, Failed> {
        self.save.answer(&self.injection, Stall::Save, || self.inner.save())
    }

    fn rollback(&mut self) -> nb::Result<(), Failed> {
        (self.stop.answer, self.save.answer) = (None, None);
        if self.before.holds(&self.injection, Stall::Rollback) {
            return Err(nb::Error::WouldBlock);
        }
        self.inner.rollback()
    }
}

impl<P: destination::Vcpus> destination::Vcpus for StallingVcpus<P> {
    fn load(&mut self) -> nb::Result<Slice, Failed> {
        self.load.answer(&self.injection, Stall::Load, || self.inner.load())
    }

    fn resume(&mut self) -> nb::Result<(), ResumeFailed> {
        if self.before.holds(&self.injection, Stall::Resume) {
            return Err(nb::Error::WouldBlock);
        }
        self.inner.resume()
    }

    fn unload(&mut self) -> nb::Result<(), Failed> {
        self.load.answer = None;
        self.inner.unload()
    }
}

/// Memory of a destination whose verification may stall.
pub struct StallingMemory<M> {
    inner: M,
    injection: Injection,
    verify: Held<Seal>,
}

impl<M> StallingMemory<M> {
    /// `inner`, with stalls.
    pub fn new(inner: M, injection: Injection) -> Self {
        StallingMemory { inner, injection, verify: Held::default() }
    }
}

impl<M: destination::Memory> destination::Memory for StallingMemory<M> {
    fn expect(&mut self, attempt: AttemptId, warm: bool) {
        self.inner.expect(attempt, warm);
    }

    fn drain(&mut self, chunks: u64) -> nb::Result<(), Failed> {
        self.inner.drain(chunks)
    }

    fn verify(&mut self, seal: &Seal) -> nb::Result<Seal, Failed> {
        self.verify.answer(&self.injection, Stall::Seal, || self.inner.verify(seal))
    }

    fn discard(&mut self) {
        self.verify.answer = None;
        self.inner.discard();
    }
}
