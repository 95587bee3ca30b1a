//! Contracts learned from attempts: outside the machines, fed by their notes.
//!
//! A phase that took longer than its contract raises it at once; one that was shorter
//! lowers a *learned* contract by an eighth towards it, never below what was declared or
//! calibrated. With each attempt that begins, what was learned fades by a quarter: a hiccup
//! must not forbid for ever. What an abort cut short teaches nothing: it never ended.

use crate::action::Note;
use crate::contract::{Origin, SourceContracts, SourceTerms, Term};
use crate::port::{Phase, Port, Side};
use crate::time::Ns;

/// Learns the source's contracts over attempts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Learner<const V: usize, const D: usize> {
    floor: SourceContracts<V, D>,
    contracts: SourceContracts<V, D>,
}

impl<const V: usize, const D: usize> Learner<V, D> {
    /// Begins with what was declared or calibrated.
    pub fn new(contracts: SourceContracts<V, D>) -> Self {
        Self { floor: contracts.clone(), contracts }
    }

    /// What is known now; hand it to the machine between attempts.
    pub fn contracts(&self) -> &SourceContracts<V, D> {
        &self.contracts
    }

    /// Takes one note; returns whether a contract changed.
    pub fn note(&mut self, note: &Note) -> bool {
        match *note {
            Note::Phase { side: Side::Source, port, phase, measured, .. } => {
                let (Some(floor), Some(terms)) =
                    (terms(&mut self.floor, port), terms(&mut self.contracts, port))
                else {
                    return false;
                };
                match (slot(floor, port, phase), slot(terms, port, phase)) {
                    (Some(floor), Some(term)) => adjust(*floor, term, measured),
                    _ => false,
                }
            }
            // The next attempt begins with what pre-copy said of the link.
            Note::Verdict(verdict) => {
                let traffic = verdict.traffic;
                self.contracts.link.delay = Term { time: traffic.delay, origin: traffic.delay_origin };
                self.contracts.link.rate = traffic.rate;
                self.contracts.link.rate_origin = traffic.rate_origin;
                true
            }
            Note::Began(_) => self.fade(),
            Note::Phase { .. }
            | Note::CutShort { .. }
            | Note::Round { .. }
            | Note::Stopping
            | Note::Sent(_)
            | Note::Aborting { .. }
            | Note::Go
            | Note::InDoubt
            | Note::PeerDecides
            | Note::DeviceLost(_)
            | Note::Alarm(_)
            | Note::Runs
            | Note::Ended(_)
            | Note::Finished => false,
        }
    }
}

impl<const V: usize, const D: usize> Learner<V, D> {
    /// A hiccup is not for ever: what was learned and not seen again fades towards what was
    /// declared or calibrated, by a quarter with each attempt that begins.
    fn fade(&mut self) -> bool {
        let mut faded = false;
        let floors = self.floor.vcpus.iter().chain(&self.floor.devices);
        let learned = self.contracts.vcpus.iter_mut().chain(&mut self.contracts.devices);
        for (floor, terms) in floors.zip(learned) {
            let pairs = [
                (floor.quiesce, &mut terms.quiesce),
                (floor.stop, &mut terms.stop),
                (floor.save, &mut terms.save),
                (floor.rollback, &mut terms.rollback),
            ];
            for (floor, term) in pairs {
                if term.origin == Origin::Learned {
                    let lower = term.time.minus(term.time.part(4));
                    *term = if lower <= floor.time { floor } else { Term::learned(lower) };
                    faded = true;
                }
            }
        }
        faded
    }
}

fn terms<const V: usize, const D: usize>(
    contracts: &mut SourceContracts<V, D>,
    port: Port,
) -> Option<&mut SourceTerms> {
    match port {
        Port::Vcpus(i) => contracts.vcpus.get_mut(usize::from(i)),
        Port::Device(i) => contracts.devices.get_mut(usize::from(i)),
        Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => None,
    }
}

/// A device's stop phase has two parts whose rows look alike: the longer contract learns.
fn slot(terms: &mut SourceTerms, port: Port, phase: Phase) -> Option<&mut Term> {
    match phase {
        Phase::Stop if matches!(port, Port::Device(_)) && terms.quiesce.time > terms.stop.time => {
            Some(&mut terms.quiesce)
        }
        Phase::Stop => Some(&mut terms.stop),
        Phase::Save => Some(&mut terms.save),
        Phase::Rollback => Some(&mut terms.rollback),
        Phase::Hello
        | Phase::Precopy
        | Phase::Transfer
        | Phase::Load
        | Phase::Seal
        | Phase::Ready
        | Phase::Go
        | Phase::Resume => None,
    }
}

fn adjust(floor: Term, term: &mut Term, measured: Ns) -> bool {
    if measured > term.time {
        *term = Term::learned(measured);
        return true;
    }
    if term.origin != Origin::Learned {
        return false;
    }
    let lower = measured.or_longer(term.time.minus(term.time.part(8)));
    *term = if lower <= floor.time { floor } else { Term::learned(lower) };
    true
}
