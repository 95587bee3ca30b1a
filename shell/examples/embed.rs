//! Somebody else's vCPUs and memory, moved by this project's agents. `docs/EMBEDDING.md` walks through it.
//!
//! A vCPU here is a thread that counts, and writes each count into the next word of its part of memory; its state is
//! the count. Both agents are in this process, and TCP between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::{thread, time::Duration};

use switchover_core::hal::{Failed, NoDevice, ResumeFailed, Slice, destination, source};
use switchover_core::{event::SourceEvent, outcome::Ending, port::Port};
use switchover_shell::agent::{DestinationLoop, DestinationSetup, SourceLoop, SourceSetup};
use switchover_shell::link::bulk::{BulkHandle, StateInbox};
use switchover_shell::{dirty::PageMarks, guest::memory::GuestMemory, journal::JournalFile, wake::Wake};

const MEMORY: u64 = 64 << 20;
const VCPUS: u64 = 2;
const WORDS: u64 = MEMORY / 8 / VCPUS;

/// The guest as one side has it; `wake` has the agent look at its ports again.
struct Guest {
    memory: GuestMemory,
    marks: PageMarks,
    counts: [AtomicU64; VCPUS as usize],
    to_run: AtomicBool,
    running: AtomicUsize,
    wake: Wake,
}

impl Guest {
    fn new(wake: Wake) -> Arc<Guest> {
        let memory = GuestMemory::new(MEMORY).expect("memory");
        let (marks, to_run) = (PageMarks::new(&memory), AtomicBool::new(false));
        Arc::new(Guest { memory, marks, counts: Default::default(), to_run, running: 0.into(), wake })
    }
    fn place(vcpu: usize, count: u64) -> u64 {
        (vcpu as u64 * WORDS + count % WORDS) * 8
    }
    fn run(self: &Arc<Self>) {
        self.to_run.store(true, SeqCst);
        for vcpu in 0..VCPUS as usize {
            self.running.fetch_add(1, SeqCst);
            let guest = Arc::clone(self);
            thread::spawn(move || {
                while guest.to_run.load(SeqCst) {
                    let count = guest.counts[vcpu].fetch_add(1, SeqCst) + 1;
                    let at = Self::place(vcpu, count);
                    assert!(guest.memory.store_u64(at, count));
                    guest.marks.mark(at); // After the write.
                }
                guest.running.fetch_sub(1, SeqCst);
                guest.wake.wake();
            });
        }
    }
    fn stop(&self) -> nb::Result<(), Failed> {
        self.to_run.store(false, SeqCst);
        if self.running.load(SeqCst) == 0 { Ok(()) } else { Err(nb::Error::WouldBlock) }
    }
}

/// All vCPUs are one port, since they stop and run together; the other half is where states go to, or come from.
struct Vcpus<S>(Arc<Guest>, S);

impl source::Vcpus for Vcpus<BulkHandle> {
    fn stop(&mut self) -> nb::Result<(), Failed> {
        self.0.stop()
    }
    fn save(&mut self) -> nb::Result<Slice, Failed> {
        let state = self.0.counts.iter().flat_map(|count| count.load(SeqCst).to_le_bytes()).collect();
        self.1.send_state(Port::Vcpus(0), state, true).map_err(|_| Failed)?;
        Ok(Slice::Last)
    }
    fn rollback(&mut self) -> nb::Result<(), Failed> {
        self.0.stop()?; // A vCPU may still be on its way out.
        self.0.run();
        Ok(())
    }
}

impl destination::Vcpus for Vcpus<StateInbox> {
    fn load(&mut self) -> nb::Result<Slice, Failed> {
        let (state, _) = self.1.take(Port::Vcpus(0)).ok_or(nb::Error::WouldBlock)?;
        for (count, bytes) in self.0.counts.iter().zip(state.as_chunks().0) {
            count.store(u64::from_le_bytes(*bytes), SeqCst);
        }
        Ok(Slice::Last)
    }
    fn resume(&mut self) -> nb::Result<(), ResumeFailed> {
        self.0.run();
        Ok(())
    }
    fn unload(&mut self) -> nb::Result<(), Failed> {
        Ok(()) // Nothing runs yet, and the next load takes its place.
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let starting = DestinationLoop::<_, NoDevice>::new()?;
    let there = Guest::new(starting.wake());
    let (memory, journal) = (there.memory.clone(), JournalFile::temporary()?);
    let (door, setup) = DestinationSetup::listen("127.0.0.1:0", memory, journal, starting.wake())?;
    let destination = starting.start(setup, |inbox| (vec![Vcpus(there.clone(), inbox.clone())], vec![]))?;

    let starting = SourceLoop::<_, NoDevice>::new()?;
    let here = Guest::new(starting.wake());
    let (memory, marks, journal) = (here.memory.clone(), here.marks.clone(), JournalFile::temporary()?);
    let mut setup = SourceSetup::new(memory, marks, journal, door.address());
    setup.verify = true; // Both sides hash all memory while it is stopped: equal, or there is no commit.
    let source = starting.start(setup, |bulk| (vec![Vcpus(here.clone(), bulk.clone())], vec![]))?;

    here.run();
    source.commands().event(SourceEvent::Begin);
    let ended = source.notes().ended(Duration::from_secs(20)).ok_or("no outcome within 20 s")?;
    println!("{:?}, {} us of downtime", ended.ending, ended.blackout.get() / 1000);
    assert_eq!(ended.ending, Ending::Committed);

    // It counts on there, and memory is that of a guest that never moved: in each word the last count that fell on it.
    thread::sleep(Duration::from_millis(20));
    nb::block!(there.stop()).map_err(|_| "it does not stop")?;
    for (vcpu, (here, count)) in here.counts.iter().zip(&there.counts).enumerate() {
        let (moved, count) = (here.load(SeqCst), count.load(SeqCst));
        assert!(count > moved);
        let mut last = (count + 1).saturating_sub(WORDS).max(1)..=count;
        assert!(last.all(|count| there.memory.load_u64(Guest::place(vcpu, count)) == Some(count)));
        println!("vCPU {vcpu} moved at {moved} and counts {count}; its memory is as it wrote it");
    }
    source.stop()?;
    destination.stop()?;
    Ok(())
}
