//! The destination's bulk thread: reads chunks, puts pages where they belong and states into the inbox, and hashes
//! what arrived.
//!
//! Pages go from the socket into guest memory without a copy in between, and are hashed there while they are still in
//! the cache. Everything that the peer says is bounded and checked before it is followed (\[SW-76\]); what does not
//! hold ends the connection, never this process.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use mio::Waker;
use switchover_core::digest::{Digest, Piece};
use switchover_core::limits::CHUNK_RUNS_MAX;
use switchover_core::port::Port;
use switchover_core::wire::chunk::{HEADER, Header, Kind, TABLE_MAX, runs};

use super::connection::Broken;
use super::counters::Counters;
use super::inbox::StateInbox;
use super::intake::{Expectation, Intake};
use super::loop_lock::LoopLock;
use super::station::Station;
use super::{OnThread, RUN_PAGES};
use crate::dirty::PageRun;
use crate::guest::memory::{GuestMemory, PAGE};
use crate::memory::digest::update;
use crate::memory::hash::{StateHash, hash_all};
use crate::sys::vectored::{Incoming, readv};
use crate::wake::Wake;

/// How a receiver is set up.
#[derive(Clone, Default)]
pub struct ReceiverConfig {
    /// vCPU ports whose states may come.
    pub vcpu_ports: usize,
    /// Devices whose states may come.
    pub devices: usize,
    /// Called on the thread when it starts.
    pub on_thread: Option<OnThread>,
}

/// The most that is waited for at once, well below any socket's buffer: the sender must not be held up by a receiver
/// that waits for more.
const WAIT_MAX: usize = 128 << 10;

struct Shared {
    stop: AtomicBool,
    attached: AtomicBool,
    next: LoopLock<Option<(TcpStream, Arc<Intake>)>>,
    /// The newest hash that was asked for; 0 is none.
    hash_asked: AtomicU64,
    /// The expectation that is served; hashing for another one is over.
    serial: AtomicU64,
    hash: LoopLock<Option<(u64, (u64, u64))>>,
    counters: Counters,
    waker: Arc<Waker>,
    wake: Wake,
}

/// The thread and the way to it. Dropping it ends the thread; the connection is closed.
pub struct Receiver {
    shared: Arc<Shared>,
    inbox: StateInbox,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts the thread for a memory that nothing else writes as long as an attempt is awaited. There is no connection
    /// yet.
    ///
    /// # Errors
    /// The system has no more threads or descriptors.
    pub fn spawn(memory: GuestMemory, wake: Wake, config: ReceiverConfig) -> io::Result<Self> {
        let (station, waker) = Station::new()?;
        let inbox = StateInbox::new(config.vcpu_ports, config.devices, Arc::clone(&waker), wake.clone());
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            attached: AtomicBool::new(false),
            next: LoopLock::new(None, wake.clone()),
            hash_asked: AtomicU64::new(0),
            serial: AtomicU64::new(0),
            hash: LoopLock::new(None, wake.clone()),
            counters: Counters::default(),
            waker,
            wake: wake.clone(),
        });
        let mut worker = Worker {
            shared: Arc::clone(&shared),
            memory,
            station,
            inbox: inbox.clone(),
            // Replaced by the first connection; nothing is let through.
            intake: Arc::new(Intake::new(wake)),
            connected: false,
            chunks: 0,
            before: Digest::EMPTY,
            after: Digest::EMPTY,
            expectation: Expectation { serial: 0, attempt: 0, fresh: false },
            state_hash: StateHash::default(),
            head: [0; HEADER],
            ahead: 0,
            table: [0; TABLE_MAX],
            hashed: 0,
        };
        let thread = std::thread::Builder::new().name("bulk-receive".into()).spawn(move || {
            if let Some(set_up) = config.on_thread {
                set_up("bulk-receive");
            }
            worker.run();
        })?;
        Ok(Self { shared, inbox, thread: Some(thread) })
    }

    /// Where ports take their states from.
    pub fn inbox(&self) -> &StateInbox {
        &self.inbox
    }

    /// What came so far, over all connections.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Hands a connected socket over; an earlier one is shut down.
    pub(crate) fn attach(&self, stream: TcpStream) -> Arc<Intake> {
        let intake = Arc::new(Intake::new(self.shared.wake.clone()));
        self.shared.next.with(|next| {
            *next = Some((stream, Arc::clone(&intake)));
            self.shared.attached.store(true, Ordering::SeqCst);
        });
        self.wake_thread();
        intake
    }

    /// States of this expectation count from now on.
    pub(crate) fn expect(&self, serial: u64) {
        self.shared.serial.store(serial, Ordering::SeqCst);
        self.inbox.expect(serial);
    }

    /// Asks for a hash of everything.
    pub(crate) fn ask_hash(&self, number: u64) {
        self.shared.hash_asked.store(number, Ordering::SeqCst);
        self.wake_thread();
    }

    /// The hash of that number, once it is there.
    pub(crate) fn hash(&self, number: u64) -> Option<(u64, u64)> {
        self.shared.hash.try_with(|hash, _| hash.filter(|(of, _)| *of == number).map(|(_, value)| value))?
    }

    fn wake_thread(&self) {
        // Fails only if the thread is gone.
        let _ = self.shared.waker.wake();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake_thread();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by then; there is nothing to add on the way out.
            let _ = thread.join();
        }
    }
}

/// Why reading stopped.
enum Halt {
    /// Another connection took its place, or the thread is to end.
    Replaced,
    Broken(Broken),
}

struct Worker {
    shared: Arc<Shared>,
    memory: GuestMemory,
    station: Station,
    inbox: StateInbox,
    intake: Arc<Intake>,
    connected: bool,
    chunks: u64,
    /// The digest before the last chunk, should that turn out to be torn, and after it.
    before: Digest,
    after: Digest,
    /// The one whose first chunk came.
    expectation: Expectation,
    state_hash: StateHash,
    head: [u8; HEADER],
    /// Bytes of the next header that came with the last payload.
    ahead: usize,
    table: [u8; TABLE_MAX],
    hashed: u64,
}

impl Worker {
    fn run(&mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            self.take_connection();
            if !self.connected {
                self.serve_hash();
                self.station.wait(None);
                continue;
            }
            match self.chunk() {
                Ok(()) | Err(Halt::Replaced) => {}
                Err(Halt::Broken(why)) => {
                    self.station.detach();
                    self.connected = false;
                    self.intake.note_broken(why);
                }
            }
        }
        self.station.detach();
    }

    fn take_connection(&mut self) {
        if !self.shared.attached.load(Ordering::SeqCst) {
            return;
        }
        let next = self.shared.next.with(|next| {
            self.shared.attached.store(false, Ordering::SeqCst);
            next.take()
        });
        let Some((stream, intake)) = next else { return };
        self.intake = intake;
        (self.chunks, self.ahead) = (0, 0);
        (self.before, self.after) = (Digest::EMPTY, Digest::EMPTY);
        self.expectation = Expectation { serial: 0, attempt: 0, fresh: false };
        match self.station.attach(stream) {
            Ok(()) => self.connected = true,
            Err(error) => {
                self.connected = false;
                self.intake.note_broken(error.into());
            }
        }
    }

    /// Hashes everything if that was asked for; with the guest not running yet, and no chunk under way.
    fn serve_hash(&mut self) {
        let asked = self.shared.hash_asked.load(Ordering::SeqCst);
        if asked == self.hashed {
            return;
        }
        self.hashed = asked;
        let (shared, serial) = (&self.shared, self.shared.serial.load(Ordering::SeqCst));
        let go_on = || shared.serial.load(Ordering::SeqCst) == serial && !shared.stop.load(Ordering::SeqCst);
        if let Some(value) = hash_all(&self.memory, &self.state_hash, go_on) {
            shared.hash.with(|hash| *hash = Some((asked, value)));
            shared.wake.wake();
        }
    }

    /// Reads one chunk.
    fn chunk(&mut self) -> Result<(), Halt> {
        self.header()?;
        let header = Header::decode(&self.head).map_err(broken)?;
        let table = header.table();
        fill(&mut self.station, &self.shared, &mut [Incoming::bytes(&mut self.table[..table])], table)?;
        header.check(&self.head, &self.table[..table], self.memory.pages()).map_err(broken)?;
        if !self.intake.admits(self.chunks + 1) {
            return Err(Halt::Broken(Broken::Unasked));
        }
        // The chunk before this one is settled now.
        if header.torn_previous {
            self.after = self.before;
        }
        let belongs = self.take_up(header.attempt);
        let mut digest = self.after;
        let mut news = false;
        match header.kind {
            Kind::Pages => self.pages(table, &mut digest)?,
            Kind::Zeros => self.zeros(table, &mut digest)?,
            Kind::State { port, last } => {
                let len = header.payload as usize;
                news = self.state(port, last, len, belongs, &mut digest)?;
            }
        }
        (self.before, self.after) = (self.after, digest);
        self.chunks += 1;
        self.intake.note(self.chunks, digest, self.expectation.serial);
        if news {
            // After the chunk is counted: who takes the last state may ask for the seal next.
            self.shared.wake.wake();
        }
        Ok(())
    }

    /// Reads what is missing of the next header. Here, between two chunks, is where a hash can be made.
    fn header(&mut self) -> Result<(), Halt> {
        while self.ahead < HEADER {
            let fd = self.station.fd().ok_or(Halt::Broken(Broken::Closed))?;
            match readv(fd, &[Incoming::bytes(&mut self.head[self.ahead..])]) {
                Ok(0) => return Err(Halt::Broken(Broken::Closed)),
                Ok(came) => self.ahead += came,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.serve_hash();
                    wait(&mut self.station, &self.shared, HEADER - self.ahead)?;
                }
                Err(error) => return Err(Halt::Broken(error.into())),
            }
        }
        self.ahead = 0;
        Ok(())
    }

    /// The first chunk of the expected attempt takes the expectation up; true for each chunk of it.
    fn take_up(&mut self, attempt: u32) -> bool {
        let expected = self.intake.expected();
        if attempt == 0 {
            return false;
        }
        if attempt == expected.attempt && expected.serial != self.expectation.serial {
            self.expectation = expected;
            self.state_hash = StateHash::default();
            if expected.fresh {
                self.after = Digest::EMPTY;
            }
        }
        attempt == expected.attempt
    }

    fn pages(&mut self, table: usize, digest: &mut Digest) -> Result<(), Halt> {
        let mut list: heapless::Vec<PageRun, CHUNK_RUNS_MAX> = heapless::Vec::new();
        list.extend(
            runs(&self.table[..table]).map(|run| PageRun { first: run.first, pages: run.pages.into() }),
        );
        let (mut rest, mut all) = (&list[..], 0);
        while !rest.is_empty() {
            // As many runs as stay in the cache until they are hashed; one at least.
            let (mut count, mut pages) = (0, 0);
            for run in rest {
                if count > 0 && pages + run.pages > RUN_PAGES {
                    break;
                }
                count += 1;
                pages += run.pages;
            }
            let (now, later) = rest.split_at(count);
            self.group(now, pages, later.is_empty())?;
            for run in now {
                // Inside, as the header's check has made sure.
                let _ = self.memory.lend(*run, |bytes| update(digest, Piece::Pages(run.first), bytes));
            }
            (rest, all) = (later, all + pages);
        }
        self.shared.counters.add_chunk((HEADER + table) as u64 + all * PAGE as u64, all, 0);
        Ok(())
    }

    /// Reads some runs into memory; after the `last` ones the next header may come with them.
    fn group(&mut self, group: &[PageRun], pages: u64, last: bool) -> Result<(), Halt> {
        let mut pieces: heapless::Vec<Incoming<'_>, { CHUNK_RUNS_MAX + 1 }> = heapless::Vec::new();
        for run in group {
            let piece = self.memory.incoming(*run).map_err(|error| io_broken(io::Error::other(error)))?;
            // There is room: a table has no more runs.
            let _ = pieces.push(piece);
        }
        if last {
            let _ = pieces.push(Incoming::bytes(&mut self.head));
        }
        let need = pages as usize * PAGE;
        let came = fill(&mut self.station, &self.shared, &mut pieces, need)?;
        self.ahead = came - need;
        Ok(())
    }

    fn zeros(&mut self, table: usize, digest: &mut Digest) -> Result<(), Halt> {
        let mut all = 0;
        for run in runs(&self.table[..table]) {
            all += u64::from(run.pages);
            self.memory
                .zero_pages(PageRun { first: run.first, pages: run.pages.into() })
                .map_err(|error| io_broken(io::Error::other(error)))?;
            digest.update(Piece::Zeros { first: run.first, pages: run.pages }, &[]);
        }
        self.shared.counters.add_chunk((HEADER + table) as u64, 0, all);
        Ok(())
    }

    /// A slice of state; one that does not belong to the attempt that is expected is digested and dropped. True if the loop
    /// has something to look at.
    fn state(
        &mut self,
        port: Port,
        last: bool,
        len: usize,
        belongs: bool,
        digest: &mut Digest,
    ) -> Result<bool, Halt> {
        if !self.inbox.has(port) {
            return Err(Halt::Broken(Broken::Port));
        }
        let serial = self.expectation.serial;
        // Its bytes are read in any case; without room for them only later.
        while belongs && self.intake.expected().serial == serial && !self.inbox.has_room(port, len) {
            wait(&mut self.station, &self.shared, usize::MAX)?;
        }
        let mut bytes = vec![0; len];
        fill(&mut self.station, &self.shared, &mut [Incoming::bytes(&mut bytes)], len)?;
        let piece = match port {
            Port::Vcpus(index) => Piece::Vcpus(index),
            Port::Device(index) => Piece::Device(index),
            Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => {
                return Err(Halt::Broken(Broken::Port));
            }
        };
        digest.update(piece, &bytes);
        self.shared.counters.add_chunk((HEADER + len) as u64, 0, 0);
        if belongs {
            self.state_hash.update(port, &bytes);
            // Dropped there if the attempt is over by now.
            return Ok(self.inbox.push(serial, port, bytes, last));
        }
        Ok(false)
    }
}

fn broken(error: switchover_core::wire::chunk::ChunkError) -> Halt {
    Halt::Broken(Broken::Chunk(error))
}

fn io_broken(error: io::Error) -> Halt {
    Halt::Broken(error.into())
}

/// Waits until about so many bytes are there, or anything else moves.
fn wait(station: &mut Station, shared: &Shared, bytes: usize) -> Result<(), Halt> {
    // A hang-up is seen by the next read, after what came before it.
    station.wait_for(bytes.min(WAIT_MAX));
    if shared.stop.load(Ordering::SeqCst) || shared.attached.load(Ordering::SeqCst) {
        return Err(Halt::Replaced);
    }
    Ok(())
}

/// Reads into the pieces until `need` bytes came; returns how many did, since more may fit.
fn fill(
    station: &mut Station,
    shared: &Shared,
    mut pieces: &mut [Incoming<'_>],
    need: usize,
) -> Result<usize, Halt> {
    let mut all = 0;
    while all < need {
        let fd = station.fd().ok_or(Halt::Broken(Broken::Closed))?;
        match readv(fd, pieces) {
            Ok(0) => return Err(Halt::Broken(Broken::Closed)),
            Ok(mut came) => {
                all += came;
                while let [first, ..] = pieces {
                    let here = came.min(first.len());
                    first.advance(here);
                    came -= here;
                    if first.len() > 0 {
                        break;
                    }
                    pieces = &mut pieces[1..];
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(station, shared, need - all)?,
            Err(error) => return Err(Halt::Broken(error.into())),
        }
    }
    Ok(all)
}
