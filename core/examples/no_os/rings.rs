//! Two byte rings as the wires, a software clock, and a journal that takes its time.
//!
//! On two boards each ring is a UART, a mailbox or a shared-memory window; nothing else here would change. Bytes may
//! come in any portion: whole frames and chunks are put together on the receiving side.

use core::cell::Cell;
use core::marker::PhantomData;

use embedded_time::clock::Error;
use embedded_time::fraction::Fraction;
use heapless::Vec;
use heapless::spsc::{Consumer, Producer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use switchover_core::hal::{Failed, Journal, Link, LinkDown, LinkInput};
use switchover_core::journal::Record;
use switchover_core::limits::FRAME_MAX;
use switchover_core::wire::frame::{Decoded, decode, encode};
use switchover_core::wire::message::Envelope;

/// Nanoseconds in a counter: on a board, a hardware timer.
pub struct SoftClock<'a>(pub &'a Cell<u64>);

impl embedded_time::Clock for SoftClock<'_> {
    type T = u64;
    const SCALING_FACTOR: Fraction = Fraction::new(1, 1_000_000_000);

    fn try_now(&self) -> Result<embedded_time::Instant<Self>, Error> {
        Ok(embedded_time::Instant::new(self.0.get()))
    }
}

/// One end of the control connection: frames over a pair of byte rings.
pub struct Control<'a, Out, In> {
    tx: Producer<'a, u8>,
    rx: Consumer<'a, u8>,
    /// What has arrived of the frame under way.
    partial: Vec<u8, FRAME_MAX>,
    /// What `receive` has to say of the connection itself.
    news: Option<LinkInput<In>>,
    _out: PhantomData<Out>,
}

impl<'a, Out, In> Control<'a, Out, In> {
    /// An end that sends into `tx`. A ring is always up; a side learns of it once it has asked for it.
    pub fn new(tx: Producer<'a, u8>, rx: Consumer<'a, u8>) -> Self {
        Self { tx, rx, partial: Vec::new(), news: None, _out: PhantomData }
    }
}

impl<Out: Serialize, In: DeserializeOwned> Link for Control<'_, Out, In> {
    type Out = Out;
    type In = In;

    fn connect(&mut self) {
        self.news = Some(LinkInput::Up);
    }

    fn send(&mut self, envelope: &Envelope, message: &Out) -> nb::Result<(), LinkDown> {
        let mut buffer = [0; FRAME_MAX];
        let frame = encode(envelope, message, &mut buffer).map_err(|_| nb::Error::Other(LinkDown))?;
        // All or nothing: the driver offers a message again that was not taken.
        if self.tx.capacity() - self.tx.len() < frame.len() {
            return Err(nb::Error::WouldBlock);
        }
        for byte in frame {
            let _room_was_checked = self.tx.enqueue(*byte);
        }
        Ok(())
    }

    fn receive(&mut self) -> nb::Result<LinkInput<In>, core::convert::Infallible> {
        if let Some(news) = self.news.take() {
            return Ok(news);
        }
        loop {
            match decode(&self.partial) {
                Ok(Decoded::Whole(envelope, message, _)) => {
                    self.partial.clear();
                    return Ok(LinkInput::Message(envelope, message));
                }
                // A length is bounded before it is believed, so what is missing fits the buffer.
                Ok(Decoded::Partial(missing)) => {
                    for _ in 0..missing {
                        let Some(byte) = self.rx.dequeue() else { return Err(nb::Error::WouldBlock) };
                        let _fits = self.partial.push(byte);
                    }
                }
                // No frame mends itself by reading on: the connection is over.
                Err(_) => {
                    self.partial.clear();
                    while self.rx.dequeue().is_some() {}
                    return Ok(LinkInput::Down);
                }
            }
        }
    }
}

/// A record in flash that stays: it is durable after a few polls, one record at a time.
#[derive(Default)]
pub struct Flash {
    busy: u8,
    /// The last record that became durable.
    pub last: Option<Record>,
}

/// Polls that a write takes.
const WRITE_POLLS: u8 = 3;

impl Journal for Flash {
    fn write(&mut self, record: &Record) -> nb::Result<(), Failed> {
        if self.busy < WRITE_POLLS {
            self.busy += 1;
            return Err(nb::Error::WouldBlock);
        }
        self.busy = 0;
        self.last = Some(*record);
        Ok(())
    }
}
