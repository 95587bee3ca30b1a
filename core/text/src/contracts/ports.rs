//! Every term of the core's contracts from and to a file: for worlds in which nothing is calibrated.

use switchover_core::contract::{
    DestinationContracts, DestinationTerms, LinkTerms, Origin, SourceContracts, SourceTerms, Term,
};
use switchover_core::time::Ns;
use switchover_core::units::BytesPerSecond;

use super::{Known, Provenance, SideContracts, Work, Worst};
use crate::units::nanoseconds;
use crate::words::Port;

impl SideContracts {
    /// Puts what the file says in place of what `contracts` says. Returns the first port and work that `contracts` have no
    /// term for: a device that is not there, or work of the other side.
    #[must_use]
    pub fn put_into_source<const V: usize, const D: usize>(
        &self,
        contracts: &mut SourceContracts<V, D>,
    ) -> Option<(Port, Work)> {
        for (port, work, worst) in self.all() {
            let terms = match port {
                Port::Vcpus => contracts.vcpus.first_mut(),
                Port::Device(number) => contracts.devices.get_mut(usize::from(number)),
                _ => None,
            };
            let place = match (port, terms, work) {
                (Port::Device(_), Some(terms), Work::Quiesce) => &mut terms.quiesce,
                (_, Some(terms), Work::Stop) => &mut terms.stop,
                (_, Some(terms), Work::Save) => &mut terms.save,
                (_, Some(terms), Work::Rollback) => &mut terms.rollback,
                (Port::Memory, None, Work::Seal) => &mut contracts.seal,
                _ => return Some((port, work)),
            };
            *place = term(worst);
        }
        put(&mut contracts.journal, self.journal_write);
        put(&mut contracts.timer, self.timer_lateness);
        put(&mut contracts.claim, self.arbiter_claim);
        put(&mut contracts.link.delay, self.round_trip);
        if let Some(rate) = self.rate {
            let LinkTerms { delay, .. } = contracts.link;
            contracts.link =
                LinkTerms { delay, rate: BytesPerSecond::new(rate.value), rate_origin: rate.source.into() };
        }
        None
    }

    /// As [`put_into_source`](Self::put_into_source), for a destination.
    #[must_use]
    pub fn put_into_destination<const V: usize, const D: usize>(
        &self,
        contracts: &mut DestinationContracts<V, D>,
    ) -> Option<(Port, Work)> {
        for (port, work, worst) in self.all() {
            let terms = match port {
                Port::Vcpus => contracts.vcpus.first_mut(),
                Port::Device(number) => contracts.devices.get_mut(usize::from(number)),
                _ => None,
            };
            let place = match (port, terms, work) {
                (_, Some(terms), Work::Load) => &mut terms.load,
                (Port::Device(_), Some(terms), Work::Settle) => &mut terms.settle,
                (_, Some(terms), Work::Resume) => &mut terms.resume,
                (Port::Memory, None, Work::Seal) => &mut contracts.verify,
                _ => return Some((port, work)),
            };
            *place = term(worst);
        }
        put(&mut contracts.journal, self.journal_write);
        put(&mut contracts.timer, self.timer_lateness);
        put(&mut contracts.claim, self.arbiter_claim);
        None
    }

    /// Everything that a source's contracts say.
    #[must_use]
    pub fn of_source<const V: usize, const D: usize>(contracts: &SourceContracts<V, D>) -> Self {
        let mut side = SideContracts::default();
        let mut tell = |port, terms: &SourceTerms| {
            if port != Port::Vcpus {
                side.set(port, Work::Quiesce, known(terms.quiesce));
            }
            side.set(port, Work::Stop, known(terms.stop));
            side.set(port, Work::Save, known(terms.save));
            side.set(port, Work::Rollback, known(terms.rollback));
        };
        contracts.vcpus.first().into_iter().for_each(|terms| tell(Port::Vcpus, terms));
        for (number, terms) in (0..).zip(&contracts.devices) {
            tell(Port::Device(number), terms);
        }
        side.set(Port::Memory, Work::Seal, known(contracts.seal));
        side.round_trip = Some(known(contracts.link.delay));
        side.rate = Some(Known::new(contracts.link.rate.get(), contracts.link.rate_origin.into()));
        side.hosts(contracts.journal, contracts.timer, contracts.claim);
        side
    }

    /// Everything that a destination's contracts say.
    #[must_use]
    pub fn of_destination<const V: usize, const D: usize>(contracts: &DestinationContracts<V, D>) -> Self {
        let mut side = SideContracts::default();
        let mut tell = |port, terms: &DestinationTerms| {
            side.set(port, Work::Load, known(terms.load));
            if port != Port::Vcpus {
                side.set(port, Work::Settle, known(terms.settle));
            }
            side.set(port, Work::Resume, known(terms.resume));
        };
        contracts.vcpus.first().into_iter().for_each(|terms| tell(Port::Vcpus, terms));
        for (number, terms) in (0..).zip(&contracts.devices) {
            tell(Port::Device(number), terms);
        }
        side.set(Port::Memory, Work::Seal, known(contracts.verify));
        side.hosts(contracts.journal, contracts.timer, contracts.claim);
        side
    }

    fn hosts(&mut self, journal: Term, timer: Term, claim: Term) {
        self.journal_write = Some(known(journal));
        self.timer_lateness = Some(known(timer));
        // Without an arbiter nothing is claimed.
        self.arbiter_claim = Some(known(claim)).filter(|claim| !claim.value.is_zero());
    }

    fn all(&self) -> impl Iterator<Item = (Port, Work, Worst)> + '_ {
        self.ports.iter().flat_map(|(port, works)| works.iter().map(|(work, worst)| (*port, *work, *worst)))
    }
}

fn put(place: &mut Term, worst: Option<Worst>) {
    if let Some(worst) = worst {
        *place = term(worst);
    }
}

fn term(worst: Worst) -> Term {
    Term { time: Ns::new(nanoseconds(worst.value)), origin: Origin::from(worst.source) }
}

fn known(term: Term) -> Worst {
    Known::new(std::time::Duration::from_nanos(term.time.get()), Provenance::from(term.origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::{Calibrated, Contracts};

    /// A contract of its own for every term.
    fn full() -> (SourceContracts<1, 2>, DestinationContracts<1, 2>) {
        let mut next = 0;
        let mut term = || {
            next += 1;
            Term { time: Ns::from_micros(next), origin: Origin::Learned }
        };
        let empty = SideContracts::default();
        let mut source: SourceContracts<1, 2> = empty.source(&Calibrated::default(), None);
        let mut destination: DestinationContracts<1, 2> = empty.destination(&Calibrated::default(), None);
        for number in 0..3 {
            let quiesce = if number == 0 { Term::default() } else { term() };
            let terms = SourceTerms { quiesce, stop: term(), save: term(), rollback: term() };
            let settle = if number == 0 { Term::default() } else { term() };
            let there = DestinationTerms { load: term(), settle, resume: term() };
            if number == 0 {
                (source.vcpus[0], destination.vcpus[0]) = (terms, there);
            } else {
                source.devices.push(terms).expect("room");
                destination.devices.push(there).expect("room");
            }
        }
        (source.seal, source.journal, source.timer, source.claim) = (term(), term(), term(), term());
        source.link =
            LinkTerms { delay: term(), rate: BytesPerSecond::new(77), rate_origin: Origin::Learned };
        (destination.verify, destination.journal, destination.timer) = (term(), term(), term());
        destination.claim = term();
        (source, destination)
    }

    #[test]
    fn every_term_survives_the_file() {
        let (source, destination) = full();
        let file = Contracts {
            source: SideContracts::of_source(&source),
            destination: SideContracts::of_destination(&destination),
        };
        let read = Contracts::from_toml(&file.to_toml()).expect("read");
        assert_eq!(read, file);
        let within: toml::Table = file.to_toml_in("a.b").parse().expect("TOML");
        let table = within["a"]["b"].as_table().expect("a table");
        assert_eq!(Contracts::from_table(table), Ok(file));

        let (mut source_again, mut destination_again) = full();
        source_again.devices[1] = SourceTerms::default();
        source_again.link.delay = Term::default();
        destination_again.devices[0] = DestinationTerms::default();
        destination_again.verify = Term::default();
        assert_eq!(read.source.put_into_source(&mut source_again), None);
        assert_eq!(read.destination.put_into_destination(&mut destination_again), None);
        assert_eq!((source_again, destination_again), (source, destination));
    }

    #[test]
    fn a_contract_for_what_is_not_there_is_told() {
        let (mut source, mut destination) = full();
        for (port, work) in [
            (Port::Device(2), Work::Save),
            (Port::Vcpus, Work::Load),
            (Port::Vcpus, Work::Quiesce),
            (Port::Memory, Work::Transfer),
        ] {
            let mut side = SideContracts::default();
            side.set(port, work, Known::new(std::time::Duration::ZERO, Provenance::Declared));
            assert_eq!(side.put_into_source(&mut source), Some((port, work)));
        }
        let mut side = SideContracts::default();
        side.set(Port::Vcpus, Work::Rollback, Known::new(std::time::Duration::ZERO, Provenance::Declared));
        assert_eq!(side.put_into_destination(&mut destination), Some((Port::Vcpus, Work::Rollback)));
    }
}
