//! The super-loop: poll both drivers, let the guest run a turn, move the clock.

use core::cell::{Cell, RefCell};

use heapless::Vec;
use heapless::spsc::Queue;
use switchover_core::action::{DestinationAction, Note, SourceAction};
use switchover_core::config::{Cadence, DestinationConfig, Layout, Limits, Retry, SourceConfig};
use switchover_core::contract::{
    DestinationContracts, DestinationTerms, LinkTerms, Origin, SourceContracts, SourceTerms, Term,
};
use switchover_core::destination::Destination;
use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_core::hal::destination::DestinationPorts;
use switchover_core::hal::source::SourcePorts;
use switchover_core::hal::{DestinationDriver, Link, NoArbiter, NoDevice, Observer, SourceDriver};
use switchover_core::id::{GuestInstance, Incarnation, JournalId};
use switchover_core::limits::PAGE_SIZE;
use switchover_core::outcome::Ended;
use switchover_core::port::Side;
use switchover_core::source::Source;
use switchover_core::time::{At, Ns, Ppm};
use switchover_core::units::{Bytes, BytesPerSecond};

use super::guest::{Guest, PAGES};
use super::ports::{Here, Receiving, Sending, There};
use super::rings::{Control, Flash, SoftClock};

/// The hard limit is their sum.
pub const LIMITS: Limits = Limits { downtime: Ns::from_millis(5), switchover: Ns::from_millis(1) };
/// What one turn of the loop takes.
const TURN: Ns = Ns::from_micros(10);
/// Turns until something must be wrong: two seconds.
const TURNS_MAX: u32 = 200_000;

/// Turns that the guest has behind it when it is to be moved, and that it is watched for afterwards.
const TURNS_BEFORE: u64 = 1_000;
const TURNS_AFTER: u64 = 1_000;

/// What came of it.
pub struct Report {
    /// Both attempts.
    pub ended: [Ended; 2],
    /// The guest's counter on the destination, 1000 turns after it was let go of.
    pub count: u64,
    /// Whether the guest found its memory as it had left it.
    pub intact: bool,
}

/// Why there is no report.
#[derive(Debug)]
pub enum Stuck {
    /// The settings cannot hold together.
    Settings,
    /// The clock failed.
    Clock,
    /// Nothing came of it in two seconds.
    Time,
}

/// Hears every note of both machines.
pub type Listener<'a> = &'a dyn Fn(Side, At, &Note);

struct Notes<'a>(Listener<'a>);

impl Observer<SourceEvent, SourceAction> for Notes<'_> {
    fn step(&mut self, now: At, _: &SourceEvent, actions: &[SourceAction]) {
        for action in actions {
            if let SourceAction::Note(note) = action {
                (self.0)(Side::Source, now, note);
            }
        }
    }
}

impl Observer<DestinationEvent, DestinationAction> for Notes<'_> {
    fn step(&mut self, now: At, _: &DestinationEvent, actions: &[DestinationAction]) {
        for action in actions {
            if let DestinationAction::Note(note) = action {
                (self.0)(Side::Destination, now, note);
            }
        }
    }
}

/// One vCPU port, no device, two attempts: the drivers are sized by their machines.
const VCPUS: usize = 1;
const ATTEMPTS: usize = 2;

fn layout() -> Layout {
    let memory = Bytes::new((PAGES * PAGE_SIZE) as u64);
    Layout { page_size: PAGE_SIZE as u32, memory, vcpu_ports: 1, devices: 0 }
}

/// An embedder declares what its ports may take at worst, a few turns each.
fn source() -> Result<Source<VCPUS, 0, ATTEMPTS>, Stuck> {
    let turns = |n| Term::declared(TURN.times(n));
    let vcpu = SourceTerms { quiesce: turns(0), stop: turns(2), save: turns(10), rollback: turns(2) };
    let rate = BytesPerSecond::new(100_000_000);
    let link = LinkTerms { delay: turns(4), rate, rate_origin: Origin::Declared };
    let contracts = SourceContracts {
        vcpus: Vec::from_array([vcpu]),
        devices: Vec::new(),
        seal: Term::default(),
        journal: turns(8),
        timer: turns(1),
        claim: turns(0),
        link,
    };
    let config = SourceConfig {
        limits: LIMITS,
        retry: Retry {
            attempts: ATTEMPTS as u8,
            backoff: Ns::from_millis(2),
            blackout_budget: LIMITS.hard().times(ATTEMPTS as u64),
            precopy_limit: Ns::from_secs(1),
        },
        cadence: CADENCE,
        drift: Ppm::default(),
        layout: layout(),
        arbiter: None,
        hold_on_lost_device: false,
        contracts,
    };
    Source::new(config, JournalId(1), 0).map_err(|_| Stuck::Settings)
}

const CADENCE: Cadence =
    Cadence { ping: Ns::from_millis(1), again: Ns::from_millis(1), silence: Ns::from_millis(50) };

fn destination() -> Result<Destination<VCPUS, 0, ATTEMPTS>, Stuck> {
    let turns = |n| Term::declared(TURN.times(n));
    let vcpu = DestinationTerms { load: turns(4), settle: turns(0), resume: turns(2) };
    let contracts = DestinationContracts {
        vcpus: Vec::from_array([vcpu]),
        devices: Vec::new(),
        verify: turns(10),
        journal: turns(8),
        timer: turns(1),
        claim: turns(0),
    };
    let config = DestinationConfig {
        cadence: CADENCE,
        drift: Ppm::default(),
        layout: layout(),
        arbiter: None,
        instance: GuestInstance(7),
        contracts,
    };
    Destination::new(config, JournalId(2), Incarnation(1)).map_err(|_| Stuck::Settings)
}

/// Moves the guest from one side to the other; the first attempt is made to fail.
pub fn both_sides(listener: Listener<'_>) -> Result<Report, Stuck> {
    // Three rings: control there, control back, bulk. On a board they are statics.
    let (mut there, mut back, mut bulk) =
        (Queue::<u8, 512>::new(), Queue::<u8, 512>::new(), Queue::<u8, 8192>::new());
    let ((there_tx, there_rx), (back_tx, back_rx), (bulk_tx, bulk_rx)) =
        (there.split(), back.split(), bulk.split());
    let clock = Cell::new(0);
    let here = RefCell::new(Sending::new(Guest::that_has_run(TURNS_BEFORE), bulk_tx));
    let receiving = RefCell::new(Receiving::new(bulk_rx));

    let mut source = SourceDriver::new(
        source()?,
        SourcePorts {
            clock: SoftClock(&clock),
            link: Control::new(there_tx, back_rx),
            vcpus: Vec::from_array([Here(&here)]),
            devices: Vec::<NoDevice, 0>::new(),
            memory: Here(&here),
            journal: Flash::default(),
            arbiter: NoArbiter,
        },
        Notes(listener),
    );
    let mut destination = DestinationDriver::new(
        destination()?,
        DestinationPorts {
            clock: SoftClock(&clock),
            link: Control::new(back_tx, there_rx),
            vcpus: Vec::from_array([There(&receiving)]),
            devices: Vec::<NoDevice, 0>::new(),
            memory: There(&receiving),
            journal: Flash::default(),
            arbiter: NoArbiter,
        },
        Notes(listener),
    );

    // The destination's end of the rings is there from the start; the source asks when it needs it.
    destination.ports.link.connect();
    source.event(SourceEvent::Begin).map_err(|_| Stuck::Clock)?;
    for _ in 0..TURNS_MAX {
        // A poll takes every input there is and judges the deadline. It returns the instant at which it
        // wants to be called again at the latest: a board without other work would sleep until then, or
        // until a ring has bytes. This one has a guest to run meanwhile.
        source.poll().map_err(|_| Stuck::Clock)?;
        destination.poll().map_err(|_| Stuck::Clock)?;
        if let Ok(mut side) = here.try_borrow_mut() {
            side.guest.turn();
        }
        if let Ok(mut side) = receiving.try_borrow_mut() {
            side.read();
            side.guest.turn();
        }
        clock.set(clock.get() + TURN.get());

        // The source has let go, and the destination has forgotten the attempt: it is over.
        if destination.machine().finished()
            && let ([first, second], Ok(mut side)) = (source.machine().ended(), receiving.try_borrow_mut())
        {
            (0..TURNS_AFTER).for_each(|_| side.guest.turn());
            let ended = [*first, *second];
            return Ok(Report { ended, count: side.guest.count, intact: side.guest.intact() });
        }
    }
    Err(Stuck::Time)
}
