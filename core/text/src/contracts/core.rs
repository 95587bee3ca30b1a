//! Contracts in the core's terms: what a file says first, then what was calibrated, then a default that is declared.

use std::time::Duration;

use switchover_core::contract::{
    DestinationContracts, DestinationTerms, LinkTerms, Origin, SourceContracts, SourceTerms, Term,
};
use switchover_core::time::Ns;
use switchover_core::units::BytesPerSecond;

use super::{Known, Provenance, SideContracts, Work, Worst};
use crate::units::nanoseconds;
use crate::words::Port;

/// What was measured before the guest ran, each the longest of all rounds, doubled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calibrated {
    /// All vCPUs out of the guest, their states taken.
    pub stop: Option<Ns>,
    /// A vCPU's state taken; handing it over takes less.
    pub save: Option<Ns>,
    /// All vCPUs running again.
    pub resume: Option<Ns>,
    /// All vCPUs with a state.
    pub load: Option<Ns>,
    /// A journal write.
    pub journal: Option<Ns>,
    /// How late a timer calls.
    pub timer: Option<Ns>,
}

/// Before the first ping there is no round trip: a millisecond is a slow LAN's.
const DELAY: Ns = Ns::from_millis(1);
/// Before the first round there is no rate: half of what gigabit Ethernet carries.
const RATE: BytesPerSecond = BytesPerSecond::new(60_000_000);
/// Handing states over, or comparing digests, for whoever has not calibrated: a few system calls and wake-ups.
const HAND_OVER: Ns = Ns::from_millis(1);
/// At which both sides hash memory under `--verify`: a third of what one core of a current machine does.
const HASH_RATE: BytesPerSecond = BytesPerSecond::new(3_000_000_000);

/// What a person declared holds. What a run before this one measured counts as long as this one has not measured
/// again: it was another day, or another host; and what attempts have taught is not forgotten for a shorter calibration.
fn term(file: Option<Worst>, calibrated: Option<Ns>, declared: Ns) -> Term {
    let file = file.map(|known| (Ns::new(nanoseconds(known.value)), Origin::from(known.source)));
    match (file, calibrated) {
        (Some((_, Origin::Calibrated)), Some(time)) => Term::calibrated(time),
        (Some((learned, Origin::Learned)), Some(time)) if time > learned => Term::calibrated(time),
        (Some((time, origin)), _) => Term { time, origin },
        (None, Some(time)) => Term::calibrated(time),
        (None, None) => Term::declared(declared),
    }
}

impl SideContracts {
    /// A source with one vCPU port. `hashed`: bytes to hash for `--verify`.
    #[must_use]
    pub fn source<const V: usize, const D: usize>(
        &self,
        calibrated: &Calibrated,
        hashed: Option<u64>,
    ) -> SourceContracts<V, D> {
        let of = |work, calibrated, declared| term(self.worst(Port::Vcpus, work), calibrated, declared);
        let vcpus = SourceTerms {
            quiesce: Term::default(),
            stop: of(Work::Stop, calibrated.stop, HAND_OVER),
            save: of(Work::Save, calibrated.save, HAND_OVER),
            rollback: of(Work::Rollback, calibrated.resume, HAND_OVER),
        };
        let rate = self.rate.map_or((RATE, Origin::Declared), |known| {
            (BytesPerSecond::new(known.value), Origin::from(known.source))
        });
        SourceContracts {
            vcpus: core::iter::once(vcpus).collect(),
            devices: heapless::Vec::new(),
            seal: hash_term(self.worst(Port::Memory, Work::Seal), hashed, Ns::ZERO),
            journal: term(self.journal_write, calibrated.journal, HAND_OVER),
            timer: term(self.timer_lateness, calibrated.timer, HAND_OVER),
            claim: term(self.arbiter_claim, None, Ns::ZERO),
            link: LinkTerms { delay: term(self.round_trip, None, DELAY), rate: rate.0, rate_origin: rate.1 },
        }
    }

    /// A destination with one vCPU port. `hashed`: bytes to hash for `--verify`.
    #[must_use]
    pub fn destination<const V: usize, const D: usize>(
        &self,
        calibrated: &Calibrated,
        hashed: Option<u64>,
    ) -> DestinationContracts<V, D> {
        let of = |work, calibrated, declared| term(self.worst(Port::Vcpus, work), calibrated, declared);
        let vcpus = DestinationTerms {
            load: of(Work::Load, calibrated.load, HAND_OVER),
            settle: Term::default(),
            resume: of(Work::Resume, calibrated.resume, HAND_OVER),
        };
        DestinationContracts {
            vcpus: core::iter::once(vcpus).collect(),
            devices: heapless::Vec::new(),
            verify: hash_term(self.worst(Port::Memory, Work::Seal), hashed, HAND_OVER),
            journal: term(self.journal_write, calibrated.journal, HAND_OVER),
            timer: term(self.timer_lateness, calibrated.timer, HAND_OVER),
            claim: term(self.arbiter_claim, None, Ns::ZERO),
        }
    }

    /// Takes in what a source knows at the end, for the file. What the file says beyond that stays.
    pub fn take_source<const V: usize, const D: usize>(&mut self, contracts: &SourceContracts<V, D>) {
        let side = self;
        if let Some(vcpus) = contracts.vcpus.first() {
            side.set(Port::Vcpus, Work::Stop, known(vcpus.stop));
            side.set(Port::Vcpus, Work::Save, known(vcpus.save));
            side.set(Port::Vcpus, Work::Rollback, known(vcpus.rollback));
        }
        side.journal_write = Some(known(contracts.journal));
        side.timer_lateness = Some(known(contracts.timer));
        side.round_trip = Some(known(contracts.link.delay));
        let rate = contracts.link.rate.get();
        side.rate = Some(Known::new(rate, Provenance::from(contracts.link.rate_origin)));
    }

    /// Takes in what a destination knows at the end, for the file. What the file says beyond that stays.
    pub fn take_destination<const V: usize, const D: usize>(
        &mut self,
        contracts: &DestinationContracts<V, D>,
    ) {
        let side = self;
        if let Some(vcpus) = contracts.vcpus.first() {
            side.set(Port::Vcpus, Work::Load, known(vcpus.load));
            side.set(Port::Vcpus, Work::Resume, known(vcpus.resume));
        }
        side.journal_write = Some(known(contracts.journal));
        side.timer_lateness = Some(known(contracts.timer));
    }
}

/// Hashing is on top of whatever else there is to do.
fn hash_term(file: Option<Worst>, hashed: Option<u64>, declared: Ns) -> Term {
    let hashing =
        hashed.map_or(Ns::ZERO, |bytes| HASH_RATE.time_for(switchover_core::units::Bytes::new(bytes)));
    term(file, None, declared.plus(hashing))
}

fn known(term: Term) -> Worst {
    Known::new(Duration::from_nanos(term.time.get()), Provenance::from(term.origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::Contracts;

    const US: Ns = Ns::new(1_000);

    fn file(text: &str) -> SideContracts {
        Contracts::from_toml(&format!("version = 1\n{text}")).expect("contracts").source
    }

    fn stop(file: &SideContracts, calibrated: u64) -> (u64, Origin) {
        let calibrated = Calibrated { stop: Some(US.times(calibrated)), ..Calibrated::default() };
        let contracts: SourceContracts<1, 1> = file.source(&calibrated, None);
        (contracts.vcpus[0].stop.time.get() / 1_000, contracts.vcpus[0].stop.origin)
    }

    #[test]
    fn this_days_calibration_replaces_an_older_one_and_nothing_else() {
        let worst =
            |source| file(&format!("[source.vcpus]\nstop = {{ worst = \"100us\", source = \"{source}\" }}"));
        assert_eq!(stop(&worst("calibrated"), 900), (900, Origin::Calibrated));
        assert_eq!(stop(&worst("calibrated"), 50), (50, Origin::Calibrated));
        assert_eq!(stop(&worst("learned"), 50), (100, Origin::Learned));
        assert_eq!(stop(&worst("learned"), 900), (900, Origin::Calibrated));
        assert_eq!(stop(&worst("declared"), 900), (100, Origin::Declared));
    }

    #[test]
    fn what_a_run_knows_nothing_of_stays_in_the_file() {
        let mut side = file("[source.memory]\nseal = \"7ms\"\n[source.device0]\nstop = \"1ms\"");
        let before = side.clone();
        side.take_source::<1, 1>(&before.source(&Calibrated::default(), None));
        assert_eq!(side.worst(Port::Memory, Work::Seal), before.worst(Port::Memory, Work::Seal));
        assert_eq!(side.worst(Port::Device(0), Work::Stop), before.worst(Port::Device(0), Work::Stop));
        assert!(side.worst(Port::Vcpus, Work::Save).is_some() && side.rate.is_some());
        let again = side.clone();
        side.take_source::<1, 1>(&again.source(&Calibrated::default(), None));
        assert_eq!(side, again, "a second run without news changes nothing");
    }
}
