//! The outside witness in this process: a guest's heartbeats, stamped by the kernel as they arrive.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use switchover_shell::sys::udp::StampedSocket;
use switchover_shell::units::short_duration;
use switchover_shell::witness::{Beat, GuestReport, Report, Verdict, Witness};
use switchover_shell::words::Side;

/// How often beats are taken up. Their times are the kernel's, so this costs nothing but memory.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What was seen up to a moment.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The witness's judgement.
    pub report: Report,
    /// Each time that a vCPU's beats changed from one side to the other: how long it was silent.
    pub handovers: Vec<Duration>,
}

impl Seen {
    /// The guest.
    ///
    /// # Panics
    /// When there was none, or more than one.
    pub fn guest(&self) -> &GuestReport {
        assert_eq!(self.report.guests.len(), 1, "one guest beats: {}", self.report);
        &self.report.guests[0]
    }

    /// The longest time between two beats of any vCPU.
    pub fn longest_gap(&self) -> Duration {
        let gaps = self.report.guests.iter().flat_map(|guest| &guest.vcpus);
        Duration::from_nanos(gaps.map(|vcpu| vcpu.longest_gap_ns).max().unwrap_or(0))
    }

    /// For how long the vCPU that has beaten last has been silent.
    pub fn silent(&self) -> Duration {
        let silences = self.report.guests.iter().flat_map(|guest| &guest.vcpus);
        Duration::from_nanos(silences.map(|vcpu| vcpu.silent_ns).max().unwrap_or(u64::MAX))
    }

    /// Beats of all vCPUs that arrived.
    pub fn beats(&self) -> u64 {
        self.report.guests.iter().flat_map(|guest| &guest.vcpus).map(|vcpu| vcpu.beats).sum()
    }

    /// Who has beaten last.
    pub fn runner(&self) -> Option<Side> {
        self.report.guests.first().map(|guest| guest.runner)
    }

    /// Panics unless there was one runner at all times, and no count came again or went back.
    ///
    /// # Panics
    /// See above; also when nothing was heard.
    pub fn assert_one_runner(&self) {
        assert_eq!(self.report.verdict, Verdict::OneRunner, "\n{}", self.report);
        assert_eq!(self.report.ignored, 0, "datagrams that are no heartbeats\n{}", self.report);
    }

    /// In a few words.
    pub fn summary(&self) -> String {
        let lost: u64 = self.report.guests.iter().flat_map(|guest| &guest.vcpus).map(|vcpu| vcpu.lost).sum();
        format!(
            "witness: {} beats ({lost} lost), longest gap {}, handovers {:?}",
            self.beats(),
            short_duration(self.longest_gap()),
            self.handovers.iter().map(|gap| short_duration(*gap)).collect::<Vec<_>>()
        )
    }
}

#[derive(Default)]
struct Notes {
    witness: Witness,
    last: BTreeMap<u32, (u64, Side)>,
    handovers: Vec<Duration>,
}

impl Notes {
    fn take(&mut self, at_ns: u64, datagram: &[u8]) {
        self.witness.observe(at_ns, datagram);
        if let Ok(Beat { runner, vcpu, .. }) = serde_json::from_slice(datagram)
            && let Some((before_ns, before)) = self.last.insert(vcpu, (at_ns, runner))
            && before != runner
        {
            self.handovers.push(Duration::from_nanos(at_ns.saturating_sub(before_ns)));
        }
    }
}

/// Watches until dropped.
pub struct Watch {
    port: u16,
    notes: Arc<Mutex<Notes>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Panics
    /// When the system has no socket for it.
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("an address").port();
        let socket = StampedSocket::new(socket).expect("a socket that stamps");
        let notes = Arc::new(Mutex::new(Notes::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (to, ends) = (Arc::clone(&notes), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                drain(&socket, &to);
                std::thread::sleep(LOOK_EVERY);
            }
        });
        Watch { port, notes, stop, thread: Some(thread) }
    }

    /// For `--heartbeat`.
    pub fn target(&self) -> String {
        format!("udp:127.0.0.1:{}", self.port)
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        // What has arrived by now is taken up before.
        std::thread::sleep(2 * LOOK_EVERY);
        let notes = lock(&self.notes);
        Seen { report: notes.witness.report(now_ns()), handovers: notes.handovers.clone() }
    }

    /// Waits until `enough`, and returns what was seen by then.
    ///
    /// # Panics
    /// When that does not come about in time.
    pub fn until(&self, what: &str, within: Duration, enough: impl Fn(&Seen) -> bool) -> Seen {
        let begun = std::time::Instant::now();
        loop {
            let seen = self.seen();
            if enough(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < within, "not within {within:?}: {what}\n{}", seen.report);
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Its panic was reported as it happened.
            let _ = thread.join();
        }
    }
}

fn drain(socket: &StampedSocket, notes: &Mutex<Notes>) {
    let mut buffer = [0; 2048];
    while let Ok(received) = socket.receive(&mut buffer) {
        let at_ns = received.at_ns.unwrap_or_else(now_ns);
        lock(notes).take(at_ns, &buffer[..received.len]);
    }
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The clock of the kernel's time stamps.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
