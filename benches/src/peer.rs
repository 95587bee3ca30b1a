//! The other process of a bare measurement: this program again, connected over loopback.
//!
//! It answers short messages, asleep in `epoll` between them as the loops are; or takes bytes into a guest memory.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command};

use mio::{Events, Interest, Poll, Token};
use switchover_shell::dirty::PageRun;
use switchover_shell::guest::memory::{GuestMemory, PAGE};
use switchover_shell::realtime::{self, Movers, Wish};
use switchover_shell::sys::socket::{bulk_buffers, readable_from};
use switchover_shell::sys::vectored::{Incoming, readv};
use switchover_shell::words::Side;

use crate::raw::CHUNK;

/// Bytes of a message: about those of a control frame.
pub const MESSAGE: usize = 64;
/// The word that this program is started with as a peer.
pub const WORD: &str = "peer";

/// What a peer does that answers messages.
pub const ECHO: &str = "echo";
/// After a number of bytes: they are taken beside a guest that runs, on a thread of the ordinary class.
pub const BESIDE: &str = "+beside";

/// A peer that was started, and the connection to it. It ends with the connection.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    /// The connection.
    pub stream: TcpStream,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    /// Starts one: [`ECHO`], or the bytes of a memory to fill, with [`BESIDE`] after them for an ordinary thread.
    ///
    /// # Errors
    /// It does not start or does not connect.
    pub fn start(what: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let child = Command::new(std::env::current_exe()?).args([WORD, &address, what]).spawn()?;
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        Ok(Self { child, stream })
    }
}

/// What a peer does, until its connection ends.
///
/// # Errors
/// The connection or the memory fails.
pub fn serve(address: &str, what: &str) -> io::Result<()> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    match what {
        ECHO => echo(stream),
        what => {
            let (bytes, beside) = what.strip_suffix(BESIDE).map_or((what, false), |bytes| (bytes, true));
            sink(stream, bytes.parse().map_err(|_| io::ErrorKind::InvalidInput)?, beside)
        }
    }
}

fn echo(stream: TcpStream) -> io::Result<()> {
    let _ = realtime::apply(Side::Destination, Wish::for_loop(Side::Destination));
    let mut messages = Messages::new(stream)?;
    while messages.take()? {
        messages.send()?;
    }
    Ok(())
}

/// One end of a conversation in short messages.
#[derive(Debug)]
pub struct Messages {
    poll: Poll,
    stream: mio::net::TcpStream,
}

impl Messages {
    /// Takes a connected socket over.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (poll, mut stream) = (Poll::new()?, mio::net::TcpStream::from_std(stream));
        poll.registry().register(&mut stream, Token(0), Interest::READABLE)?;
        Ok(Self { poll, stream })
    }

    /// Sends one.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self) -> io::Result<()> {
        // So short a message is taken whole by an empty socket.
        self.stream.write_all(&[7; MESSAGE])
    }

    /// Takes one; false once the peer has closed.
    ///
    /// # Errors
    /// The connection failed.
    pub fn take(&mut self) -> io::Result<bool> {
        let (mut events, mut bytes, mut taken) = (Events::with_capacity(4), [0; MESSAGE], 0);
        while taken < MESSAGE {
            match self.stream.read(&mut bytes[taken..]) {
                Ok(0) => return Ok(false),
                Ok(read) => taken += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.poll.poll(&mut events, None)?
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Bytes that have to be there before the sink is woken: those of our receiver.
const LEAST: u64 = 128 << 10;

/// A socket that is waited for in `epoll` until as much as is useful is there.
struct Intake {
    poll: Poll,
    stream: mio::net::TcpStream,
    from: u64,
}

impl Intake {
    /// Reads by `read` once something can be read. `left` is what is still to come: the kernel wakes nobody for less
    /// than it was told to wait for.
    fn read(
        &mut self,
        left: u64,
        mut read: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<u64> {
        let mut events = Events::with_capacity(1);
        loop {
            match read(self.stream.as_fd()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(came) => return Ok(came as u64),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if self.from != left.min(LEAST) {
                self.from = left.min(LEAST);
                readable_from(&self.stream, self.from as usize);
            }
            self.poll.poll(&mut events, None)?;
        }
    }
}

/// Takes as many bytes as it is told by a number before them, into memory that is resident already, then says so.
fn sink(stream: TcpStream, memory: u64, beside: bool) -> io::Result<()> {
    bulk_buffers(&stream);
    let movers = Movers::default();
    if beside {
        movers.beside_the_guest();
    }
    movers.join();
    let memory = GuestMemory::new(memory).map_err(io::Error::other)?;
    memory.populate(1).map_err(io::Error::other)?;
    stream.set_nonblocking(true)?;
    let (poll, mut stream) = (Poll::new()?, mio::net::TcpStream::from_std(stream));
    poll.registry().register(&mut stream, Token(0), Interest::READABLE)?;
    let mut intake = Intake { poll, stream, from: 1 };
    loop {
        // One byte into an empty socket.
        intake.stream.write_all(&[1])?;
        let (mut number, mut came) = ([0; 8], 0);
        while came < number.len() {
            let rest = &mut number[came..];
            came += intake.read(rest.len() as u64, |fd| readv(fd, &[Incoming::bytes(rest)]))? as usize;
        }
        let (mut left, mut first) = (u64::from_le_bytes(number), 0);
        while left > 0 {
            let run = PageRun { first, pages: CHUNK.min(left) / PAGE as u64 };
            let mut piece = memory.incoming(run).map_err(io::Error::other)?;
            while piece.len() > 0 {
                let came = intake.read(left, |fd| readv(fd, std::slice::from_ref(&piece)))?;
                piece.advance(came as usize);
                left -= came;
            }
            first += run.pages;
        }
    }
}
