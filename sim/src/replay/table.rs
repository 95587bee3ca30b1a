//! A replay for people.

use std::fmt::{Display, Formatter, Result};

use switchover_core::port::Side;
use switchover_core::time::Ns;

use super::journal::JournalReplay;
use super::whatif::Fate;
use super::{Replay, Replayed, TraceReplay};

fn millis(time: Ns) -> String {
    let micros = time.get() / 1_000;
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}

impl Display for Replay {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "{}", self.file)?;
        match &self.replayed {
            Replayed::Journal(journal) => journal.fmt(f),
            Replayed::Trace(trace) => trace.fmt(f),
        }
    }
}

impl Display for JournalReplay {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.difference {
            None => writeln!(f, "{} journal: {} events, the same actions again", self.side, self.events)?,
            Some(found) => {
                writeln!(f, "{} journal: line {} differs: {}", self.side, found.line, found.event)?;
                writeln!(f, "  recorded  {}\n  replayed  {}", found.recorded, found.replayed)?;
            }
        }
        if let Some((line, steps)) = self.gap {
            writeln!(f, "line {line}: {steps} steps are missing; what follows was not replayed")?;
        }
        let Some(asked) = &self.what_if else {
            return writeln!(
                f,
                "limits are the source's: its journal says what another would have made of it"
            );
        };
        let (planned, hard) = (millis(asked.downtime_limit_ns), millis(asked.hard_limit_ns));
        writeln!(f, "under a downtime limit of {planned}, H {hard}:")?;
        asked.attempts.iter().try_for_each(|fate| fate.fmt(f))
    }
}

impl Display for Fate {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let held = match self.held {
            Some(true) => "held",
            Some(false) => "not held",
            None => "the recording ends before that can be said",
        };
        let downtime = self.downtime_ns.map_or_else(|| "-".to_owned(), millis);
        write!(f, "  attempt {}: {}, downtime {downtime}: {held}", self.attempt, self.outcome)?;
        if let Some(reason) = &self.reason {
            write!(f, "; {reason}")?;
        }
        if let Some(offender) = self.offender {
            write!(f, "; blamed {offender}")?;
        }
        if let Some((predicted, (name, time))) = self.predicted_ns.zip(self.heaviest.clone()) {
            write!(f, "; predicted {}, of which {name} {}", millis(predicted), millis(time))?;
        }
        writeln!(f)
    }
}

impl Display for TraceReplay {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (planned, hard) = (millis(self.downtime_limit_ns), millis(self.hard_limit_ns));
        writeln!(f, "QEMU trace: downtime {}; downtime limit {planned}, H {hard}", millis(self.downtime_ns))?;
        writeln!(
            f,
            "{:<32}{:<14}{:<28}{:>13}  {:<10}blamed",
            "rule", "outcome", "decided", "guest felt", "limit"
        )?;
        for ruling in &self.rulings {
            let side = match ruling.by {
                Some(Side::Source) => " by source",
                Some(Side::Destination) => " by destination",
                None => "",
            };
            let decided = ruling
                .decided_ns
                .map_or_else(|| format!("never{side}"), |at| format!("{}{side}", millis(at)));
            let decided =
                if ruling.outcome == "not admitted" { format!("before the stop{side}") } else { decided };
            let held = if ruling.held { "held" } else { "NOT HELD" };
            let blamed = if ruling.blamed.is_empty() { "nobody" } else { &ruling.blamed };
            let felt = millis(ruling.felt_ns);
            writeln!(
                f,
                "{:<32}{:<14}{decided:<28}{felt:>13}  {held:<10}{blamed}",
                ruling.rule, ruling.outcome
            )?;
            writeln!(f, "    {}", ruling.remark)?;
        }
        self.assumed.iter().try_for_each(|assumed| writeln!(f, "assumed: {assumed}"))
    }
}
