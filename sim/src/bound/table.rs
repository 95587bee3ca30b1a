//! A bound as a table for people.

use std::fmt::{Display, Formatter, Result};

use switchover_core::port::Side;
use switchover_core::time::Ns;

use super::form::{Bound, Case, Part};

/// Milliseconds with microseconds, rounded up: a bound is never shown smaller than it is.
pub(super) fn millis(time: Ns) -> String {
    let micros = time.get().div_ceil(1_000);
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}

fn or_never(time: Option<Ns>) -> String {
    time.map_or_else(|| "unbounded".to_owned(), millis)
}

impl Display for Bound {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "bound of {}: every time on the source's clock, from the first thing the guest feels",
            self.scenario
        )?;
        self.limits(f)?;
        self.table(f)?;
        case(f, "worst commit", &self.commit)?;
        case(f, "worst abort", &self.abort)?;
        case(f, "  before Go", &self.before_go)?;
        match self.slack_ns {
            Some(slack) => writeln!(f, "{:<22}{}", "slack to H", millis(slack))?,
            None => writeln!(f, "{:<22}none", "slack to H")?,
        }
        parts(f, "work by contract", &self.work)?;
        parts(f, "reserved of H", &self.reserve)?;
        writeln!(f, "{:<22}{}", "what weighs most", self.dominates)?;
        for broken in &self.broken {
            writeln!(f, "{:<22}{broken}", "not kept here")?;
        }
        for assumed in &self.assumed {
            writeln!(f, "{:<22}{assumed}", "assumed")?;
        }
        for why in &self.knowledge {
            writeln!(f, "{:<22}{why}", "may not be known")?;
        }
        Ok(())
    }
}

impl Bound {
    fn limits(&self, f: &mut Formatter<'_>) -> Result {
        let (least, most) = self.delay_ns;
        writeln!(
            f,
            "{:<22}{}, H {}",
            "downtime limit",
            millis(self.downtime_limit_ns),
            millis(self.hard_limit_ns)
        )?;
        let fits = if self.admitted { "admitted" } else { "never admitted" };
        let (downtime, hard) = (millis(self.smallest.downtime_limit_ns), millis(self.smallest.hard_limit_ns));
        writeln!(f, "{:<22}downtime limit {downtime}, H {hard}: {fits}", "smallest limits")?;
        writeln!(
            f,
            "{:<22}{} to {}; rho {} ppm",
            "delay as learned",
            millis(least),
            millis(most),
            self.rho_ppm.get()
        )?;
        let Some(planned) = &self.schedule else {
            return writeln!(f, "{:<22}none: the limit leaves no time for work", "schedule");
        };
        let (lease, answer) = (millis(planned.lease_ns), millis(planned.answer_ns));
        let (go_by, reserve) = (millis(planned.go_by_ns), millis(planned.reserve_ns));
        writeln!(
            f,
            "{:<22}Go by {go_by}, {reserve} of H reserved, lease {lease}, answer {answer}",
            "schedule"
        )
    }

    fn table(&self, f: &mut Formatter<'_>) -> Result {
        if self.steps.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{:<13}{:<29}{:>14}{:>16}  which is", "side", "step", "by contract", "at the latest")?;
        for step in &self.steps {
            let side = match step.side {
                Side::Source => "source",
                Side::Destination => "destination",
            };
            let planned = step.by_contract_ns.map_or_else(|| "-".to_owned(), millis);
            let latest = or_never(step.latest_ns);
            writeln!(f, "{side:<13}{:<29}{planned:>14}{latest:>16}  {}", step.what, step.formula)?;
        }
        writeln!(f)
    }
}

fn case(f: &mut Formatter<'_>, what: &str, case: &Case) -> Result {
    match case.downtime_ns {
        Some(time) => writeln!(f, "{what:<22}{}  ({})", millis(time), case.formula),
        None => {
            for why in &case.unbounded {
                writeln!(f, "{what:<22}unbounded because {why}")?;
            }
            Ok(())
        }
    }
}

fn parts(f: &mut Formatter<'_>, what: &str, parts: &[Part]) -> Result {
    let shown: Vec<String> = parts
        .iter()
        .filter(|part| part.time_ns > Ns::ZERO)
        .map(|part| format!("{} {}", part.what, millis(part.time_ns)))
        .collect();
    writeln!(f, "{what:<22}{}", shown.join(", "))
}
