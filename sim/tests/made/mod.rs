//! Campaigns made up for tests of what is made of them: no world is played, the numbers are drawn from the seeds.

use switchover_core::time::{At, Ns};
use switchover_sim::campaign::file::{PROGRAM, Recorded, Subject, VERSION};
use switchover_sim::campaign::play::play;
use switchover_sim::campaign::{Attempt, Campaign, Sample, Seeds, Tally, Who};
use switchover_sim::check::{Broken, Violation};
use switchover_text::record::{AttemptRecord, Offender, Outcome, PhaseRecord, RunRecord, attempt_id};
use switchover_text::words::{Phase, Port, Side};

/// H of the made-up world.
pub const HARD: Ns = Ns::from_millis(310);

/// A well-mixed number for each seed and purpose.
fn mixed(seed: u64, purpose: u64) -> u64 {
    let mut x = (seed ^ (purpose << 56)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Plays a made-up run into a tally.
pub fn one(seed: u64, breaks: bool, tally: &mut Tally) {
    let fraction = |purpose| (mixed(seed, purpose) >> 11) as f64 / (1_u64 << 53) as f64;
    let device = Who { side: Side::Source, port: Port::Device(0), phase: Phase::Save };
    let memory = Who { side: Side::Source, port: Port::Memory, phase: Phase::Transfer };
    let aborted = |purpose: u64| Attempt {
        outcome: Outcome::Aborted,
        reason: Some(if mixed(seed, purpose).is_multiple_of(3) { "too_late" } else { "doomed" }),
        offender: Some(if mixed(seed, purpose + 9).is_multiple_of(4) { memory } else { device }),
        blackout: Some(Ns::new(120_000_000 + (fraction(purpose) * 188e6) as u64)),
    };
    let committed = Attempt {
        outcome: Outcome::Committed,
        reason: None,
        offender: None,
        blackout: Some(
            Ns::new((60e6 - 11e6 * fraction(1).max(1e-9).ln()) as u64).or_shorter(Ns::from_millis(304)),
        ),
    };
    let doubt =
        Attempt { outcome: Outcome::InDoubt, reason: Some("no_answer"), offender: None, blackout: None };
    let mut attempts = Vec::new();
    for purpose in [2, 3, 4] {
        if !mixed(seed, purpose + 20).is_multiple_of(20) {
            break;
        }
        attempts.push(aborted(purpose));
    }
    if attempts.len() < 3 {
        attempts.push(if mixed(seed, 7).is_multiple_of(3000) { doubt } else { committed });
    }
    let outcome = attempts.last().map_or(Outcome::Aborted, |last| last.outcome);
    let known: Option<Vec<Ns>> = attempts.iter().map(|attempt| attempt.blackout).collect();
    let longest = known.map(|all| all.into_iter().fold(Ns::ZERO, Ns::or_longer));
    let what = if seed.is_multiple_of(2) { Broken::BothRun } else { Broken::LateCommit };
    let violation = Violation { promise: what.promise(), what, at: At::from_ns(1_234_567_890) };
    let violations = if breaks && mixed(seed, 30).is_multiple_of(700) { vec![violation] } else { Vec::new() };
    tally.record(&Sample {
        seed,
        outcome,
        longest,
        over: longest.is_none_or(|longest| longest > HARD),
        attempts: &attempts,
        violations: &violations,
        steps: 40,
    });
}

/// A made-up campaign over `seeds`, part of `of`.
pub fn campaign(seeds: Seeds, of: Seeds, jobs: usize, breaks: bool) -> Campaign {
    let tally = play(seeds, jobs, || move |seed, tally: &mut Tally| one(seed, breaks, tally), |_| {});
    let tally = tally.expect("no crash");
    let worst = tally.worst().map(|(seed, blackout)| Recorded { seed, record: record(blackout) });
    Campaign {
        version: VERSION,
        program: PROGRAM.into(),
        scenario: Subject {
            name: "made-up".into(),
            about:
                "A busy guest of 64 GiB with two VFs on 25 Gb/s; \"one\" device is slow & <sometimes> stuck."
                    .into(),
            digest: "0123456789abcdef0123456789abcdef".into(),
            downtime_limit_ns: 300_000_000,
            hard_limit_ns: HARD.get(),
        },
        given: "made-up".into(),
        seeds,
        of,
        tally,
        worst,
        broken: None,
    }
}

/// A record with that blackout: an aborted attempt.
fn record(blackout: Ns) -> RunRecord {
    let row = |side, port, phase, start_ms: f64, planned_ms: f64, measured_ms: f64| PhaseRecord {
        side,
        port,
        phase,
        start_ns: Some((start_ms * 1e6) as i64),
        planned_ns: Some((planned_ms * 1e6) as u64),
        measured_ns: Some((measured_ms * 1e6) as u64),
    };
    let (source, destination) = (Side::Source, Side::Destination);
    let attempt = AttemptRecord {
        reason: Some("doomed".into()),
        offender: Some(Offender { side: source, port: Port::Device(0), phase: Phase::Save }),
        go_by_ns: Some(268_000_000),
        phases: vec![
            row(source, Port::Memory, Phase::Precopy, -1900.0, 0.0, 1900.0),
            row(source, Port::Device(0), Phase::Stop, 0.0, 4.0, 3.1),
            row(source, Port::Device(1), Phase::Stop, 0.0, 4.0, 2.9),
            row(source, Port::Vcpus, Phase::Stop, 3.1, 2.0, 0.8),
            row(source, Port::Vcpus, Phase::Save, 3.9, 1.0, 0.4),
            row(source, Port::Device(1), Phase::Save, 3.9, 60.0, 48.0),
            row(source, Port::Device(0), Phase::Save, 3.9, 60.0, 251.0),
            row(destination, Port::Device(1), Phase::Load, 21.0, 70.0, 66.0),
            row(source, Port::Memory, Phase::Transfer, 3.9, 90.0, 81.0),
            row(source, Port::Vcpus, Phase::Rollback, blackout.get() as f64 / 1e6 - 8.0, 20.0, 8.0),
        ],
        ..AttemptRecord::new(attempt_id(1, 2), Outcome::Aborted)
    };
    RunRecord::new(Outcome::Aborted, HARD.get(), vec![attempt.with_downtime(blackout.get(), HARD.get())])
}
