//! Machines and hosts that are wrong on purpose: for the tests of the checkers, and for nothing else.
//!
//! A checker that finds nothing proves something only if it would have found the mistake. Each [`Mutant`] leaves one
//! rule out, at one place; the simulator has to catch every one of them. A mutant of a *machine* is a line in the
//! machine that asks `wrong(Mutant::...)`; a mutant of a *host* is enacted by the simulator's world, since the machines
//! cannot see it. Without the feature `mutants` that question is the constant `false` and nothing of this is left; with
//! it, a build without debug assertions is refused, so that no release can turn one on.

use crate::config::{DestinationConfig, SourceConfig};
#[cfg(feature = "mutants")]
use crate::{
    admission::{Verdict, inputs},
    contract::{PeerTerms, SourceSums},
    schedule::Schedule,
    time::{Ns, Ppm},
};

/// Defines the enum, the list of all, and what is said of each, from one table.
macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident: $place:ident $trap:literal,)+) => {
        /// One rule left out. The trap (`H`, or `B` where it was found while building) is one of
        /// `docs/PROTOCOL.md`, section 9; `-` is a mistake of our own making.
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[cfg_attr(
            not(feature = "mutants"),
            expect(dead_code, reason = "hosts' mutants are enacted by the simulator alone")
        )]
        pub enum Mutant {
            $($(#[doc = $doc])+ $name,)+
        }

        #[cfg(feature = "mutants")]
        impl Mutant {
            /// Every one of them, in the order of the traps.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name in the source.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// The trap that it plays: `H1` to `H23`, `B1` and on, or `-`.
            pub const fn trap(self) -> &'static str {
                match self {
                    $(Self::$name => $trap,)+
                }
            }

            /// Which part is wrong.
            pub const fn place(self) -> Place {
                match self {
                    $(Self::$name => Place::$place,)+
                }
            }

            /// What is wrong, in a sentence.
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

impl<const V: usize, const D: usize> SourceConfig<V, D> {
    /// Whether this source is to be wrong in that way: never, unless a test build asked for it.
    #[inline(always)]
    pub(crate) fn wrong(&self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        return self.mutant == Some(mutant);
        #[cfg(not(feature = "mutants"))]
        return mutant.never();
    }
}

impl<const V: usize, const D: usize> DestinationConfig<V, D> {
    /// Whether this destination is to be wrong in that way: never, unless a test build asked for it.
    #[inline(always)]
    pub(crate) fn wrong(&self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        return self.mutant == Some(mutant);
        #[cfg(not(feature = "mutants"))]
        return mutant.never();
    }
}

#[cfg(not(feature = "mutants"))]
impl Mutant {
    /// `false`, whichever it is.
    #[inline(always)]
    const fn never(self) -> bool {
        false
    }
}

#[cfg(feature = "mutants")]
impl<const V: usize, const D: usize> SourceConfig<V, D> {
    /// The judgement of a source that has one of the formulas wrong; of any other, as it was.
    pub(crate) fn bend(
        &self,
        judged: (Verdict, Option<Schedule>),
        sums: SourceSums,
        peer: &PeerTerms,
    ) -> (Verdict, Option<Schedule>) {
        let (mut verdict, _) = judged;
        let Some(mutant) = self.mutant else { return judged };
        let arbiter = self.arbiter.is_some();
        let delay = verdict.traffic.delay;
        let mut inputs = inputs(self.limits, &self.contracts, sums, peer, self.drift, arbiter, delay);
        let mut answer = inputs.answer();
        match mutant {
            Mutant::RollbackNotReserved => inputs.rollback = Ns::ZERO,
            Mutant::DriftLeftOut => inputs.drift = Ppm::default(),
            Mutant::ScheduleWithoutClaim => inputs.claim = None,
            Mutant::AnswerIsLinkOnly => answer = delay,
            Mutant::TimersNeverLate => {
                (inputs.timer, inputs.peer_timer) = (Ns::ZERO, Ns::ZERO);
                answer = delay;
            }
            _ => return judged,
        }
        let schedule = inputs.schedule_with(inputs.lease(), answer).ok();
        verdict.go_by = schedule.map_or(Ns::ZERO, |schedule| schedule.go_by);
        verdict.reserve = inputs.hard_limit.minus(verdict.go_by);
        verdict.fits =
            schedule.is_some() && verdict.work() <= verdict.go_by && verdict.downtime() <= verdict.limit;
        (verdict, schedule)
    }
}

/// Where a mutant lives.
#[cfg(feature = "mutants")]
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// In the machines of this crate.
    Machine,
    /// In what drives them: enacted by the simulator.
    Host,
}

mutants! {
    /// `Go` does not wait for a durable `MayGo` (SW-19).
    GoBeforeMayGo: Machine "H1",
    /// A restarted source rolls back although it finds `MayGo` (SW-39).
    MayGoForgotten: Machine "H1",
    /// The host says `Written` before a record is durable (SW-18, SW-51).
    WrittenBeforeDurable: Host "H1",
    /// `go_by` bounds `Go` only while `Ready` is missing, not while `MayGo` is (SW-20).
    GoByWaitsForJournal: Machine "H2",
    /// In doubt, the destination is never asked (SW-33).
    NoQuery: Machine "H3",
    /// The lease ends without a word (SW-47).
    LeaseEndsSilently: Machine "H4",
    /// A restarted destination says `Running` of a guest that is gone (SW-54).
    GoneIsRunning: Machine "H5",
    /// A restarted destination forgets the record of a guest that is gone, and refuses (SW-59).
    GoneIsRefused: Machine "H5",
    /// `Running` is said as soon as it is on record, before the resume (SW-54).
    RunningBeforeResume: Machine "H5",
    /// A restarted destination drops its recorded, paused guest (SW-59).
    RecordedGuestDropped: Machine "H6",
    /// A `Running` record counts for whatever guest is found (SW-51).
    RecordNamesNoGuest: Machine "H7",
    /// What a restart finds loaded is kept, and the next attempt is loaded over it (SW-60).
    FoundIsKept: Machine "H8",
    /// The destination does not look at the incarnation that a message names (SW-4).
    IncarnationIgnored: Machine "H9",
    /// No floor: an attempt that was refused is taken up again (SW-5).
    FloorForgotten: Machine "H9",
    /// Nobody looks at the journal that a message names (SW-3).
    JournalIdentityIgnored: Machine "H10",
    /// A restarted host finds an empty journal and keeps its identity (SW-3).
    JournalLostSilently: Host "H10",
    /// `Fin` does not wait for `Committed` (SW-29).
    FinBeforeCommitted: Machine "H11",
    /// `Fin` does not wait until the copy is gone (SW-29).
    FinBeforeRelease: Machine "H11",
    /// The `Running` record is ended by the resume, not by `Fin` (SW-55).
    RecordEndsWithResume: Machine "H11",
    /// `Hello` does not wait for a durable `Open` (SW-1).
    HelloBeforeOpen: Machine "H12",
    /// A restarted source counts its attempts from one again (SW-1).
    CounterFromOne: Machine "H12",
    /// The source acts on messages of other attempts (SW-2).
    AttemptIgnored: Machine "H12",
    /// `Ready` said again begins the lease again (SW-45).
    LeaseRestarted: Machine "H13",
    /// `go_by` is judged when its timer fires, not when `Ready` is read (SW-19).
    GoByLeftToTimer: Machine "H14",
    /// The host stamps an input with the time at which it began to wait for one (SW-70).
    ClockBeforeInput: Host "H14",
    /// `need` leaves out the journal write (SW-63).
    NeedWithoutJournal: Machine "H15",
    /// Nobody looks at the lease again after the write (SW-52).
    NoSecondLook: Machine "H15",
    /// `Refused` is said before it supersedes `Running` (SW-52).
    RefusedBeforeSuperseded: Machine "H15",
    /// With an arbiter, the deadlines are those without one (SW-66).
    ScheduleWithoutClaim: Machine "H16",
    /// A lost claim counts as knowledge: the copy is let go (SW-34).
    LostClaimReleases: Machine "H17",
    /// With an arbiter, `Refused` does not count, and a refusal does not yield its claim (SW-30, SW-56).
    RefusalKeepsClaim: Machine "H18",
    /// With an arbiter, `Refused` does not count, and a restart does not yield what may have been claimed (SW-60).
    RestartKeepsClaim: Machine "H18",
    /// Arbiters are not compared (SW-8).
    ArbiterNotCompared: Machine "H19",
    /// A is the link's time only: no timer is late (SW-68).
    AnswerIsLinkOnly: Machine "H20",
    /// Cancel after `Go` rolls back (SW-38).
    CancelRollsBack: Machine "H21",
    /// `answer_by` passes, and the source rolls back (SW-28).
    TimeRollsBack: Machine "H21",
    /// A fence acts before it is durable (SW-35).
    FenceNotDurable: Machine "H22",
    /// A restart forgets the fence (SW-39).
    FenceForgotten: Machine "H22",
    /// The operator fences the agent, and the guest runs on (SW-35).
    AgentFenced: Host "H22",
    /// A second agent is started for a guest whose first one lives (SW-9).
    TwoAgents: Host "H23",
    /// A duplicate `Hello` is turned away while its attempt is being decided (SW-7).
    DuplicateHelloRefused: Machine "B2",
    /// An attempt that was turned away is not remembered (SW-6).
    BusyNotRemembered: Machine "B3",
    /// One failed vCPU port speaks for all (SW-53).
    OneFailedPortRefuses: Machine "B6",
    /// `Running` read during a fence commits (SW-36).
    RunningEndsFence: Machine "B9",
    /// vCPUs wait for every device, for as long as it takes (SW-25).
    VcpusWaitForDevices: Machine "B11",
    /// A recorded guest that fails to run again is refused (SW-59).
    RolledForwardRefused: Machine "B12",
    /// Nobody connects again for `Fin` (SW-37).
    FinNotSaidAgain: Machine "B14",
    /// The rollback's time is not reserved inside the limit (SW-66).
    RollbackNotReserved: Machine "-",
    /// Clocks do not drift (SW-81).
    DriftLeftOut: Machine "-",
    /// The lease, the deadlines and the answer count on timers that are never late (SW-64).
    TimersNeverLate: Machine "-",
    /// A quarter of the measured round trip stands for one way (SW-66).
    DelayLearnedTooLow: Machine "-",
    /// The host hands contracts in that are a quarter of what its ports take (SW-66).
    ContractTooLow: Host "-",
    /// t = 0 is when the devices have been quiesced (SW-16).
    StopCountedLate: Machine "-",
    /// The stop, the save and the seal have no deadline (SW-20).
    WorkUnbounded: Machine "-",
    /// The host asks for a device's whole state at once, and no deadline fires meanwhile (SW-17).
    DeadlineWaitsForDevice: Host "-",
    /// `decide_by` is looked at, but no timer is set for it (SW-65).
    DecideByNotArmed: Machine "-",
    /// A `Ready` that comes after the abort is answered with `Go` (SW-23).
    GoAfterAbort: Machine "-",
    /// The guest runs before its record is durable (SW-51).
    ResumeBeforeRecord: Machine "-",
    /// The destination runs the guest although the source has the run (SW-50).
    ClaimIgnored: Machine "-",
    /// The digest is not compared (SW-44).
    DigestUnchecked: Machine "-",
    /// `Ready` does not wait for every state to be loaded (SW-44).
    ReadyBeforeLoaded: Machine "-",
    /// A device's first slice is taken for its whole state (SW-17).
    FirstSliceIsAll: Machine "-",
    /// Pages that were read from the dirty log and not sent are not dirty again (SW-26).
    DirtyBitsLost: Machine "-",
    /// The guest is stopped whatever the verdict says (SW-10).
    AdmissionIgnored: Machine "-",
    /// The next attempt begins at once (SW-13).
    BackoffIgnored: Machine "-",
    /// The blackout budget is not looked at (SW-13).
    BudgetIgnored: Machine "-",
    /// The number of attempts is not looked at (SW-13).
    AttemptsUncapped: Machine "-",
    /// The blackout of an aborted attempt is not booked (SW-79).
    BlackoutNotBooked: Machine "-",
    /// An abort names nobody (SW-24).
    OffenderForgotten: Machine "-",
}
