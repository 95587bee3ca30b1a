//! Random switchovers between two real machines: faults of every kind, then calm.
//!
//! One number replays a run: a failing run prints it, as `SWITCHOVER_SEED=N`. `SWITCHOVER_ALL=1` runs many more.
//! P1 and P3 must hold whatever happens; P2 where its assumptions hold; and once faults stop, it is decided.

use switchover_core::event::SourceEvent;
use switchover_core::port::{Op, Port, Side};
use switchover_core::time::Ns;
use switchover_tests::host;
use switchover_tests::machines::host::{Ends, Fate, Job};
use switchover_tests::machines::network::{Letter, Way, Word};
use switchover_tests::machines::pair::{Adversary, Guest, Pair, Torn};
use switchover_tests::machines::show::state_of;
use switchover_tests::machines::{Dice, Shape, ms, us};

const SHAPES: [Shape; 5] = [Shape::PLAIN, Shape::DEVICES, Shape::TWO_PORTS, Shape::ARBITER, Shape::FULL];
const DRIFTS: [i64; 3] = [-500, 0, 500];

/// Runs `count` runs from the seed; the seed of one that fails is printed by its panic.
fn campaign(name: &str, count: u32, run: impl Fn(u64)) {
    let seed = host::seed();
    println!("{name}: {count} runs, SWITCHOVER_SEED={seed}");
    for offset in 0..u64::from(count) {
        let seed = seed.wrapping_add(offset);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed)));
        assert!(outcome.is_ok(), "{name} fails with SWITCHOVER_SEED={seed}");
    }
}

/// Anything may fail, stall, be lost, doubled or overtaken.
#[derive(Debug)]
struct Chaos(Dice);

impl Adversary for Chaos {
    fn job(&mut self, _: Side, job: &Job) -> Option<Fate> {
        let time = us(self.0.pick(&[0, 100, 500, 2_000, 10_000, 60_000]));
        let resumes = matches!(job, Job::Port(_, Op::Resume));
        let ends = match self.0.below(24) {
            // There is no failing to destroy a copy.
            _ if matches!(job, Job::Release) => Ends::Done,
            0 => Ends::Failed,
            // A record that could not be confirmed, vCPUs that ran a little: done, and said to have failed.
            1 if matches!(job, Job::Write(_)) || (resumes && matches!(job, Job::Port(Port::Vcpus(_), _))) => {
                Ends::FailedDone
            }
            2 if matches!(job, Job::Port(_, Op::Save | Op::Load)) => Ends::More,
            3 if !matches!(job, Job::Connect) => return Some(Fate::Stuck),
            _ => Ends::Done,
        };
        Some(Fate::After(time, ends))
    }

    fn letter(&mut self, letter: &Letter) -> Option<Way> {
        let word = letter.word();
        let time = us(self.0.pick(&[0, 200, 500, 3_000, 15_000, 80_000]));
        // The beginning gets through more often, or nothing would ever be tried.
        let early = matches!(word, Word::Hello | Word::Welcome | Word::Ping | Word::Pong | Word::RoundEnd);
        Some(match self.0.below(if early { 60 } else { 10 }) {
            0 => Way::Lost,
            1 => Way::Twice(time),
            2 => Way::Held,
            3 => Way::Takes(time),
            _ => Way::Takes(us(500)),
        })
    }
}

/// One thing that goes wrong, or that somebody does.
fn disturb(pair: &mut Pair, dice: &mut Dice) {
    let side = dice.pick(&[Side::Source, Side::Destination]);
    let torn = dice.pick(&[Torn::Kept, Torn::Lost]);
    match dice.below(20) {
        0 | 1 => pair.cut(),
        2..=4 => pair.mend(),
        5 => pair.crash(side, torn),
        6 => pair.crash_silently(side, torn),
        7..=9 => {
            for side in [Side::Source, Side::Destination] {
                if !alive(pair, side) {
                    pair.restart(side);
                }
            }
        }
        10 | 11 => pair.unstick(side),
        12 => pair.source(SourceEvent::Cancel),
        // Nobody moves a guest that is not there.
        13 if pair.judge.source_copy() => pair.begin(),
        14 if dice.chance(20) && in_doubt(pair) => pair.fence(),
        15 => {
            let held = pair.network.held.pop();
            if let Some(letter) = held {
                pair.network.held.insert(0, letter);
                pair.deliver(letter.word());
            }
        }
        _ => pair.replay(dice.throw() as usize),
    }
}

fn alive(pair: &Pair, side: Side) -> bool {
    match side {
        Side::Source => pair.source.machine.is_some(),
        Side::Destination => pair.destination.machine.is_some(),
    }
}

fn in_doubt(pair: &Pair) -> bool {
    pair.source
        .machine
        .as_ref()
        .is_some_and(|machine| matches!(state_of(machine).as_str(), "InDoubt" | "Held"))
}

/// Faults stop: what is down comes up, what is stuck ends.
fn calm(pair: &mut Pair) {
    pair.adversary = None;
    pair.network.calm();
    pair.mend();
    for side in [Side::Source, Side::Destination] {
        if !alive(pair, side) {
            pair.restart(side);
        }
        pair.unstick(side);
    }
    // Whoever holds a dead connection notices in the end.
    pair.notice();
}

/// It is decided where the guest runs, if it does, and both sides know.
fn decided(pair: &Pair, crashed: bool) {
    pair.check();
    let state = state_of(pair.source.alive());
    let here = pair.judge.runs_on_source();
    let there = pair.judge.any_on_destination();
    let fine = match state.as_str() {
        "Idle" => here || (crashed && !pair.judge.source_copy()),
        "Committed" => !pair.judge.source_copy() && (there || crashed),
        // Only a guest that died with its destination.
        "Held" => crashed && !here,
        _ => false,
    };
    assert!(fine, "not decided: the source is {state}\n{}", pair.tail());
    if there {
        assert!(pair.destination.alive().finished(), "Fin is missing\n{}", pair.tail());
    }
}

fn chaos(seed: u64) {
    let mut dice = Dice::new(seed);
    let shape = dice.pick(&SHAPES);
    let mut pair = Pair::drifting(shape, dice.pick(&DRIFTS), dice.pick(&DRIFTS));
    pair.guest = dice.pick(&[Guest::DiesWithAgent, Guest::OutlivesAgent]);
    let trouble = dice.chance(70);
    pair.begin();
    if dice.chance(50) {
        // Straight to the interesting part.
        pair.until(|pair| pair.said_go() || pair.ended().is_some());
    }
    pair.adversary = Some(Box::new(Chaos(Dice::new(seed ^ 0xadd))));
    let mut crashed = false;
    for _ in 0..dice.below(40) {
        pair.run(us(dice.pick(&[100, 500, 1_000, 5_000, 20_000, 150_000])));
        if trouble {
            disturb(&mut pair, &mut dice);
        }
        crashed |= !alive(&pair, Side::Source) || !alive(&pair, Side::Destination);
        pair.check();
    }
    calm(&mut pair);
    pair.run(ms(8_000));
    decided(&pair, crashed);
}

/// P1, P3, honest answers, and a decision in the end.
#[test]
fn whatever_goes_wrong_one_runner_and_a_decision() {
    campaign("chaos", host::cases(1_500, 100_000), chaos);
}

/// Every contract is kept, to the edge; work before `Go` takes what it takes; answers arrive within delta.
#[derive(Debug)]
struct Kept {
    dice: Dice,
    /// Percent of jobs and messages before the commit that go wrong.
    wild: u64,
}

impl Kept {
    /// Up to a contract, on the edge as often as not.
    fn within(&mut self, most: Ns) -> Option<Fate> {
        Some(Fate::After(Ns::new(self.dice.edge(most.get())), Ends::Done))
    }

    /// Work: as long as it likes.
    fn work(&mut self) -> Option<Fate> {
        if !self.dice.chance(self.wild) {
            return None;
        }
        Some(match self.dice.below(8) {
            0 => Fate::Stuck,
            1 => Fate::After(us(100), Ends::Failed),
            _ => Fate::After(Ns::new(self.dice.edge(ms(90).get())), Ends::Done),
        })
    }
}

impl Adversary for Kept {
    fn job(&mut self, side: Side, job: &Job) -> Option<Fate> {
        use switchover_core::journal::RecordKind as Kind;
        match (side, job) {
            (_, Job::Port(Port::Vcpus(_), Op::Rollback)) => self.within(ms(2)),
            (_, Job::Port(Port::Device(_), Op::Rollback)) => self.within(ms(4)),
            (_, Job::Port(Port::Vcpus(_), Op::Resume)) => self.within(ms(1)),
            (_, Job::Port(Port::Device(_), Op::Resume)) => self.within(ms(2)),
            // C is 5 ms, there and back.
            (_, Job::Claim(_) | Job::Claimed(..)) => self.within(us(2_500)),
            (Side::Destination, Job::Write(record)) if record.kind != Kind::Claiming => self.within(ms(1)),
            (Side::Source, Job::Write(record)) if record.kind != Kind::MayGo => self.within(ms(1)),
            (_, Job::Connect | Job::Round | Job::Drain(_) | Job::Release | Job::Yield(_)) => None,
            (_, Job::Port(_, Op::Unload)) => None,
            _ => self.work(),
        }
    }

    fn letter(&mut self, letter: &Letter) -> Option<Way> {
        // A round trip of 1 ms was measured, and stands for one way.
        let delta = ms(1).get();
        match letter.word() {
            Word::Refused | Word::Running | Word::Lost | Word::Pending | Word::Stranger => {
                Some(Way::Takes(Ns::new(self.dice.edge(delta))))
            }
            Word::Go | Word::Ready | Word::Sealed | Word::Stopping | Word::Query | Word::Abort => {
                if !self.dice.chance(self.wild) {
                    return Some(Way::Takes(Ns::new(self.dice.edge(delta))));
                }
                Some(match self.dice.below(3) {
                    0 => Way::Lost,
                    _ => Way::Takes(Ns::new(self.dice.edge(ms(40).get()))),
                })
            }
            Word::Hello | Word::Welcome | Word::Ping | Word::Pong | Word::RoundEnd | Word::Fin => None,
        }
    }
}

fn kept(seed: u64) {
    let mut dice = Dice::new(seed);
    let shape = dice.pick(&SHAPES);
    let mut pair = Pair::drifting(shape, dice.pick(&DRIFTS), dice.pick(&DRIFTS));
    pair.source.lateness = Ns::new(dice.edge(ms(1).get()));
    pair.destination.lateness = Ns::new(dice.edge(ms(1).get()));
    pair.adversary = Some(Box::new(Kept { dice: Dice::new(seed ^ 0xadd), wild: dice.pick(&[3, 10, 30]) }));
    // Often the destination takes exactly so long that `Go` is as late as it may be.
    let late = dice.chance(60).then(|| ms(50).plus(Ns::new(dice.below(ms(45).get()))));
    if let Some(late) = late {
        pair.destination.slow(switchover_tests::machines::On::Verify, late);
    }
    pair.begin();
    if dice.chance(10) {
        pair.run(us(dice.below(120_000)));
        pair.source(SourceEvent::Cancel);
    }
    pair.run(ms(4_000));
    pair.check();
    let worst = pair.blackout();
    assert!(worst <= pair.hard_limit(), "P2: {worst:?}\n{}", pair.tail());
    let doubted = pair.doubted() && !shape.arbiter;
    assert!(!doubted, "in doubt, though every answer came in time\n{}", pair.tail());
    assert!(pair.judge.runs_on_source() || pair.judge.runs_on_destination());
}

/// P2, at both extremes of drift.
#[test]
fn with_contracts_kept_the_hard_limit_holds() {
    campaign("kept", host::cases(3_000, 200_000), kept);
}
