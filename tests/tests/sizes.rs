//! How much memory a machine takes: what an embedder reserves, fixed at compile time.
//!
//! The instances are the ones people use: the default capacities, and the smallest that does useful work (one vCPU
//! port, one device, two attempts). Growing beyond a bound is a decision, not an accident.

use std::mem::size_of;

use switchover_core::action::{DestinationAction, SourceAction, Step};
use switchover_core::destination::Destination;
use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_core::record::Recorder;
use switchover_core::source::Source;

/// A machine at default capacities.
const DEFAULT_MAX: usize = 8 * 1024;
/// The smallest useful machine.
const SMALLEST_MAX: usize = 768;

type SmallSource = Source<1, 1, 2>;
type SmallDestination = Destination<1, 1, 2>;

#[test]
fn the_machines_stay_small() {
    for (name, size, bound) in [
        ("Source", size_of::<Source>(), DEFAULT_MAX),
        ("Destination", size_of::<Destination>(), DEFAULT_MAX),
        ("Source<1, 1, 2>", size_of::<SmallSource>(), SMALLEST_MAX),
        ("Destination<1, 1, 2>", size_of::<SmallDestination>(), SMALLEST_MAX),
    ] {
        println!("{name}: {size} bytes");
        assert!(size < bound, "{name} takes {size} bytes, the bound is {bound}");
    }
    for (name, size) in [
        ("Step<SourceAction>", size_of::<Step<SourceAction>>()),
        ("Step<DestinationAction>", size_of::<Step<DestinationAction>>()),
        ("SourceAction", size_of::<SourceAction>()),
        ("DestinationAction", size_of::<DestinationAction>()),
        ("SourceEvent", size_of::<SourceEvent>()),
        ("DestinationEvent", size_of::<DestinationEvent>()),
        ("Recorder", size_of::<Recorder>()),
    ] {
        println!("{name}: {size} bytes");
    }
}
