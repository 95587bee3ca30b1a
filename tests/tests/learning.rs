//! Contracts learned from attempts: raised at once, lowered slowly, never below what was known before.

use switchover_core::action::Note;
use switchover_core::contract::{LinkTerms, Origin, SourceContracts, SourceTerms, Term};
use switchover_core::id::AttemptId;
use switchover_core::learn::Learner;
use switchover_core::port::{Blame, Phase, Port, Side};
use switchover_core::time::Ns;
use switchover_core::units::BytesPerSecond;

const PORT: Port = Port::Vcpus(0);

fn learner() -> Learner<1, 1> {
    let ms = |n| Term::calibrated(Ns::from_millis(n));
    let vcpus = SourceTerms { quiesce: Term::default(), stop: ms(1), save: ms(4), rollback: ms(1) };
    Learner::new(SourceContracts {
        vcpus: core::iter::once(vcpus).collect(),
        devices: heapless::Vec::new(),
        seal: Term::default(),
        journal: ms(1),
        timer: ms(1),
        claim: Term::default(),
        link: LinkTerms { delay: ms(1), rate: BytesPerSecond::new(1), rate_origin: Origin::Declared },
    })
}

fn saved(millis: u64) -> Note {
    let planned = Ns::from_millis(4);
    Note::Phase {
        side: Side::Source,
        port: PORT,
        phase: Phase::Save,
        planned,
        measured: Ns::from_millis(millis),
    }
}

fn save(learner: &Learner<1, 1>) -> Term {
    learner.contracts().vcpus[0].save
}

#[test]
fn an_overrun_counts_at_once_and_says_where_it_comes_from() {
    let mut learner = learner();
    assert!(!learner.note(&saved(4)), "exactly the contract is no news");
    assert!(learner.note(&saved(40)));
    assert_eq!(save(&learner), Term::learned(Ns::from_millis(40)));
}

#[test]
fn what_is_not_seen_again_fades_to_what_was_known_and_no_further() {
    let mut learner = learner();
    learner.note(&saved(40));
    let mut last = save(&learner).time;
    learner.note(&Note::Began(AttemptId::default()));
    assert_eq!(save(&learner).time, Ns::from_millis(30));
    for _ in 0..20 {
        learner.note(&Note::Began(AttemptId::default()));
        assert!(save(&learner).time <= last, "never up by itself");
        last = save(&learner).time;
    }
    assert_eq!(save(&learner), Term::calibrated(Ns::from_millis(4)));
}

#[test]
fn a_shorter_phase_lowers_what_was_learned_slowly() {
    let mut learner = learner();
    learner.note(&saved(40));
    learner.note(&saved(5));
    assert_eq!(save(&learner).time, Ns::from_millis(35));
}

#[test]
fn what_an_abort_cut_short_teaches_nothing() {
    let mut learner = learner();
    let blame = Blame { side: Side::Source, port: PORT, phase: Phase::Save };
    let (planned, measured) = (Ns::from_millis(4), Ns::from_millis(290));
    assert!(!learner.note(&Note::CutShort { blame, planned, measured }));
    assert_eq!(save(&learner), Term::calibrated(Ns::from_millis(4)));
}

#[test]
fn the_other_side_is_not_ours_to_learn() {
    let mut learner = learner();
    let Note::Phase { port, phase, planned, .. } = saved(4) else { unreachable!("a phase") };
    let theirs = Note::Phase { side: Side::Destination, port, phase, planned, measured: Ns::from_millis(99) };
    assert!(!learner.note(&theirs));
}
