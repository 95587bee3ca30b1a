//! Room for a guest, made when the first source says what its guest is like: one destination, one guest.
//!
//! The lobby's threads ask whether a guest fits; the destination's main thread makes the room, once. A guest that there
//! is no room for on this host costs its source a refusal, and this process nothing.
//!
//! Not here: serving anybody. A guest that fits is not yet a session.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use switchover_core::config::{Cadence, DestinationConfig, Layout};
use switchover_core::id::GuestInstance;
use switchover_core::time::Ppm;
use switchover_core::units::Bytes;

use super::introduction::Introduction;
use super::measure;
use super::operator::Operator;
use crate::contracts::{Calibrated, SideContracts};
use crate::guest::kvm::{DirtyRate, Hooks, KvmSpec, Vmm};
use crate::guest::memory::GuestMemory;

/// How long room for the first guest may take to be made before its source is told to come again: below the 2 s that a
/// source waits.
const ROOM_WITHIN: Duration = Duration::from_millis(1500);
/// How long a source is kept waiting for memory to be made resident; some GiB.
const POPULATE_WITHIN: Duration = Duration::from_millis(600);
/// Introductions that are remembered.
const KNOWN_MAX: usize = 16;

/// The machine's settings.
pub(super) type Config = DestinationConfig<{ crate::agent::VCPU_PORTS }, { crate::agent::DEVICES }>;

/// The guest that room was made for, and the sources that have come with such a one.
#[derive(Default)]
pub(super) struct Room(Mutex<State>);

#[derive(Default)]
struct State {
    /// What the guest is like, and its first introduction.
    made: Option<Introduction>,
    /// The last sources that came with it: the same guest may come again with other limits.
    known: VecDeque<Introduction>,
    /// A guest runs in it.
    taken: bool,
}

/// A source has come with the first guest: room is to be made for it.
pub(super) struct Request {
    /// The guest.
    pub introduction: Introduction,
    /// How that went.
    settled: SyncSender<Result<(), String>>,
}

impl Request {
    /// Tells the source's lobby thread how it went.
    pub fn settle(self, answer: Result<(), String>) {
        // It may have given up waiting.
        let _ = self.settled.try_send(answer);
    }
}

impl Room {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is room for this guest from now on.
    pub fn is_made_for(&self, introduction: &Introduction) {
        let mut state = self.state();
        state.made = Some(introduction.clone());
        state.known.push_back(introduction.clone());
    }

    /// A guest runs here: nobody else is let in. A source that is in doubt about it is not asked for its guest.
    pub fn is_taken(&self) {
        self.state().taken = true;
    }

    /// What the source with that journal said when it came last.
    pub fn introduction_of(&self, journal: u64) -> Option<Introduction> {
        self.state().known.iter().rev().find(|known| known.name == journal).cloned()
    }

    /// Whether there is room for this one; `None` as long as there is room for nobody.
    fn answer(&self, introduction: &Introduction) -> Option<Result<(), String>> {
        let mut state = self.state();
        let made = state.made.as_ref()?;
        if state.taken {
            return Some(Err("busy: a guest runs here already; take another destination".into()));
        }
        // Not compared bit by bit: on the same host CPUID differs with the processor that was asked.
        let (room, guest) = (&made.kvm, &introduction.kvm);
        if let Err(mismatch) = room.covers(guest).and_then(|()| guest.covers(room)) {
            return Some(Err(format!(
                "this destination has made room for a guest of another shape; restart it for this one ({mismatch})"
            )));
        }
        if made.verify != introduction.verify {
            let (with, without) = if made.verify { ("with", "without") } else { ("without", "with") };
            return Some(Err(format!(
                "this destination has planned for a guest {with} --verify; restart it for one {without}"
            )));
        }
        state.known.retain(|known| known.name != introduction.name);
        if state.known.len() >= KNOWN_MAX {
            state.known.pop_front();
        }
        state.known.push_back(introduction.clone());
        Some(Ok(()))
    }
}

/// A guest of that size with nothing in it.
pub(super) fn empty(like: &KvmSpec) -> KvmSpec {
    KvmSpec { working_set: 0, dirty_rate: DirtyRate::BytesPerSecond(0), ..like.clone() }
}

/// Whether a guest fits here: compared at once, and room asked for where there is none yet.
pub(super) fn fits(room: Arc<Room>) -> (crate::link::lobby::Fits, Receiver<Request>) {
    let (ask, asked) = sync_channel::<Request>(1);
    let fits = move |bytes: &[u8]| {
        let introduction = Introduction::decode(bytes)?;
        if let Some(answer) = room.answer(&introduction) {
            return answer;
        }
        let wanted = KvmSpec::new(introduction.kvm.pages().saturating_mul(4096), introduction.kvm.vcpus);
        let here = Vmm::describe(&empty(&wanted)).map_err(|error| error.to_string())?;
        here.covers(&introduction.kvm).map_err(|mismatch| mismatch.to_string())?;
        let busy = || "room is being made for a guest; try again in a moment".to_string();
        let (settled, told) = sync_channel(1);
        // One at a time; the others are not kept waiting.
        ask.try_send(Request { introduction: introduction.clone(), settled }).map_err(|_| busy())?;
        match told.recv_timeout(ROOM_WITHIN) {
            Ok(answer) => answer,
            // Late, or dropped since another was served first.
            Err(_) => room.answer(&introduction).unwrap_or_else(|| Err(busy())),
        }
    };
    (Box::new(fits), asked)
}

/// Waits for a source; `None` if the operator ends it first.
pub(super) fn next_guest(asked: &Receiver<Request>, operator: &Operator) -> Option<Request> {
    loop {
        if let Ok(request) = asked.recv_timeout(Duration::from_millis(50)) {
            return Some(request);
        }
        if operator.said().is_some() {
            return None;
        }
    }
}

/// Makes room: memory, vCPUs, and the settings that their calibration gives, beside what was measured of the `host`.
///
/// # Errors
/// This host cannot.
pub(super) fn make(
    introduction: &Introduction,
    contracts: &SideContracts,
    drift_ppm: u32,
    hooks: &Hooks,
    host: Calibrated,
) -> Result<(Arc<Vmm>, Config)> {
    let Some(bytes) = introduction.kvm.pages().checked_mul(4096) else {
        bail!("a guest of that size cannot be");
    };
    let spec = KvmSpec {
        cpuid: Some(introduction.kvm.cpuid.to_vec()),
        ..empty(&KvmSpec::new(bytes, introduction.kvm.vcpus))
    };
    let vmm = Arc::new(Vmm::create_empty(&spec, hooks)?);
    let calibrated = measure::guest(host, introduction.kvm.vcpus)?;
    populate(vmm.memory().clone())?;
    let config = DestinationConfig {
        cadence: Cadence::default(),
        drift: Ppm::new(drift_ppm).unwrap_or(Ppm::MAX),
        layout: Layout { page_size: 4096, memory: Bytes::new(bytes), vcpu_ports: 1, devices: 0 },
        arbiter: None,
        instance: GuestInstance(getrandom::u64()?),
        contracts: contracts.destination(&calibrated, introduction.verify.then_some(bytes)),
    };
    Ok((vmm, config))
}

/// Makes memory resident, so that receiving does not fault in a blackout. What takes longer than a source waits goes on
/// beside whatever arrives.
fn populate(memory: GuestMemory) -> Result<()> {
    let (done, finished) = sync_channel(1);
    std::thread::Builder::new().name("populate".into()).spawn(move || {
        if let Err(error) = memory.populate(2) {
            eprintln!("{error}; receiving will be slower");
        }
        // Nobody waits any more if it took that long.
        let _ = done.send(());
    })?;
    if finished.recv_timeout(POPULATE_WITHIN).is_err() {
        eprintln!("making memory resident goes on in the background; until then receiving is slower");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::kvm::{CpuidEntry, GuestDescriptor};

    fn guest(name: u64, vcpus: u8) -> Introduction {
        let kvm = GuestDescriptor {
            page_size: 4096,
            slots: heapless::Vec::new(),
            vcpus,
            tsc_khz: 1,
            xcr0: 0,
            xsave_size: 0,
            // The number of whichever processor was asked is in it.
            cpuid: [CpuidEntry {
                function: 1,
                index: 0,
                flags: 0,
                registers: [0, (name as u32) << 24, 0, 0],
            }]
            .into_iter()
            .collect(),
        };
        Introduction { name, hard_limit_ns: 310, verify: false, kvm }
    }

    #[test]
    fn the_same_guest_may_come_again_with_other_limits_and_another_may_not() {
        let room = Room::default();
        assert_eq!(room.answer(&guest(1, 2)), None, "nobody has room yet");
        room.is_made_for(&guest(1, 2));
        let patient = Introduction { hard_limit_ns: 2_000, ..guest(1, 2) };
        assert_eq!(room.answer(&patient), Some(Ok(())));
        assert_eq!(room.introduction_of(1).map(|known| known.hard_limit_ns), Some(2_000));
        let refused = |guest: &Introduction| room.answer(guest).expect("an answer").expect_err("refused");
        assert!(refused(&guest(1, 4)).contains("restart it"));
        assert!(refused(&Introduction { verify: true, ..guest(1, 2) }).contains("without --verify"));
        for other in 2..100 {
            assert_eq!(room.answer(&guest(other, 2)), Some(Ok(())));
        }
        assert_eq!(room.introduction_of(99).map(|known| known.name), Some(99));
        assert_eq!(room.introduction_of(1), None, "remembered no longer than it must");
        room.is_taken();
        assert!(refused(&guest(99, 2)).contains("take another destination"));
    }

    #[test]
    fn a_second_source_is_not_kept_waiting_for_ever() {
        let room = Arc::new(Room::default());
        let (fits, asked) = fits(Arc::clone(&room));
        assert!(fits(b"garbage").is_err());
        drop(asked);
        // Whoever comes to a destination that makes no more room is answered, whatever it is.
        let bytes = guest(1, 1).encode().expect("plain data");
        assert!(fits(&bytes).is_err());
    }
}
