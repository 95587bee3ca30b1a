//! The worlds in which mutants are looked for, besides those that are shipped: small, and full of what they are about.

use switchover_core::contract::Term;
use switchover_core::time::Ns;
use switchover_sim::scenario::{Dist, Scenario};

/// Where everything may go wrong at any step; the guest outlives its agents.
const CHAOS: &str = r#"
version = 1
base = "standard"
about = "Everything goes wrong at any step, a little."
faults = [
    { kind = "kill", side = "source", restart = "30ms", within_steps = 150, chance = "30%" },
    { kind = "kill", side = "destination", restart = "30ms", torn = true, within_steps = 150, chance = "30%" },
    { kind = "kill", side = "destination", restart = "20ms", after_message = "go", chance = "20%" },
    { kind = "kill", side = "destination", restart = "300ms", at = "resume", chance = "15%" },
    { kind = "kill", side = "destination", restart = "40ms", after_message = "running", chance = "15%" },
    { kind = "kill", side = "source", restart = "40ms", torn = true, after_message = "go", chance = "15%" },
    { kind = "kill", side = "source", restart = "40ms", after_message = "sealed", chance = "10%" },
    { kind = "kill", side = "source", restart = "40ms", after_message = "fin", chance = "10%" },
    { kind = "partition", time = "400ms", before_message = "running", chance = "15%" },
    { kind = "reset", since_stop = { uniform = ["0", "200ms"] }, chance = "20%" },
    { kind = "fail", side = "destination", port = "vcpus", phase = "resume", chance = "10%" },
    { kind = "fail", side = "destination", port = "device0", phase = "resume", chance = "5%" },
    { kind = "fail", side = "source", port = "journal", phase = "seal", chance = "5%" },
    { kind = "fail", side = "destination", port = "journal", phase = "go", chance = "5%" },
    { kind = "stall", side = "destination", port = "journal", phase = "go", time = "200ms", chance = "10%" },
    { kind = "stall", side = "source", port = "journal", phase = "seal", time = "forever", chance = "10%" },
    { kind = "stall", side = "source", port = "device0", phase = "save", time = "1s", chance = "10%" },
    { kind = "fail", side = "source", port = "device0", phase = "save", chance = "5%" },
    { kind = "stall", side = "destination", port = "device1", phase = "load", time = "1s", chance = "10%" },
    { kind = "stall", side = "source", port = "device1", phase = "rollback", time = "forever", chance = "10%" },
    { kind = "cancel", side = "source", since_stop = { uniform = ["0", "100ms"] }, chance = "10%" },
    { kind = "drop", message = "ready", once = true, chance = "10%" },
    { kind = "cancel", side = "source", after_message = "go", chance = "5%" },
    { kind = "corrupt", chance = "10%" },
]

[retry]
attempts = 3
backoff = "100ms"

[guest]
outlives_agent = true
"#;

/// Contracts that are kept to the edge, `Go` as late as it may be, clocks that drift by as much as is declared.
const EDGE: &str = r#"
version = 1
about = "Everything takes all that it may, and the destination verifies until Go just may be sent."
faults = [
    { kind = "drop", message = "go", chance = "70%" },
    { kind = "drop", message = "refused", chance = "30%" },
]

[limits]
downtime = "75ms"
switchover = "5ms"

[retry]
attempts = 1

[cadence]
again = "20ms"
# One round trip is measured, whatever it happens to be.
ping = "1s"

[source]
declared_drift = "20000ppm"
timer = "2ms"
journal = "2ms"
seal = "0"

[destination]
declared_drift = "20000ppm"
timer = "2ms"
journal = "4ms"
seal = "1ms"

[link]
reconnect = "1ms"

[link.control]
bandwidth = "100Gb/s"
latency = "50us"

[link.bulk]
bandwidth = "100Gb/s"
latency = "50us"

[guest]
memory = "64MiB"
working_set = "4MiB"
dirty = "10MiB/s"
state = "16KiB"

[guest.times]
stop = "1ms"
save = "1ms"
load = "1ms"
resume = "4ms"
rollback = "4ms"

[[devices]]
name = "nic"
state = "1MiB"
slices = 4
[devices.times]
quiesce = "4ms"
stop = "1ms"
save = "1ms"
load = "1ms"
settle = "1ms"
resume = "1ms"
rollback = "2ms"
"#;

/// The last pages get stuck once, and the attempt is made again over the same connection.
const SLOW_PAGES: &str = r#"
version = 1
base = "standard"
about = "The last pages of the first attempt are stuck."
faults = [{ kind = "stall", side = "source", port = "memory", phase = "transfer", time = "2s" }]
"#;

/// The destination's record of its decision takes far longer than it may.
const SLOW_RECORD: &str = r#"
version = 1
base = "standard"
about = "The destination's record takes a second."
faults = [
    { kind = "stall", side = "destination", port = "journal", phase = "go", time = "1s" },
    EXTRA
]

[guest]
outlives_agent = true
"#;
const SLOW_RECORD_DIES: &str =
    r#"{ kind = "kill", side = "destination", restart = "20ms", torn = true, after_message = "refused" }"#;

const ARBITER: &str = r#"
[arbiter]
from_source = "4ms"
from_destination = "4ms"
"#;

fn parse(name: &str, text: &str) -> Scenario {
    Scenario::parse(name, text).unwrap_or_else(|error| panic!("{error}"))
}

/// The world of that name: one of these, or one that is shipped.
pub fn world(name: &str) -> Scenario {
    match name {
        "chaos" => parse(name, CHAOS),
        "chaos-dies" => {
            let mut world = parse(name, CHAOS);
            world.guest.outlives_agent = false;
            world
        }
        "chaos-arbiter" => parse(name, &[CHAOS, ARBITER].concat()),
        "chaos-datagrams" => {
            let mut world = parse(name, CHAOS);
            world.link.datagrams =
                parse("datagrams", "version = 1\nbase = \"datagrams\"\nabout = \"x\"").link.datagrams;
            world
        }
        "edge" => parse(name, EDGE),
        "edge-arbiter" => parse(name, &[EDGE, ARBITER].concat()),
        "edge-far" => {
            let mut world = parse(name, EDGE);
            for host in [&mut world.source, &mut world.destination] {
                host.timer = Dist::Constant(Ns::from_micros(10));
            }
            world.source_contracts.timer.time = Ns::from_micros(10);
            world.destination_contracts.timer.time = Ns::from_micros(10);
            for channel in [&mut world.link.control, &mut world.link.bulk] {
                channel.latency = Dist::Constant(Ns::from_millis(3));
            }
            world.source_contracts.link.delay.time = Ns::from_millis(6);
            quick(&mut world, Ns::from_micros(200));
            world
        }
        "edge-answer" => {
            // Little to do after `Go`, so that it is the refusal that has to be waited for; and a source that is never late.
            let short = Ns::from_micros(200);
            let mut world = parse(name, EDGE);
            world.source.timer = Dist::Constant(Ns::ZERO);
            world.source_contracts.timer.time = Ns::ZERO;
            quick(&mut world, short);
            world
        }
        "slow-pages" => parse(name, SLOW_PAGES),
        "slow-record" => parse(name, &SLOW_RECORD.replace("EXTRA", "")),
        "slow-record-dies" => parse(name, &SLOW_RECORD.replace("EXTRA", SLOW_RECORD_DIES)),
        _ => Scenario::load(std::path::Path::new(name)).unwrap_or_else(|error| panic!("{error}")),
    }
}

/// A destination that needs no more than that for its record and for each resume.
fn quick(world: &mut Scenario, time: Ns) {
    world.destination.journal = Dist::Constant(time);
    world.destination_contracts.journal.time = time;
    world.guest.times.resume = Dist::Constant(time);
    for terms in world.destination_contracts.vcpus.iter_mut().chain(&mut world.destination_contracts.devices)
    {
        terms.resume.time = time;
    }
    for device in &mut world.devices {
        device.times.resume = Dist::Constant(time);
    }
}

/// The same world with a destination that verifies for so long: nobody's excuse, since it comes before `Go`.
pub fn verifying(world: &Scenario, time: u64) -> Scenario {
    let mut world = world.clone();
    world.destination_contracts.verify = Term::declared(Ns::from_micros(100));
    world.destination.seal = Dist::Constant(Ns::new(time));
    world
}
