//! Where a bulk thread waits: its socket, and a waker for everything else.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token, Waker};

use crate::sys::socket;

const STREAM: Token = Token(0);
const WAKER: Token = Token(1);

/// One thread's socket and waker.
pub(super) struct Station {
    poll: Poll,
    events: Events,
    stream: Option<mio::net::TcpStream>,
    /// Bytes that make the socket count as readable.
    from: usize,
}

/// What a wait ended with.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Look again.
    Look,
    /// The peer has closed, or the socket has failed.
    HungUp,
}

impl Station {
    /// An empty station and the handle that wakes it.
    pub(super) fn new() -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok((Self { poll, events: Events::with_capacity(4), stream: None, from: 1 }, waker))
    }

    /// Takes a connected socket in; one that is there already is shut down.
    pub(super) fn attach(&mut self, stream: TcpStream) -> io::Result<()> {
        self.detach();
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        socket::bulk_buffers(stream.as_fd());
        let mut stream = mio::net::TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, STREAM, Interest::READABLE | Interest::WRITABLE)?;
        self.stream = Some(stream);
        self.from = 1;
        Ok(())
    }

    /// Shuts the socket down and forgets it.
    pub(super) fn detach(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            // Both fail only on a socket that is gone already.
            let _ = self.poll.registry().deregister(&mut stream);
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The socket, if there is one.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }

    /// Waits until so many bytes can be read, for a wake, or for the end of the connection.
    pub(super) fn wait_for(&mut self, bytes: usize) -> Woken {
        if let Some(stream) = &self.stream
            && self.from != bytes
        {
            socket::readable_from(stream, bytes);
            self.from = bytes;
        }
        self.wait(None)
    }

    /// Waits for the socket to move, a wake, or `timeout` (rounded up to milliseconds).
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Woken {
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Woken::HungUp;
        }
        let hung_up = self.events.iter().any(|event| {
            event.token() == STREAM && (event.is_error() || event.is_read_closed() || event.is_write_closed())
        });
        if hung_up { Woken::HungUp } else { Woken::Look }
    }
}
