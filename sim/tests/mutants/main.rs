//! Every mutant against the simulator: each wrong machine and each wrong host has a world in which the checker notices.
//!
//! A separate build (`cargo test -p switchover-sim --features mutants --test mutants`), since the feature makes machines
//! that can be wrong. Campaigns are of stated size and their seeds are fixed: what catches a mutant is found again, byte for
//! byte, and the same worlds and seeds with the unmutated core keep every promise.

mod worlds;

use std::collections::BTreeSet;

use switchover_core::mutant::Mutant;
use switchover_sim::check::Violation;
use switchover_sim::explore;
use switchover_sim::run::Run;
use switchover_sim::scenario::Scenario;
use switchover_sim::world::World;

/// Seeds of a campaign: what notices a mutant notices it among the first so many.
const SEEDS: u64 = 400;

/// By how much `Ready` is too late, in nanoseconds: a little more than the source's timer is late, so that it crosses `Abort`.
const JUST: u64 = 2_020_000;

/// Which world notices.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Catch {
    /// A campaign of [`SEEDS`] seeds in the world of that name.
    Campaign(&'static str),
    /// The same world, with each seed's verification as long as it can be with `Go` still being sent.
    LatestGo(&'static str),
    /// The same, and a little longer: `Ready` comes when it is just too late for `Go`.
    JustTooLate(&'static str),
    /// Every behaviour of the small world of that name: what chance hardly finds.
    Explore(&'static str),
    /// Neither: it takes fences, lost journals, two agents or two attempts, which these worlds do not have, or a check that
    /// they do not make. `docs/TESTING.md` says which test of the machines plays it.
    Nowhere,
}

use Catch::{Campaign, Explore, JustTooLate, LatestGo, Nowhere};

const CATCHES: &[(Mutant, Catch)] = &[
    (Mutant::GoBeforeMayGo, Campaign("chaos")),
    (Mutant::MayGoForgotten, Campaign("chaos")),
    (Mutant::WrittenBeforeDurable, Campaign("chaos")),
    (Mutant::GoByWaitsForJournal, Campaign("chaos-datagrams")),
    (Mutant::NoQuery, Campaign("chaos")),
    (Mutant::LeaseEndsSilently, LatestGo("edge-answer")),
    (Mutant::GoneIsRunning, Campaign("chaos-dies")),
    (Mutant::GoneIsRefused, Campaign("chaos-dies")),
    (Mutant::RunningBeforeResume, Campaign("chaos")),
    (Mutant::RecordedGuestDropped, Nowhere),
    (Mutant::RecordNamesNoGuest, Nowhere),
    (Mutant::FoundIsKept, Nowhere),
    (Mutant::IncarnationIgnored, Explore("crash-a")),
    (Mutant::FloorForgotten, Explore("calm")),
    (Mutant::JournalIdentityIgnored, Nowhere),
    (Mutant::JournalLostSilently, Campaign("chaos")),
    (Mutant::FinBeforeCommitted, Campaign("chaos")),
    (Mutant::FinBeforeRelease, Campaign("chaos")),
    (Mutant::RecordEndsWithResume, Campaign("chaos")),
    (Mutant::HelloBeforeOpen, Nowhere),
    (Mutant::CounterFromOne, Campaign("chaos-arbiter")),
    (Mutant::AttemptIgnored, Nowhere),
    (Mutant::LeaseRestarted, LatestGo("edge-far")),
    (Mutant::GoByLeftToTimer, LatestGo("edge-arbiter")),
    (Mutant::ClockBeforeInput, Campaign("slow-record")),
    (Mutant::NeedWithoutJournal, LatestGo("edge")),
    (Mutant::NoSecondLook, Campaign("chaos")),
    (Mutant::RefusedBeforeSuperseded, Campaign("slow-record-dies")),
    (Mutant::ScheduleWithoutClaim, LatestGo("edge-arbiter")),
    (Mutant::LostClaimReleases, Campaign("chaos-arbiter")),
    (Mutant::RefusalKeepsClaim, Campaign("chaos-arbiter")),
    (Mutant::RestartKeepsClaim, Campaign("chaos-arbiter")),
    (Mutant::ArbiterNotCompared, Nowhere),
    (Mutant::AnswerIsLinkOnly, LatestGo("edge-answer")),
    (Mutant::CancelRollsBack, Campaign("chaos")),
    (Mutant::TimeRollsBack, Campaign("chaos")),
    (Mutant::FenceNotDurable, Nowhere),
    (Mutant::FenceForgotten, Nowhere),
    (Mutant::AgentFenced, Nowhere),
    (Mutant::TwoAgents, Nowhere),
    (Mutant::DuplicateHelloRefused, Explore("calm")),
    (Mutant::BusyNotRemembered, Nowhere),
    (Mutant::OneFailedPortRefuses, Nowhere),
    (Mutant::RunningEndsFence, Nowhere),
    (Mutant::VcpusWaitForDevices, Campaign("chaos")),
    (Mutant::RolledForwardRefused, Nowhere),
    (Mutant::FinNotSaidAgain, Nowhere),
    (Mutant::RollbackNotReserved, LatestGo("edge-answer")),
    (Mutant::DriftLeftOut, Nowhere),
    (Mutant::TimersNeverLate, LatestGo("edge-answer")),
    (Mutant::DelayLearnedTooLow, Nowhere),
    (Mutant::ContractTooLow, Campaign("chaos")),
    (Mutant::StopCountedLate, Campaign("chaos")),
    (Mutant::WorkUnbounded, Campaign("chaos")),
    (Mutant::DeadlineWaitsForDevice, Campaign("chaos")),
    (Mutant::DecideByNotArmed, Explore("timed")),
    (Mutant::GoAfterAbort, JustTooLate("edge")),
    (Mutant::ResumeBeforeRecord, Campaign("chaos-datagrams")),
    (Mutant::ClaimIgnored, Nowhere),
    (Mutant::DigestUnchecked, Campaign("chaos")),
    (Mutant::ReadyBeforeLoaded, Campaign("chaos")),
    (Mutant::FirstSliceIsAll, Campaign("chaos")),
    (Mutant::DirtyBitsLost, Explore("calm")),
    (Mutant::AdmissionIgnored, Campaign("chaos-datagrams")),
    (Mutant::BackoffIgnored, Campaign("chaos")),
    (Mutant::BudgetIgnored, Campaign("slow-record")),
    (Mutant::AttemptsUncapped, Campaign("chaos")),
    (Mutant::BlackoutNotBooked, Campaign("chaos")),
    (Mutant::OffenderForgotten, Nowhere),
];

/// The first run of that world that breaks a promise.
fn search(catch: Catch, mutant: Option<Mutant>) -> Option<(Run, Violation)> {
    let (Campaign(name) | LatestGo(name) | JustTooLate(name)) = catch else { return None };
    let mut scenario = worlds::world(name);
    scenario.mutant = mutant;
    let mut world = World::new(&scenario);
    (0..SEEDS).find_map(|seed| {
        let run = match catch {
            LatestGo(_) => World::new(&worlds::verifying(&scenario, latest(&scenario, seed))).run(seed),
            JustTooLate(_) => {
                let late = latest(&scenario, seed) + JUST;
                World::new(&worlds::verifying(&scenario, late)).run(seed)
            }
            Campaign(_) | Explore(_) | Nowhere => world.run(seed),
        };
        let violation = run.violations.first().copied()?;
        Some((run, violation))
    })
}

/// The shortest way to a broken promise in that small world. That the unmutated core has none there is what the tests of the
/// exploration show.
fn explored(name: &str, mutant: Mutant) -> Option<explore::Counterexample> {
    let mut world = *explore::world(name)?;
    world.mutant = Some(mutant);
    explore::run(&world, &mut |_| {}).counterexample
}

/// For how long the destination can verify, to the nanosecond, with `Go` still being sent in that seed's run.
fn latest(scenario: &Scenario, seed: u64) -> u64 {
    let goes = |time| {
        let run = World::new(&worlds::verifying(scenario, time)).run(seed);
        run.attempts.first().is_some_and(|attempt| attempt.go)
    };
    let (mut sent, mut not) = (0, scenario.limits.hard().get());
    while not - sent > 1 {
        let middle = sent.midpoint(not);
        if goes(middle) { sent = middle } else { not = middle }
    }
    sent
}

#[test]
fn every_mutant_has_its_place() {
    let listed: BTreeSet<Mutant> = CATCHES.iter().map(|(mutant, _)| *mutant).collect();
    assert_eq!(listed.len(), CATCHES.len(), "each once");
    assert_eq!(listed, Mutant::ALL.iter().copied().collect(), "each at all");
    let nowhere: Vec<&str> =
        CATCHES.iter().filter(|(_, catch)| *catch == Nowhere).map(|(mutant, _)| mutant.name()).collect();
    println!("{} mutants; noticed by none: {}", CATCHES.len(), nowhere.join(" "));
    assert!(CATCHES.len() - nowhere.len() >= 49, "too few are noticed");
}

#[test]
fn every_mutant_is_caught() {
    let mut missed = Vec::new();
    for (mutant, catch) in CATCHES.iter().filter(|(_, catch)| *catch != Nowhere) {
        if let Explore(name) = catch {
            match explored(name, *mutant) {
                Some(way) => println!(
                    "{:4} {:24} {catch:?}: {}: {}; {} steps, the shortest",
                    mutant.trap(),
                    mutant.name(),
                    way.broken.promise,
                    way.broken.what,
                    way.steps
                ),
                None => missed.push(format!("{} in {catch:?}: {}", mutant.name(), mutant.what())),
            }
            continue;
        }
        match search(*catch, Some(*mutant)) {
            Some((run, violation)) => println!(
                "{:4} {:24} {catch:?} seed {}: {violation}; {} steps",
                mutant.trap(),
                mutant.name(),
                run.seed,
                run.steps
            ),
            None => missed.push(format!("{} in {catch:?}: {}", mutant.name(), mutant.what())),
        }
    }
    assert!(missed.is_empty(), "not noticed in {SEEDS} seeds:\n  {}", missed.join("\n  "));
}

#[test]
fn the_core_itself_passes_the_same() {
    let catches: BTreeSet<Catch> = CATCHES.iter().map(|(_, catch)| *catch).collect();
    for catch in catches {
        let broken = search(catch, None);
        assert!(broken.is_none(), "{catch:?}: {broken:?}");
    }
}
