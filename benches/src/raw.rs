//! Guest memory sent to another process by `writev` alone: the speed that ours is held against.
//!
//! The same shape as a stop-copy: chunks of the same size out of guest memory, the same socket buffers, the same
//! scheduling class (real-time in place of a stop-copy, ordinary beside a guest that runs), into guest memory that is
//! resident, in a process of its own.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Instant;

use switchover_shell::dirty::PageRun;
use switchover_shell::guest::memory::{GuestMemory, PAGE};
use switchover_shell::realtime::Movers;
use switchover_shell::sys::socket::bulk_buffers;

use crate::peer::{BESIDE, Peer};

/// Bytes of one `writev`: those of one of our stop-copy chunks.
pub const CHUNK: u64 = 512 << 10;

/// A memory to send, and who takes it.
#[derive(Debug)]
pub struct Raw {
    memory: GuestMemory,
    peer: Peer,
    movers: Movers,
}

impl Raw {
    /// Of memory of their own, written once.
    ///
    /// # Errors
    /// No memory, or no peer.
    pub fn filled(bytes: u64) -> io::Result<Self> {
        let memory = GuestMemory::new(bytes).map_err(io::Error::other)?;
        for page in 0..memory.pages() {
            memory.write_pages(page, &[(page % 251) as u8 + 1; PAGE]).map_err(io::Error::other)?;
        }
        Self::new(memory, "")
    }

    /// Of the memory of a guest that runs.
    ///
    /// # Errors
    /// No peer.
    pub fn beside(memory: GuestMemory) -> io::Result<Self> {
        Self::new(memory, BESIDE)
    }

    fn new(memory: GuestMemory, class: &str) -> io::Result<Self> {
        let movers = Movers::default();
        if class == BESIDE {
            movers.beside_the_guest();
        }
        let mut peer = Peer::start(&format!("{}{class}", memory.len()))?;
        bulk_buffers(&peer.stream);
        // Its memory is resident.
        peer.stream.read_exact(&mut [0])?;
        Ok(Self { memory, peer, movers })
    }

    /// How long the last so many bytes take until the peer says that it has them, in seconds.
    ///
    /// # Errors
    /// The connection failed.
    pub fn send(&mut self, bytes: u64) -> io::Result<f64> {
        let (memory, stream, movers) = (&self.memory, &mut self.peer.stream, &self.movers);
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                movers.join();
                let begun = Instant::now();
                stream.write_all(&bytes.to_le_bytes())?;
                let mut at = memory.pages() - bytes / PAGE as u64;
                while at < memory.pages() {
                    let run = PageRun { first: at, pages: (CHUNK / PAGE as u64).min(memory.pages() - at) };
                    let mut piece = memory.outgoing(run).map_err(io::Error::other)?;
                    while piece.len() > 0 {
                        piece.advance(GuestMemory::writev(stream.as_fd(), std::slice::from_ref(&piece))?);
                    }
                    at += run.pages;
                }
                stream.read_exact(&mut [0])?;
                Ok(begun.elapsed().as_secs_f64())
            });
            sender.join().map_err(|_| io::Error::other("the sender panicked"))?
        })
    }
}
