//! Will it fit? A verdict that lists its terms.
//!
//! An attempt is admitted if its predicted downtime fits the *planned* limit and its
//! work fits before `go_by`. Terms are added, not overlapped: a plan that holds in any
//! order of events is worth more here than a tight one.

use serde::{Deserialize, Serialize};

use crate::config::Limits;
use crate::contract::{Origin, PeerTerms, SourceContracts, SourceSums};
use crate::schedule::{Inputs, Schedule};
use crate::time::{Ns, Ppm};
use crate::units::{Bytes, BytesPerSecond};

/// What is known of the link and the dirty set at the moment of the verdict.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Traffic {
    /// What is left to send once the guest stops.
    pub left: Bytes,
    /// How fast it will go.
    pub rate: BytesPerSecond,
    /// Where the rate comes from.
    pub rate_origin: Origin,
    /// A message's way (delta).
    pub delay: Ns,
    /// Where the delay comes from.
    pub delay_origin: Origin,
}

/// The prediction, term by term; every time on the source's clock.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Verdict {
    /// Quiesce, vCPU stop, device stop.
    pub stop: Ns,
    /// Taking states.
    pub save: Ns,
    /// Moving `traffic.left` at `traffic.rate`.
    pub transfer: Ns,
    /// Loading states.
    pub load: Ns,
    /// Sealing on the source.
    pub own_seal: Ns,
    /// Verifying on the destination; devices leave RESUMING.
    pub seal: Ns,
    /// Sealed's and Ready's way, or the source's journal if that takes longer.
    pub ready: Ns,
    /// Go's way, or with an arbiter the destination's record if that takes longer; its claim and journal.
    pub go: Ns,
    /// The destination's resume.
    pub resume: Ns,
    /// Where `stop` comes from.
    pub stop_origin: Origin,
    /// Where `save` comes from.
    pub save_origin: Origin,
    /// Where the destination's terms come from: `load`, `seal`, `resume`, and its part of `go`.
    pub peer_origin: Origin,
    /// The bytes, rate and delay it was computed from.
    pub traffic: Traffic,
    /// The latest offset of `Go`; zero where the limit leaves none.
    pub go_by: Ns,
    /// What lease, answer and rollback reserve of the hard limit.
    pub reserve: Ns,
    /// The planned limit it was held against.
    pub limit: Ns,
    /// Whether it fits.
    pub fits: bool,
}

impl Verdict {
    /// All that comes before `Go` is sent.
    pub fn work(&self) -> Ns {
        self.stop.plus(Rest::from(self).after_stop)
    }

    /// The predicted downtime.
    pub fn downtime(&self) -> Ns {
        self.work().plus(self.go).plus(self.resume)
    }

    /// The smallest hard limit whose reserve leaves time for this work.
    pub fn smallest_hard_limit(&self) -> Ns {
        self.work().plus(self.reserve)
    }
}

/// What the remaining phases take once the current one has ended; the only sums that
/// decide whether an attempt is doomed.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Rest {
    /// After the stop: save, transfer, and what follows.
    pub after_stop: Ns,
    /// After save and transfer: the source's seal, and what follows.
    pub after_transfer: Ns,
    /// After the source's seal: load, the destination's seal, ready.
    pub after_seal: Ns,
}

/// Judges one moment; `sums` are those of `own`. Returns the verdict, and the schedule where the limit leaves one.
// [SW-10]
pub fn judge<const V: usize, const D: usize>(
    limits: Limits,
    own: &SourceContracts<V, D>,
    sums: SourceSums,
    peer: &PeerTerms,
    drift: Ppm,
    arbiter: bool,
    traffic: Traffic,
) -> (Verdict, Option<Schedule>) {
    let inputs = inputs(limits, own, sums, peer, drift, arbiter, traffic.delay);
    let rho = inputs.drift;
    let planned = inputs.schedule();
    // `go_by` is what the reserve leaves of the limit: no need to compute it twice.
    let reserve =
        planned.map_or_else(|none| none.reserve, |schedule| inputs.hard_limit.minus(schedule.go_by));
    let schedule = planned.ok();
    let there_and_back = traffic.delay.times(2);
    let journal = peer.journal.stretched(rho);
    // With an arbiter a record that was begun with Ready must be durable before the claim.
    let go_taken = if arbiter { traffic.delay.or_longer(journal) } else { traffic.delay };
    let mut verdict = Verdict {
        stop: sums.stop,
        save: sums.save,
        transfer: traffic.rate.time_for(traffic.left),
        own_seal: own.seal.time,
        load: peer.load.stretched(rho),
        seal: peer.seal.stretched(rho),
        ready: there_and_back.or_longer(own.journal.time),
        go: go_taken.plus(peer.claim.plus(peer.journal).stretched(rho)),
        resume: peer.resume.stretched(rho),
        stop_origin: own.origins().0,
        save_origin: own.origins().1,
        peer_origin: peer.origin,
        traffic,
        go_by: schedule.map_or(Ns::ZERO, |s| s.go_by),
        reserve,
        limit: limits.downtime,
        fits: false,
    };
    verdict.fits =
        schedule.is_some() && verdict.work() <= verdict.go_by && verdict.downtime() <= limits.downtime;
    (verdict, schedule)
}

/// What the formulas need, from both sides' contracts.
pub(crate) fn inputs<const V: usize, const D: usize>(
    limits: Limits,
    own: &SourceContracts<V, D>,
    sums: SourceSums,
    peer: &PeerTerms,
    drift: Ppm,
    arbiter: bool,
    delay: Ns,
) -> Inputs {
    Inputs {
        hard_limit: limits.hard(),
        rollback: sums.rollback,
        journal: own.journal.time,
        timer: own.timer.time,
        peer_timer: peer.timer,
        need: peer.need(),
        peer_journal: peer.journal,
        delay,
        claim: arbiter.then_some(own.claim.time),
        drift: drift.relative(peer.drift),
    }
}

impl From<&Verdict> for Rest {
    fn from(verdict: &Verdict) -> Self {
        let after_seal = verdict.load.plus(verdict.seal).plus(verdict.ready);
        let after_transfer = verdict.own_seal.plus(after_seal);
        let after_stop = verdict.save.plus(verdict.transfer).plus(after_transfer);
        Self { after_stop, after_transfer, after_seal }
    }
}
