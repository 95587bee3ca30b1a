//! How fast the last dirty pages get across, against a plain `writev` and `readv` of the same shape in the same run.
//!
//! Both go from one guest memory into another, which is resident already, over loopback TCP with the same socket
//! options. The raw side moves the bytes and does nothing else; ours also reads the dirty log, tests for zero, hashes
//! on both sides, seals and compares. Rounds alternate, medians are compared: noise of the machine hits both.
//!
//! `stop_copy [ROUNDS] [MIB...]`

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use switchover_core::hal::destination::Memory as _;
use switchover_core::hal::source::Memory as _;
use switchover_core::id::{AttemptId, JournalId};
use switchover_shell::dirty::{Bitmap, DirtySource, PageRun};
use switchover_shell::guest::memory::{GuestMemory, PAGE};
use switchover_shell::link::bulk::{ReceiverConfig, SenderConfig};
use switchover_shell::memory::{DestinationMemory, SourceMemory};
use switchover_shell::sys::socket::bulk_buffers;
use switchover_shell::sys::vectored::{Incoming, Outgoing};
use switchover_shell::wake::Wake;

/// Bytes of one raw `writev`: those of one of ours.
const RAW_CHUNK: u64 = 512 << 10;

/// How dirty pages lie.
#[derive(Copy, Clone)]
enum Shape {
    /// One after the other.
    Solid,
    /// Every other one, 4 KiB runs.
    Sparse,
}

impl Shape {
    fn runs(self, pages: u64) -> Vec<PageRun> {
        match self {
            Shape::Solid => {
                let chunk = RAW_CHUNK / PAGE as u64;
                (0..pages.div_ceil(chunk)).map(|i| PageRun { first: i * chunk, pages: chunk }).collect()
            }
            Shape::Sparse => (0..pages).map(|i| PageRun { first: 2 * i, pages: 1 }).collect(),
        }
    }
}

/// Everything named is dirty, whenever it is asked.
#[derive(Clone)]
struct Named(Arc<std::sync::Mutex<Vec<PageRun>>>);

impl DirtySource for Named {
    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn collect(&mut self, into: &mut Bitmap) -> io::Result<()> {
        let mut runs = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        runs.drain(..).for_each(|run| into.set_run(run));
        Ok(())
    }
    fn stop(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sockets() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let source = TcpStream::connect(listener.local_addr()?)?;
    let (destination, _) = listener.accept()?;
    for socket in [&source, &destination] {
        socket.set_nodelay(true)?;
        bulk_buffers(socket);
    }
    Ok((source, destination))
}

/// One memory sent raw.
fn raw(from: &GuestMemory, to: &GuestMemory, runs: &[PageRun], sockets: &(TcpStream, TcpStream)) -> Duration {
    let per_call =
        if runs.first().is_some_and(|run| run.pages > 1) { 1 } else { (RAW_CHUNK / PAGE as u64) as usize };
    let ready = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            ready.wait();
            for group in runs.chunks(per_call) {
                let mut pieces: Vec<Incoming<'_>> =
                    group.iter().map(|run| to.incoming(*run).expect("inside")).collect();
                let mut pieces = &mut pieces[..];
                while let [first, ..] = pieces {
                    if first.len() == 0 {
                        pieces = &mut pieces[1..];
                        continue;
                    }
                    let mut came = GuestMemory::readv(sockets.1.as_fd(), pieces).expect("readv");
                    assert!(came > 0);
                    for piece in pieces.iter_mut() {
                        let here = came.min(piece.len());
                        piece.advance(here);
                        came -= here;
                    }
                }
            }
        });
        ready.wait();
        let begun = Instant::now();
        for group in runs.chunks(per_call) {
            let mut pieces: Vec<Outgoing<'_>> =
                group.iter().map(|run| from.outgoing(*run).expect("inside")).collect();
            let mut pieces = &mut pieces[..];
            while let [first, ..] = pieces {
                if first.len() == 0 {
                    pieces = &mut pieces[1..];
                    continue;
                }
                let mut sent = GuestMemory::writev(sockets.0.as_fd(), pieces).expect("writev");
                for piece in pieces.iter_mut() {
                    let here = sent.min(piece.len());
                    piece.advance(here);
                    sent -= here;
                }
            }
        }
        receiver.join().expect("receiver");
        begun.elapsed()
    })
}

struct Ours {
    source: SourceMemory,
    destination: DestinationMemory,
    named: Named,
    poll: Poll,
    events: Events,
    attempt: u32,
}

impl Ours {
    fn new(from: &GuestMemory, to: &GuestMemory) -> io::Result<Self> {
        let poll = Poll::new()?;
        let wake = Wake::new(Arc::new(Waker::new(poll.registry(), Token(0))?));
        let named = Named(Arc::default());
        let log = Box::new(named.clone());
        let mut source = SourceMemory::new(from.clone(), log, wake.clone(), false, SenderConfig::default())?;
        let mut destination = DestinationMemory::new(to.clone(), wake, ReceiverConfig::default())?;
        let (here, there) = sockets()?;
        source.attach(here);
        destination.attach(there);
        Ok(Self { source, destination, named, poll, events: Events::with_capacity(4), attempt: 0 })
    }

    fn wait<T, E>(&mut self, mut f: impl FnMut(&mut Self) -> nb::Result<T, E>) -> Result<T, E> {
        loop {
            match f(self) {
                Ok(value) => return Ok(value),
                Err(nb::Error::Other(error)) => return Err(error),
                Err(nb::Error::WouldBlock) => {
                    let _ = self.poll.poll(&mut self.events, Some(Duration::from_millis(100)));
                }
            }
        }
    }

    /// A round or, with the guest stopped, the last pages until they are verified.
    fn pass(&mut self, runs: &[PageRun], stopped: bool) -> Duration {
        self.attempt += 1;
        let attempt = AttemptId { journal: JournalId(1), counter: self.attempt };
        self.destination.expect(attempt, self.attempt > 1);
        if stopped {
            // An empty round, so that the attempt has begun.
            self.wait(|ours| ours.source.round(attempt, false)).expect("round");
        }
        self.named.0.lock().expect("no panic").extend_from_slice(runs);
        let begun = Instant::now();
        if stopped {
            self.wait(|ours| ours.source.last_pages()).expect("pages");
            let seal = self.wait(|ours| ours.source.seal()).expect("seal");
            let arrived = self.wait(|ours| ours.destination.verify(&seal)).expect("arrived");
            assert_eq!(seal, arrived);
        } else {
            let pass = self.wait(|ours| ours.source.round(attempt, false)).expect("round");
            self.wait(|ours| ours.destination.drain(pass.chunks)).expect("drained");
        }
        let took = begun.elapsed();
        self.source.keep();
        self.destination.discard();
        took
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn main() -> io::Result<()> {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse::<u64>().ok());
    let rounds = numbers.next().unwrap_or(15);
    let mut sizes: Vec<u64> = numbers.collect();
    if sizes.is_empty() {
        sizes = vec![16, 64, 256];
    }
    let largest = sizes.iter().max().copied().unwrap_or(0) << 21;
    let (from, to) = (GuestMemory::new(largest), GuestMemory::new(largest));
    let (from, to) = (from.map_err(io::Error::other)?, to.map_err(io::Error::other)?);
    for page in 0..from.pages() {
        from.write_pages(page, &[(page % 251) as u8 + 1; PAGE]).map_err(io::Error::other)?;
    }
    to.populate(2).map_err(io::Error::other)?;
    let mut ours = Ours::new(&from, &to)?;
    let raw_sockets = sockets()?;
    // Everything that the first round is about is not measured.
    let first = AttemptId { journal: JournalId(1), counter: 1 };
    ours.attempt = 1;
    ours.destination.expect(first, false);
    ours.wait(|ours| ours.source.round(first, true)).expect("first round");
    println!("MiB  shape   raw GiB/s  stop-copy  ratio  pre-copy  ratio");
    for size in sizes {
        for (shape, name) in [(Shape::Solid, "solid"), (Shape::Sparse, "sparse")] {
            let runs = shape.runs((size << 20) / PAGE as u64);
            let mut times = [Vec::new(), Vec::new(), Vec::new()];
            for _ in 0..rounds {
                times[0].push(raw(&from, &to, &runs, &raw_sockets));
                times[1].push(ours.pass(&runs, true));
                times[2].push(ours.pass(&runs, false));
            }
            let [raw, stop, precopy] = times.map(median);
            let rate = |seconds: f64| size as f64 / 1024.0 / seconds;
            println!(
                "{size:4} {name:7} {:9.2}  {:9.2}  {:5.2} {:9.2}  {:5.2}",
                rate(raw),
                rate(stop),
                raw / stop,
                rate(precopy),
                raw / precopy
            );
        }
    }
    idle(1 << 30)
}

/// A first round of a guest that has touched nothing, and of one that has touched everything and left zeros.
fn idle(bytes: u64) -> io::Result<()> {
    for touched in [false, true] {
        let from = GuestMemory::new(bytes).map_err(io::Error::other)?;
        let to = GuestMemory::new(bytes).map_err(io::Error::other)?;
        if touched {
            from.populate(2).map_err(io::Error::other)?;
            to.populate(2).map_err(io::Error::other)?;
        }
        let mut ours = Ours::new(&from, &to)?;
        let attempt = AttemptId { journal: JournalId(1), counter: 1 };
        ours.destination.expect(attempt, false);
        let begun = Instant::now();
        let pass = ours.wait(|ours| ours.source.round(attempt, true)).expect("round");
        let sent = begun.elapsed();
        ours.wait(|ours| ours.destination.drain(pass.chunks)).expect("drained");
        let mib = bytes >> 20;
        let what = if touched { "of zeros" } else { "never touched" };
        println!("{mib} MiB {what}: first round sent after {sent:?}, there after {:?}", begun.elapsed());
    }
    Ok(())
}
