//! The destination's memory port.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use switchover_core::digest::Digest;
use switchover_core::hal::{Failed, destination::Memory};
use switchover_core::id::AttemptId;
use switchover_core::wire::message::Seal;

use crate::guest::memory::GuestMemory;
use crate::link::bulk::{Broken, Counters, Expectation, Intake, Receiver, ReceiverConfig, StateInbox};
use crate::link::control::BulkEnd;
use crate::wake::Wake;

/// [`Memory`] over a [`Receiver`].
///
/// Chunks are let into memory from [`Memory::expect`] until the seal, and again from [`Memory::discard`] on; never
/// after the seal of an attempt that was not discarded, since its guest may run.
pub struct DestinationMemory {
    bulk: DestinationBulk,
    /// The connection that the rest speaks of.
    intake: Option<Arc<Intake>>,
    /// Counts expectations, over all connections.
    serial: u64,
    expectation: Option<Expectation>,
    /// The seal that is being verified, and whether nothing came after it.
    sealed: Option<bool>,
    hashing: bool,
}

/// The destination's end of the bulk connection, for the link that is handed new ones; clones share it.
///
/// Port and link are used on the loop's thread both: the lock between them is never waited for.
#[derive(Clone)]
pub struct DestinationBulk {
    receiver: Arc<Receiver>,
    intake: Arc<Mutex<Option<Arc<Intake>>>>,
}

impl DestinationBulk {
    /// What came so far.
    pub fn counters(&self) -> &Counters {
        self.receiver.counters()
    }

    fn current(&self) -> Option<Arc<Intake>> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl BulkEnd for DestinationBulk {
    fn attach(&mut self, stream: TcpStream) {
        if let Some(old) = self.current() {
            // Whatever the old peer still sends does not reach memory.
            let _ = old.close_after(0);
        }
        let intake = self.receiver.attach(stream);
        *self.intake.lock().unwrap_or_else(PoisonError::into_inner) = Some(intake);
    }

    fn broken(&mut self) -> Option<String> {
        self.current()?.try_broken().map(|broken| broken.to_string())
    }
}

impl DestinationMemory {
    /// The port of a guest's memory, with its thread; without a connection yet.
    ///
    /// # Errors
    /// The system has no more threads or descriptors.
    pub fn new(memory: GuestMemory, wake: Wake, config: ReceiverConfig) -> io::Result<Self> {
        let receiver = Arc::new(Receiver::spawn(memory, wake, config)?);
        let bulk = DestinationBulk { receiver, intake: Arc::default() };
        Ok(Self { bulk, intake: None, serial: 0, expectation: None, sealed: None, hashing: false })
    }

    /// Where a link leaves new connections.
    pub fn bulk(&self) -> DestinationBulk {
        self.bulk.clone()
    }

    /// Hands a connected socket over; an earlier one is shut down, and nothing is let in until an attempt is expected.
    /// May wait for a lock for as long as a pointer takes to be moved.
    pub fn attach(&mut self, stream: TcpStream) {
        self.bulk.attach(stream);
        self.catch_up();
    }

    /// Where vCPU ports and devices take their states from.
    pub fn inbox(&self) -> &StateInbox {
        self.bulk.receiver.inbox()
    }

    /// What came so far.
    pub fn counters(&self) -> &Counters {
        self.bulk.receiver.counters()
    }

    /// Why there is no connection; `None` while there is one, as far as is known.
    pub fn broken(&self) -> Option<Broken> {
        match self.bulk.current() {
            None => Some(Broken::Absent),
            Some(intake) => intake.broken(),
        }
    }

    /// Turns to the newest connection; what was expected of an older one is forgotten.
    fn catch_up(&mut self) {
        let current = self.bulk.current();
        if current.as_ref().map(Arc::as_ptr) != self.intake.as_ref().map(Arc::as_ptr) {
            self.intake = current;
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.serial += 1;
        self.bulk.receiver.expect(self.serial);
        (self.expectation, self.sealed, self.hashing) = (None, None, false);
    }
}

impl Memory for DestinationMemory {
    fn expect(&mut self, attempt: AttemptId, warm: bool) {
        self.catch_up();
        self.forget();
        let expectation = Expectation { serial: self.serial, attempt: attempt.counter, fresh: !warm };
        self.expectation = Some(expectation);
        if let Some(intake) = &self.intake {
            intake.expect(expectation);
            intake.open();
        }
    }

    fn drain(&mut self, chunks: u64) -> nb::Result<(), Failed> {
        self.catch_up();
        let intake = self.intake.as_ref().ok_or(nb::Error::Other(Failed))?;
        let arrived = intake.arrived(chunks).ok_or(nb::Error::WouldBlock)?;
        match arrived {
            arrived if arrived.chunks >= chunks => Ok(()),
            arrived if arrived.broken.is_some() => Err(nb::Error::Other(Failed)),
            _ => Err(nb::Error::WouldBlock),
        }
    }

    fn verify(&mut self, seal: &Seal) -> nb::Result<Seal, Failed> {
        self.catch_up();
        let (Some(intake), Some(expectation)) = (&self.intake, self.expectation) else {
            return Err(nb::Error::Other(Failed));
        };
        let in_order = *self.sealed.get_or_insert_with(|| intake.close_after(seal.chunks));
        let arrived = intake.arrived(seal.chunks).ok_or(nb::Error::WouldBlock)?;
        if arrived.chunks < seal.chunks {
            let failed = arrived.broken.is_some();
            return Err(if failed { nb::Error::Other(Failed) } else { nb::Error::WouldBlock });
        }
        let begun = arrived.begun == expectation.serial;
        let digest = if begun || !expectation.fresh { arrived.digest } else { Digest::EMPTY };
        if !in_order || arrived.chunks > seal.chunks {
            // More than was sealed: whatever the digest says, it is not that.
            let chunks = arrived.chunks.max(seal.chunks.saturating_add(1));
            return Ok(Seal { digest, chunks, verify: None });
        }
        let verify = match seal.verify {
            None => None,
            Some(_) => {
                if !self.hashing {
                    self.hashing = true;
                    self.bulk.receiver.ask_hash(self.serial);
                }
                Some(self.bulk.receiver.hash(self.serial).ok_or(nb::Error::WouldBlock)?)
            }
        };
        Ok(Seal { digest, chunks: arrived.chunks, verify })
    }

    fn discard(&mut self) {
        self.catch_up();
        self.forget();
        if let Some(intake) = &self.intake {
            // No attempt has number 0: states are dropped, pages are kept.
            intake.expect(Expectation { serial: self.serial, attempt: 0, fresh: false });
            intake.open();
        }
    }
}
