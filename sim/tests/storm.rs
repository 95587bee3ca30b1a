//! Scenarios that nobody wrote: random hosts, guests and faults, most of them at random steps. P1, P3 to P6 and liveness
//! always, P2 under its assumption. A failure prints its seed, a shortened scenario, and a diagram.

use switchover_core::port::{Phase, Side};
use switchover_core::time::{Ns, Ppm};
use switchover_sim::scenario::Scenario;
use switchover_sim::scenario::model::{Arbiter, Datagrams, Fault, Stolen, What, When, Where};
use switchover_sim::scenario::{Dist, shipped};
use switchover_sim::shorten::shorten;
use switchover_sim::world::World;

/// A splitmix64 generator: the scenarios' own, apart from the runs'.
struct Draw(u64);

impl Draw {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.throw() % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn time(&mut self) -> Ns {
        Ns::from_micros(self.below(400_000) >> self.below(12))
    }

    fn side(&mut self) -> Side {
        self.pick(&[Side::Source, Side::Destination])
    }
}

const PHASES: &[Phase] = &[
    Phase::Hello,
    Phase::Precopy,
    Phase::Stop,
    Phase::Save,
    Phase::Transfer,
    Phase::Load,
    Phase::Seal,
    Phase::Ready,
    Phase::Go,
    Phase::Resume,
    Phase::Rollback,
];
const MESSAGES: &[&str] = &[
    "hello",
    "ping",
    "round_end",
    "stopping",
    "sealed",
    "go",
    "query",
    "fin",
    "abort",
    "welcome",
    "pong",
    "ready",
    "running",
    "refused",
    "lost",
    "pending",
];

fn what(draw: &mut Draw) -> What {
    let (side, time) = (draw.side(), draw.time());
    let port = draw.pick(&[Where::Vcpus, Where::Device(0), Where::Device(1), Where::Memory, Where::Journal]);
    let phase = draw.pick(PHASES);
    let from = draw.pick(&[None, Some(Side::Source), Some(Side::Destination)]);
    match draw.below(13) {
        0 => What::Stall { side, port, phase, time: (draw.below(4) > 0).then_some(time) },
        1 => What::Fail { side, port, phase },
        2 => What::Lie { side, port, phase, percent: 50 + draw.below(400) as u32 },
        3 => What::Drop { message: draw.pick(MESSAGES).to_owned(), once: draw.below(3) > 0 },
        4 => What::Partition { from, time },
        5 => What::Reset,
        6 => What::StallLink { time },
        7 | 8 => {
            let restart = (draw.below(8) > 0).then_some(time);
            What::Kill { side, restart, torn: draw.below(2) == 0 }
        }
        9 => What::Pause { side, time },
        10 => What::Corrupt,
        11 => What::Cancel { side },
        _ => What::NoArbiter { side: from, time },
    }
}

fn when(draw: &mut Draw) -> When {
    match draw.below(5) {
        0 => When::Phase { phase: draw.pick(PHASES), attempt: draw.below(3) as u32 },
        1 => When::SinceStop(Dist::Uniform { from: Ns::ZERO, to: Ns::from_millis(150) }),
        2 => When::Message { message: draw.pick(MESSAGES).to_owned(), after: draw.below(2) == 0 },
        _ => When::Step { within: 200 },
    }
}

/// A scenario drawn from that number.
fn drawn(number: u64) -> Scenario {
    let mut draw = Draw(number);
    let base = draw.pick(&["standard", "demo", "arbiter", "outliving-guest", "one-vf", "timing"]);
    let text = shipped::text(base).expect("it is shipped");
    let mut scenario = Scenario::parse(base, text).expect("a test reads every shipped scenario");
    scenario.guest.outlives_agent = draw.below(2) == 0;
    scenario.hold_on_lost_device = draw.below(4) == 0;
    if draw.below(3) == 0 && scenario.arbiter.is_none() {
        let way = Dist::Constant(scenario.source_contracts.claim.time);
        scenario.arbiter = Some(Arbiter { from_source: way.clone(), from_destination: way });
    }
    if draw.below(5) == 0 {
        let chance = |draw: &mut Draw| draw.below(100_000) as u32;
        let (lost, doubled, reordered) = (chance(&mut draw), chance(&mut draw), chance(&mut draw));
        let late = Dist::Uniform { from: Ns::ZERO, to: draw.time() };
        scenario.link.datagrams = Some(Datagrams { lost, doubled, reordered, late });
    }
    if draw.below(6) == 0 {
        let pause = Dist::Uniform { from: Ns::ZERO, to: Ns::from_millis(5) };
        scenario.source.stolen = Some(Stolen { every: Ns::from_millis(20), pause });
    }
    if draw.below(6) == 0 {
        scenario.destination.drift = Ppm::new(draw.below(100_000) as u32).expect("a tenth at most");
    }
    let faults = draw.below(5);
    scenario.faults = (0..faults)
        .map(|_| Fault { what: what(&mut draw), when: when(&mut draw), chance: 1_000_000 })
        .filter(|fault| means_something(fault, scenario.devices.len()))
        .collect();
    scenario
}

fn means_something(fault: &Fault, devices: usize) -> bool {
    match fault.what {
        What::Stall { port: Where::Device(i), .. }
        | What::Fail { port: Where::Device(i), .. }
        | What::Lie { port: Where::Device(i), .. } => usize::from(i) < devices,
        _ => true,
    }
}

fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(or)
}

#[test]
fn storms_break_no_promise() {
    let from = number("SWITCHOVER_SEED", 1);
    let all = std::env::var_os("SWITCHOVER_ALL").is_some();
    let many = number("SWITCHOVER_STORMS", if all { 300_000 } else { 10_000 });
    println!("storms {from}.. of {many}: SWITCHOVER_SEED={from} replays them");
    let mut broken = Vec::new();
    let mut outcomes = [0_u32; 4];
    for storm in from..from + many {
        let scenario = drawn(storm);
        let mut world = World::new(&scenario);
        for seed in 0..4 {
            let run = world.run(seed);
            outcomes[run.outcome as usize] += 1;
            if let Some(first) = run.violations.first() {
                broken.push((storm, seed, *first));
                break;
            }
        }
    }
    println!("outcomes {outcomes:?}, broken {}", broken.len());
    for (storm, seed, violation) in broken.iter().take(40) {
        println!("storm {storm} seed {seed}: {violation}");
    }
    if let Some((storm, seed, violation)) = broken.first() {
        let short = shorten(&drawn(*storm), *seed).expect("it fails");
        let (run, trace) = World::new(&short.scenario).run_traced(short.run.seed);
        panic!(
            "storm {storm} seed {seed}: {violation}\nshortened, seed {}: {}\n{:?}\n{}\n{}",
            run.seed,
            run.violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            short.scenario.faults,
            trace.lines()[trace.lines().len().saturating_sub(60)..].join("\n"),
            trace.diagram(),
        );
    }
}
