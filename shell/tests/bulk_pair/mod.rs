//! Both memory ports over one loopback connection, and a memory whose writes are noticed by a plain bitmap.

#![allow(dead_code, reason = "each test file uses its own part of it")]

pub mod relay;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use switchover_core::event::Pass;
use switchover_core::hal::Failed;
use switchover_core::hal::destination::Memory as _;
use switchover_core::hal::source::Memory as _;
use switchover_core::id::{AttemptId, JournalId};
use switchover_core::port::Port;
use switchover_core::wire::message::Seal;
use switchover_shell::dirty::{Bitmap, DirtySource, PageRun};
use switchover_shell::guest::memory::{GuestMemory, PAGE};
use switchover_shell::link::bulk::{ReceiverConfig, SenderConfig};
use switchover_shell::memory::{DestinationMemory, SourceMemory};
use switchover_shell::wake::Wake;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A dirty log made of atomic words: whoever writes a page says so afterwards.
#[derive(Clone)]
pub struct SoftLog(Arc<Vec<AtomicU64>>);

impl SoftLog {
    pub fn new(pages: u64) -> Self {
        Self(Arc::new((0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect()))
    }

    pub fn wrote(&self, page: u64) {
        self.0[(page / 64) as usize].fetch_or(1 << (page % 64), Ordering::SeqCst);
    }
}

impl DirtySource for SoftLog {
    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn collect(&mut self, into: &mut Bitmap) -> io::Result<()> {
        let words: Vec<u64> = self.0.iter().map(|word| word.swap(0, Ordering::SeqCst)).collect();
        into.union_words(&words);
        Ok(())
    }

    fn stop(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A guest's memory with its log.
#[derive(Clone)]
pub struct Guest {
    pub memory: GuestMemory,
    pub log: SoftLog,
}

impl Guest {
    pub fn new(bytes: u64) -> Self {
        let memory = GuestMemory::new(bytes).expect("memory");
        let log = SoftLog::new(memory.pages());
        Self { memory, log }
    }

    /// Fills a page with something that depends on page and seed.
    pub fn fill(&self, page: u64, seed: u64) {
        let mut state = page.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed;
        let mut bytes = [0; PAGE];
        for word in bytes.chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            word.copy_from_slice(&state.to_le_bytes());
        }
        self.memory.write_pages(page, &bytes).expect("inside");
        self.log.wrote(page);
    }

    pub fn clear(&self, page: u64) {
        self.memory.zero_pages(PageRun { first: page, pages: 1 }).expect("inside");
        self.log.wrote(page);
    }

    /// Writes pages all over `pages` from another thread until stopped, zeros and words in the middle among them.
    pub fn busy(&self, pages: u64) -> Busy {
        let stop = Arc::new(AtomicBool::new(false));
        let (guest, told) = (self.clone(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut count = 0_u64;
            let mut seed = 1_u64;
            while !told.load(Ordering::SeqCst) {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let page = (seed >> 33) % pages;
                match seed >> 61 {
                    0 => guest.clear(page),
                    1 => guest.fill(page, seed),
                    _ => {
                        let at = page * PAGE as u64 + (seed >> 20) % 512 * 8;
                        assert!(guest.memory.store_u64(at, seed));
                        guest.log.wrote(page);
                    }
                }
                count += 1;
            }
            count
        });
        Busy { stop, thread }
    }
}

/// A running writer.
pub struct Busy {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<u64>,
}

impl Busy {
    /// Stops it; how often it wrote.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the writer")
    }
}

/// Two connected sockets: source's, destination's.
pub fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let source = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let (destination, _) = listener.accept().expect("accept");
    (source, destination)
}

/// Calls until it does not block.
pub fn done<T, E>(mut poll: impl FnMut() -> nb::Result<T, E>) -> Result<T, E> {
    let begun = Instant::now();
    loop {
        match poll() {
            Ok(value) => return Ok(value),
            Err(nb::Error::Other(error)) => return Err(error),
            Err(nb::Error::WouldBlock) => {}
        }
        assert!(begun.elapsed() < PATIENCE, "took too long");
        thread::sleep(Duration::from_micros(50));
    }
}

pub fn attempt(counter: u32) -> AttemptId {
    AttemptId { journal: JournalId(7), counter }
}

/// Both ports.
pub struct Pair {
    pub guest: Guest,
    pub there: GuestMemory,
    pub source: SourceMemory,
    pub destination: DestinationMemory,
}

impl Pair {
    /// Connected.
    pub fn new(bytes: u64, verify: bool) -> Self {
        let mut pair = Self::apart(bytes, verify);
        pair.connect();
        pair
    }

    /// Not connected yet.
    pub fn apart(bytes: u64, verify: bool) -> Self {
        let guest = Guest::new(bytes);
        let there = GuestMemory::new(bytes).expect("memory");
        let log = Box::new(guest.log.clone());
        let source =
            SourceMemory::new(guest.memory.clone(), log, Wake::none(), verify, SenderConfig::default())
                .expect("source");
        let config = ReceiverConfig { vcpu_ports: 1, devices: 1, on_thread: None };
        let destination = DestinationMemory::new(there.clone(), Wake::none(), config).expect("destination");
        Self { guest, there, source, destination }
    }

    pub fn connect(&mut self) {
        let (source, destination) = sockets();
        self.source.attach(source);
        self.destination.attach(destination);
    }

    pub fn destination_expects(&mut self, counter: u32, warm: bool) {
        self.destination.expect(attempt(counter), warm);
    }

    /// A pre-copy round that arrives.
    pub fn round(&mut self, counter: u32, fresh: bool) -> Pass {
        let pass = done(|| self.source.round(attempt(counter), fresh)).expect("round");
        done(|| self.destination.drain(pass.chunks)).expect("drain");
        pass
    }

    /// Last pages, one state for the vCPUs, and the seal: what was sealed, and what arrived.
    pub fn finish(&mut self) -> Result<(Seal, Seal), Failed> {
        done(|| self.source.last_pages())?;
        self.state(b"vcpus");
        self.seal()
    }

    pub fn state(&self, bytes: &[u8]) {
        self.source.bulk().send_state(Port::Vcpus(0), bytes.to_vec(), true).expect("state");
    }

    pub fn seal(&mut self) -> Result<(Seal, Seal), Failed> {
        let seal = done(|| self.source.seal())?;
        let there = done(|| self.destination.verify(&seal))?;
        Ok((seal, there))
    }

    /// Page by page the same on both sides.
    pub fn assert_exact(&self) {
        let (mut here, mut there) = ([0; PAGE], [0; PAGE]);
        for page in 0..self.there.pages() {
            self.guest.memory.copy_pages_to(page, &mut here).expect("inside");
            self.there.copy_pages_to(page, &mut there).expect("inside");
            assert!(here == there, "page {page} differs");
        }
    }
}
