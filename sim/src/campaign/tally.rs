//! What is kept of all runs together: counts, histograms and a few seeds.
//!
//! Its size depends on how many *kinds* of endings there are, never on how many runs. Adding is associative and
//! commutative, exactly: that is what makes a campaign's result the same on one thread, on many, and on many machines.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use switchover_core::time::Ns;
use switchover_text::record::Outcome;

use super::blackouts::Blackouts;
use super::kept::{Firsts, Worst};
use super::sample::{Attempt, Breach, Sample, Who};

/// Runs by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// The guest runs on the destination.
    pub committed: u64,
    /// It runs on the source.
    pub aborted: u64,
    /// It is not known where it runs.
    pub in_doubt: u64,
    /// It runs nowhere, and that is known.
    pub lost: u64,
}

impl Outcomes {
    /// So many ended so.
    #[must_use]
    pub const fn of(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Committed => self.committed,
            Outcome::Aborted => self.aborted,
            Outcome::InDoubt => self.in_doubt,
            Outcome::Lost => self.lost,
        }
    }

    fn record(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Committed => &mut self.committed,
            Outcome::Aborted => &mut self.aborted,
            Outcome::InDoubt => &mut self.in_doubt,
            Outcome::Lost => &mut self.lost,
        } += 1;
    }

    fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.aborted += other.aborted;
        self.in_doubt += other.in_doubt;
        self.lost += other.lost;
    }
}

/// What one offender did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offences {
    /// Attempts that it was blamed for.
    pub attempts: u64,
    /// The longest blackout of those, in nanoseconds.
    pub longest_ns: u64,
}

/// All runs of a campaign, or of a part of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// How many.
    pub runs: u64,
    /// How they ended.
    pub outcomes: Outcomes,
    /// Runs with a blackout beyond the hard limit, or without an end. Those that broke no promise are ones that P2 is not
    /// given for.
    pub over_limit: u64,
    /// Steps of both machines, over all runs.
    pub steps: u64,
    /// Runs by the number of their attempts: none, one, two, ...
    pub by_attempts: Vec<u64>,
    /// Each run's longest blackout, of those whose end is known.
    pub longest: Blackouts,
    /// Blackouts of attempts that committed.
    pub committed: Blackouts,
    /// Blackouts of attempts that stopped the guest and aborted.
    pub aborted: Blackouts,
    /// Why attempts did not commit, and how many.
    pub reasons: BTreeMap<Cow<'static, str>, u64>,
    /// Who was blamed.
    #[serde(with = "listed")]
    pub offenders: BTreeMap<Who, Offences>,
    /// Committed runs with the longest blackouts.
    pub worst_committed: Worst,
    /// Aborted runs with the longest blackouts.
    pub worst_aborted: Worst,
    /// Runs that ended in doubt.
    pub in_doubt: Firsts<u64>,
    /// Runs that ended lost.
    pub lost: Firsts<u64>,
    /// Promises that were broken, and how often.
    pub broken: BTreeMap<String, u64>,
    /// The first of them.
    pub violations: Firsts<Breach>,
}

impl Tally {
    /// Takes in one run.
    pub fn record(&mut self, run: &Sample<'_>) {
        self.runs += 1;
        self.steps = self.steps.saturating_add(run.steps);
        self.over_limit += u64::from(run.over);
        self.outcomes.record(run.outcome);
        count_at(&mut self.by_attempts, run.attempts.len(), 1);
        if let Some(longest) = run.longest {
            self.longest.record(longest);
        }
        match (run.outcome, run.longest) {
            (Outcome::Committed, Some(longest)) => self.worst_committed.record(run.seed, longest),
            (Outcome::Aborted, Some(longest)) => self.worst_aborted.record(run.seed, longest),
            _ => {}
        }
        match run.outcome {
            Outcome::InDoubt => self.in_doubt.record(&run.seed),
            Outcome::Lost => self.lost.record(&run.seed),
            Outcome::Committed | Outcome::Aborted => {}
        }
        run.attempts.iter().for_each(|attempt| self.attempt(attempt));
        for violation in run.violations {
            let breach = Breach::of(run.seed, violation);
            *self.broken.entry(breach.promise.clone()).or_default() += 1;
            self.violations.record(&breach);
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        match (attempt.outcome, attempt.blackout) {
            (Outcome::Committed, Some(blackout)) => self.committed.record(blackout),
            // Never stopped: nothing that the guest could feel.
            (Outcome::Aborted, Some(blackout)) if blackout > Ns::ZERO => self.aborted.record(blackout),
            _ => {}
        }
        if let Some(reason) = attempt.reason {
            *self.reasons.entry(Cow::Borrowed(reason)).or_default() += 1;
        }
        if let Some(who) = attempt.offender {
            let offences = self.offenders.entry(who).or_default();
            offences.attempts += 1;
            offences.longest_ns = offences.longest_ns.max(attempt.blackout.unwrap_or(Ns::ZERO).get());
        }
    }

    /// Takes in all runs of another.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.steps = self.steps.saturating_add(other.steps);
        self.over_limit += other.over_limit;
        self.outcomes.add(&other.outcomes);
        for (attempts, runs) in other.by_attempts.iter().enumerate() {
            count_at(&mut self.by_attempts, attempts, *runs);
        }
        self.longest.add(&other.longest);
        self.committed.add(&other.committed);
        self.aborted.add(&other.aborted);
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
        for (who, theirs) in &other.offenders {
            let ours = self.offenders.entry(*who).or_default();
            ours.attempts += theirs.attempts;
            ours.longest_ns = ours.longest_ns.max(theirs.longest_ns);
        }
        self.worst_committed.add(&other.worst_committed);
        self.worst_aborted.add(&other.worst_aborted);
        self.in_doubt.add(&other.in_doubt);
        self.lost.add(&other.lost);
        for (promise, count) in &other.broken {
            *self.broken.entry(promise.clone()).or_default() += count;
        }
        self.violations.add(&other.violations);
    }

    /// The run with the longest blackout of all that ended, whichever way: its seed and that blackout.
    #[must_use]
    pub fn worst(&self) -> Option<(u64, Ns)> {
        let mut both = self.worst_committed.clone();
        both.add(&self.worst_aborted);
        both.list().first().map(|long| (long.seed, Ns::new(long.blackout_ns)))
    }
}

fn count_at(counts: &mut Vec<u64>, at: usize, more: u64) {
    if counts.len() <= at {
        counts.resize(at + 1, 0);
    }
    counts[at] += more;
}

/// A map whose keys are no text, as a list: `[{"who": {...}, "attempts": 3, "longest_ns": 9}]`.
mod listed {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Offences, Who};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        who: Who,
        attempts: u64,
        longest_ns: u64,
    }

    pub fn serialize<S: Serializer>(map: &BTreeMap<Who, Offences>, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = map.iter().map(|(who, offences)| Row {
            who: *who,
            attempts: offences.attempts,
            longest_ns: offences.longest_ns,
        });
        serializer.collect_seq(rows)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Who, Offences>, D::Error> {
        let rows = Vec::<Row>::deserialize(deserializer)?;
        let pair = |row: Row| (row.who, Offences { attempts: row.attempts, longest_ns: row.longest_ns });
        Ok(rows.into_iter().map(pair).collect())
    }
}
