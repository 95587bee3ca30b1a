//! What both drivers hold for a link that takes nothing at the moment, and for a journal that is busy.

use heapless::Deque;

use super::{Failed, Journal, Link, LinkDown};
use crate::journal::Record;
use crate::limits::{OUTBOX_MAX, RECORDS_MAX};
use crate::wire::message::Envelope;

/// Messages on their way to the link, in order.
#[derive(Clone, Debug)]
pub(super) struct Outbox<M>(Deque<(Envelope, M), OUTBOX_MAX>);

impl<M> Default for Outbox<M> {
    fn default() -> Self {
        Self(Deque::new())
    }
}

impl<M> Outbox<M> {
    /// Adds a message. A link that takes nothing loses it, as if on the wire; the machines say
    /// again whatever matters.
    pub(super) fn push(&mut self, envelope: Envelope, message: M) {
        if self.0.push_back((envelope, message)).is_err() {
            crate::fmt::warning!("outbox full: a message is dropped");
        }
    }

    /// Hands messages to the link as far as it takes them.
    pub(super) fn flush(&mut self, link: &mut impl Link<Out = M>) {
        while let Some((envelope, message)) = self.0.front() {
            match link.send(envelope, message) {
                Err(nb::Error::WouldBlock) => return,
                // The link reports that it is down by itself.
                Ok(()) | Err(nb::Error::Other(LinkDown)) => self.0.pop_front(),
            };
        }
    }

    /// The connection they were for is gone.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Records on their way to the journal, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    queue: Deque<Record, RECORDS_MAX>,
    not_taken: Option<Record>,
}

impl Records {
    /// Adds a record. A journal that is stuck takes no more: that record is not written, and
    /// [`Records::poll`] says so.
    pub(super) fn push(&mut self, record: Record) {
        if let Err(record) = self.queue.push_back(record) {
            self.not_taken = Some(record);
        }
    }

    /// The next record that is durable, or that could not be made so.
    pub(super) fn poll(&mut self, journal: &mut impl Journal) -> Option<(Record, Result<(), Failed>)> {
        if let Some(record) = self.not_taken.take() {
            return Some((record, Err(Failed)));
        }
        let record = *self.queue.front()?;
        let written = match journal.write(&record) {
            Err(nb::Error::WouldBlock) => return None,
            Ok(()) => Ok(()),
            Err(nb::Error::Other(failed)) => Err(failed),
        };
        self.queue.pop_front();
        Some((record, written))
    }
}
