//! What a switchover cannot do without, each part measured alone: taking vCPUs out and saving them, a message's way to
//! another process, giving vCPUs a state and letting them run.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use switchover_shell::guest::kvm::{DirtyRate, Hooks, KvmSpec, Pending, Vmm};
use switchover_shell::realtime::{self, Wish};
use switchover_shell::wake::Wake;
use switchover_shell::words::Side;

use crate::peer::{ECHO, MESSAGE, Messages, Peer};
use crate::stats::median;

/// How a message is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// By a process that sleeps in `epoll`, the processor free for others.
    Asleep,
    /// By somebody who is there already.
    Awake,
}

/// Seconds of each part, one of each a round.
#[derive(Debug, Clone, Default)]
pub struct Floor {
    /// From the kick until all vCPUs are out of the guest with their states taken.
    pub stop: Vec<f64>,
    /// From the request until all vCPUs of a new guest have taken a state.
    pub load: Vec<f64>,
    /// From the request until all vCPUs are about to enter the guest.
    pub resume: Vec<f64>,
    /// A message's way to another process that sleeps in `epoll`: half of there and back.
    pub asleep: Vec<f64>,
    /// The same if nobody had to be woken: written into one end of a connection and read at the other by one thread.
    pub awake: Vec<f64>,
}

impl Floor {
    /// The sum at the median: stop with save, three messages, load, resume.
    #[must_use]
    pub fn sum(&self, waits: Waits) -> f64 {
        let message = match waits {
            Waits::Asleep => &self.asleep,
            Waits::Awake => &self.awake,
        };
        median(&self.stop) + 3.0 * median(message) + median(&self.load) + median(&self.resume)
    }
}

/// Measures it as a loop would: on a real-time thread that sleeps in `epoll` until a vCPU's thread wakes it. A few rounds
/// a call, between two runs of what it is compared with.
#[derive(Debug)]
pub struct Bench {
    vmm: Vmm,
    vcpus: u8,
    hooks: Hooks,
    poll: Poll,
    /// What was measured so far.
    pub floor: Floor,
}

impl Bench {
    /// A guest of so many vCPUs that does nothing.
    ///
    /// # Errors
    /// There is no KVM to be had.
    pub fn new(vcpus: u8) -> io::Result<Self> {
        let poll = Poll::new()?;
        let wake = Wake::new(Arc::new(Waker::new(poll.registry(), Token(0))?));
        let hooks = Hooks { notify: Some(Arc::new(move || wake.wake())), ..Hooks::default() };
        let vmm = Vmm::create(&spec(vcpus), &hooks).map_err(io::Error::other)?;
        Ok(Self { vmm, vcpus, hooks, poll, floor: Floor::default() })
    }

    /// So many rounds more.
    ///
    /// # Errors
    /// A vCPU or a peer failed.
    pub fn rounds(&mut self, rounds: u32) -> io::Result<()> {
        thread::scope(|scope| {
            let looping = scope.spawn(|| {
                let _ = realtime::apply(Side::Source, Wish::for_loop(Side::Source));
                for _ in 0..rounds {
                    self.vcpus()?;
                }
                self.floor.asleep.extend(asleep(rounds)?);
                self.floor.awake.extend(awake(rounds)?);
                io::Result::Ok(())
            });
            looping.join().unwrap_or_else(|_| Err(io::Error::other("the loop panicked")))
        })
    }

    fn vcpus(&mut self) -> io::Result<()> {
        let poll = &mut self.poll;
        let here = &self.vmm;
        // Of vCPUs that have run before: the first entry of a new one takes longer, and would flatter us.
        self.floor.resume.push(all(poll, || here.resume())?.0);
        // An idle guest beats, and waits: most kicks find it waiting.
        thread::sleep(Duration::from_millis(5));
        let (took, stopped) = all(poll, || self.vmm.stop())?;
        self.floor.stop.push(took);
        // As on a destination: vCPUs that have never had a state, and have been waiting for a while.
        let there = Vmm::create_empty(&spec(self.vcpus), &self.hooks).map_err(io::Error::other)?;
        thread::sleep(Duration::from_millis(5));
        let load = || there.load(stopped.iter().map(|stopped| stopped.state.to_vec()));
        self.floor.load.push(all(poll, load)?.0);
        Ok(())
    }
}

/// Asks all vCPUs for something and waits for all answers; how long that took, and what they are.
fn all<T>(poll: &mut Poll, ask: impl FnOnce() -> Vec<Pending<T>>) -> io::Result<(f64, Vec<T>)> {
    let mut events = Events::with_capacity(1);
    let begun = Instant::now();
    let (asked, mut answers) = (ask(), Vec::new());
    while let Some(next) = asked.get(answers.len()) {
        match next.poll() {
            Some(answer) => answers.push(answer.map_err(io::Error::other)?),
            None => poll.poll(&mut events, None)?,
        }
    }
    Ok((begun.elapsed().as_secs_f64(), answers))
}

fn spec(vcpus: u8) -> KvmSpec {
    let idle = DirtyRate::BytesPerSecond(0);
    KvmSpec { working_set: 1 << 20, dirty_rate: idle, ..KvmSpec::new(8 << 20, vcpus) }
}

/// The first find cold paths, and do not count.
const COLD: u32 = 2;

/// Half of so many ways to another process and back.
fn asleep(rounds: u32) -> io::Result<Vec<f64>> {
    let peer = Peer::start(ECHO)?;
    let mut messages = Messages::new(peer.stream.try_clone()?)?;
    let mut halves = Vec::new();
    for round in 0..rounds + COLD {
        // In a switchover, too, a message comes to a thread that has been waiting for a while.
        thread::sleep(Duration::from_micros(200));
        let begun = Instant::now();
        messages.send()?;
        messages.take()?;
        if round >= COLD {
            halves.push(begun.elapsed().as_secs_f64() / 2.0);
        }
    }
    Ok(halves)
}

/// So many ways from one end of a connection to the other, both on this thread.
fn awake(rounds: u32) -> io::Result<Vec<f64>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut here = TcpStream::connect(listener.local_addr()?)?;
    let (mut there, _) = listener.accept()?;
    here.set_nodelay(true)?;
    let mut ways = Vec::new();
    for round in 0..rounds + COLD {
        let begun = Instant::now();
        here.write_all(&[7; MESSAGE])?;
        there.read_exact(&mut [0; MESSAGE])?;
        if round >= COLD {
            ways.push(begun.elapsed().as_secs_f64());
        }
    }
    Ok(ways)
}
