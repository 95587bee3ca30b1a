//! The source's memory port.

use std::convert::Infallible;
use std::io;
use std::net::TcpStream;

use switchover_core::event::Pass;
use switchover_core::hal::{Failed, source::Memory};
use switchover_core::id::AttemptId;
use switchover_core::wire::message::Seal;

use crate::dirty::DirtySource;
use crate::guest::memory::GuestMemory;
use crate::link::bulk::{Answer, BulkHandle, Request, Sender, SenderConfig};
use crate::wake::Wake;

/// [`Memory`] over a [`Sender`].
///
/// One operation at a time: a machine asks for the next when the last has ended, or after [`Memory::keep`].
pub struct SourceMemory {
    sender: Sender,
    /// What was asked and is not answered.
    asked: Option<(Request, u16)>,
    verify: bool,
    /// With `verify`: the hash, once it is made.
    hash: Option<(u64, u64)>,
}

impl SourceMemory {
    /// The port of a guest's memory, with its thread; without a connection yet. `verify`: the seal carries a hash of
    /// everything.
    ///
    /// # Errors
    /// The system has no more threads or descriptors.
    pub fn new(
        memory: GuestMemory,
        dirty: Box<dyn DirtySource>,
        wake: Wake,
        verify: bool,
        config: SenderConfig,
    ) -> io::Result<Self> {
        let sender = Sender::spawn(memory, dirty, wake, config)?;
        Ok(Self { sender, asked: None, verify, hash: None })
    }

    /// The bulk connection, for whoever connects it, sends states on it, or shows how it fares.
    pub fn bulk(&self) -> &BulkHandle {
        self.sender.handle()
    }

    /// Hands a connected socket over: see [`BulkHandle::attach`].
    pub fn attach(&mut self, stream: TcpStream) {
        self.bulk().attach(stream);
    }

    fn ask(&mut self, request: Request) -> nb::Result<Answer, Failed> {
        let number = match self.asked {
            Some((asked, number)) if asked == request => number,
            _ => {
                let number = self.bulk().ask(request);
                self.asked = Some((request, number));
                return Err(nb::Error::WouldBlock);
            }
        };
        match self.bulk().answer(number) {
            None => Err(nb::Error::WouldBlock),
            Some(answer) => {
                self.asked = None;
                if answer == Answer::Failed { Err(nb::Error::Other(Failed)) } else { Ok(answer) }
            }
        }
    }

    fn pass(&mut self, request: Request) -> nb::Result<Pass, Failed> {
        self.hash = None;
        match self.ask(request)? {
            Answer::Pass(pass) => Ok(pass),
            // An answer of another kind would be a fault of the thread's.
            Answer::Hash(_) | Answer::Released | Answer::Failed => Err(nb::Error::Other(Failed)),
        }
    }
}

impl Memory for SourceMemory {
    fn round(&mut self, attempt: AttemptId, fresh: bool) -> nb::Result<Pass, Failed> {
        self.pass(Request::Round { attempt: attempt.counter, fresh })
    }

    fn last_pages(&mut self) -> nb::Result<Pass, Failed> {
        self.pass(Request::LastPages)
    }

    fn seal(&mut self) -> nb::Result<Seal, Failed> {
        let (digest, chunks) = match self.bulk().sealed() {
            // The thread publishes, and wakes the loop, when the last of it is out.
            None => return Err(nb::Error::WouldBlock),
            Some(Err(())) => return Err(nb::Error::Other(Failed)),
            Some(Ok(sealed)) => sealed,
        };
        if self.verify && self.hash.is_none() {
            self.hash = match self.ask(Request::Hash)? {
                Answer::Hash(hash) => Some(hash),
                Answer::Pass(_) | Answer::Released | Answer::Failed => {
                    return Err(nb::Error::Other(Failed));
                }
            };
        }
        Ok(Seal { digest, chunks, verify: self.hash })
    }

    fn keep(&mut self) {
        self.bulk().abandon();
        (self.asked, self.hash) = (None, None);
    }

    fn release(&mut self) -> nb::Result<(), Infallible> {
        match self.ask(Request::Release) {
            Err(nb::Error::WouldBlock) => Err(nb::Error::WouldBlock),
            Ok(_) | Err(nb::Error::Other(Failed)) => Ok(()),
        }
    }
}
