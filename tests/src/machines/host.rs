//! What a host does for its machine: jobs, each with a fate that the test may choose.

use switchover_core::event::Owner;
use switchover_core::id::AttemptId;
use switchover_core::journal::{Record, RecordKind};
use switchover_core::port::{Op, Port, Side};
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::Seal;

use super::build::us;
use super::clock::Clock;

/// Something that a machine asked for and that takes time.
#[derive(Copy, Clone, PartialEq, Debug)]
pub enum Job {
    /// Bring the link up.
    Connect,
    /// Make a record durable.
    Write(Record),
    /// One operation of one port.
    Port(Port, Op),
    /// A pre-copy round.
    Round,
    /// The last dirty pages.
    LastPages,
    /// The seal.
    Seal,
    /// Destroy the copy.
    Release,
    /// Wait for a round to arrive.
    Drain(u32),
    /// Verify what arrived.
    Verify(Seal),
    /// Claim at the arbiter.
    Claim(AttemptId),
    /// The arbiter's answer is on its way back.
    Claimed(AttemptId, Owner),
    /// Yield at the arbiter.
    Yield(AttemptId),
}

/// A kind of job, to make rules about.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each is the job of that name")]
pub enum On {
    Write(RecordKind),
    Vcpus(Op),
    Device(Op),
    /// That port alone.
    Port(Port, Op),
    Round,
    LastPages,
    Seal,
    Release,
    Drain,
    Verify,
    Claim,
    /// Only the arbiter's answer, not the claim.
    Claimed,
    Yield,
}

impl On {
    fn is(self, job: &Job) -> bool {
        match (self, job) {
            (Self::Write(kind), Job::Write(record)) => record.kind == kind,
            (Self::Vcpus(op), Job::Port(Port::Vcpus(_), asked)) => op == *asked,
            (Self::Device(op), Job::Port(Port::Device(_), asked)) => op == *asked,
            (Self::Port(port, op), Job::Port(asked, of)) => (port, op) == (*asked, *of),
            (Self::Round, Job::Round)
            | (Self::LastPages, Job::LastPages)
            | (Self::Seal, Job::Seal)
            | (Self::Release, Job::Release)
            | (Self::Drain, Job::Drain(_))
            | (Self::Verify, Job::Verify(_))
            | (Self::Claim, Job::Claim(_))
            | (Self::Claimed, Job::Claimed(..))
            | (Self::Yield, Job::Yield(_)) => true,
            _ => false,
        }
    }
}

/// How a job ends.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Ends {
    /// Done, and said so.
    Done,
    /// One slice is done.
    More,
    /// Failed with nothing done.
    Failed,
    /// Failed, and it was done all the same: a resume that executed something, a record that is durable.
    FailedDone,
}

/// What becomes of a job.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It ends so after that time on its host's clock.
    After(Ns, Ends),
    /// It never ends, until the test says otherwise.
    Stuck,
}

/// The next `left` jobs of that kind have this fate.
#[derive(Copy, Clone, Debug)]
struct Rule {
    on: On,
    fate: Fate,
    left: u32,
}

/// One host: the machine's process, if it lives, and what outlives it.
#[derive(Debug)]
pub struct Host<M> {
    /// Which.
    pub side: Side,
    /// The process; `None` when it is dead.
    pub machine: Option<M>,
    /// Counts processes: an answer for an earlier one is nobody's.
    pub life: u32,
    /// Its clock.
    pub clock: Clock,
    /// What the last step returned.
    pub deadline: Option<At>,
    /// How late its timer fires, on its own clock.
    pub lateness: Ns,
    /// Whether the process believes that its link is up.
    pub linked: bool,
    /// Durable records.
    pub journal: Vec<Record>,
    /// How long a job takes that no rule speaks of.
    pub pace: Ns,
    rules: Vec<Rule>,
    /// Jobs that are stuck.
    pub stuck: Vec<Job>,
}

impl<M> Host<M> {
    /// A host whose process has started.
    pub fn new(side: Side, machine: M, clock: Clock) -> Self {
        Self {
            side,
            machine: Some(machine),
            life: 0,
            clock,
            deadline: None,
            lateness: Ns::ZERO,
            linked: false,
            journal: Vec::new(),
            pace: us(500),
            rules: Vec::new(),
            stuck: Vec::new(),
        }
    }

    /// The machine.
    ///
    /// # Panics
    /// When the process is dead.
    pub fn alive(&self) -> &M {
        self.machine.as_ref().expect("the process is alive")
    }

    /// From now on, the next `times` jobs of that kind have this fate.
    pub fn rule(&mut self, on: On, fate: Fate, times: u32) {
        self.rules.insert(0, Rule { on, fate, left: times });
    }

    /// Every job of that kind takes so long.
    pub fn slow(&mut self, on: On, time: Ns) {
        self.rule(on, Fate::After(time, Ends::Done), u32::MAX);
    }

    /// Every job of that kind gets stuck.
    pub fn stick(&mut self, on: On) {
        self.rule(on, Fate::Stuck, u32::MAX);
    }

    /// The next job of that kind fails.
    pub fn fail(&mut self, on: On, ends: Ends) {
        self.rule(on, Fate::After(self.pace, ends), 1);
    }

    /// Forgets every rule.
    pub fn calm(&mut self) {
        self.rules.clear();
    }

    /// The fate of one job.
    pub fn fate(&mut self, job: &Job) -> Fate {
        match self.rules.iter_mut().find(|rule| rule.left > 0 && rule.on.is(job)) {
            Some(rule) => {
                if rule.left != u32::MAX {
                    rule.left -= 1;
                }
                rule.fate
            }
            None => Fate::After(self.pace, Ends::Done),
        }
    }

    /// Whether a record of that kind is durable for that attempt.
    pub fn has(&self, kind: RecordKind, attempt: AttemptId) -> bool {
        self.journal.iter().any(|record| record.kind == kind && record.attempt == attempt)
    }
}
