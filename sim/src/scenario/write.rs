//! A scenario back as a file: whole, without a base, so that what was shortened or drawn can be run again.

use std::fmt::Write;

use switchover_core::port::{Phase, Side};
use switchover_core::time::Ns;
use switchover_text::words;

use super::contracts;
use super::dist::Dist;
use super::model::{Device, Dirty, Fault, Host, Link, Scenario, Times, What, When, Where};
use super::read::{VERSION, usual_phase};
use super::values::{ALWAYS, print_bytes, print_parts, print_rate, print_time};
use super::words::Kind;

impl Scenario {
    /// The text of a file that is read back to the same scenario, but for its name, which is the file's.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut file = Text::default();
        file.pair("version", VERSION);
        file.pair("about", text(&self.about));
        file.pair("hold_on_lost_device", self.hold_on_lost_device);
        file.time("calm", self.calm);
        file.table("limits");
        file.time("downtime", self.limits.downtime);
        file.time("switchover", self.limits.switchover);
        file.table("retry");
        file.pair("attempts", self.retry.attempts);
        file.time("backoff", self.retry.backoff);
        file.time("blackout_budget", self.retry.blackout_budget);
        file.time("precopy_limit", self.retry.precopy_limit);
        file.table("cadence");
        file.time("ping", self.cadence.ping);
        file.time("again", self.cadence.again);
        file.time("silence", self.cadence.silence);
        file.host("source", &self.source);
        file.host("destination", &self.destination);
        file.link(&self.link);
        file.guest(self);
        self.devices.iter().for_each(|device| file.device(device));
        if let Some(arbiter) = &self.arbiter {
            file.table("arbiter");
            file.dist("from_source", &arbiter.from_source);
            file.dist("from_destination", &arbiter.from_destination);
        }
        file.0.push_str(&contracts::to_toml(self));
        self.faults.iter().for_each(|fault| file.fault(fault));
        file.0
    }
}

/// A basic string of TOML.
fn text(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn time(time: Ns) -> String {
    text(&print_time(time))
}

/// A distribution, as it stands behind its key.
fn dist(dist: &Dist) -> String {
    match dist {
        Dist::Constant(value) => time(*value),
        Dist::Uniform { from, to } => format!("{{ uniform = [{}, {}] }}", time(*from), time(*to)),
        Dist::HeavyTail { typical, worst } => {
            format!("{{ typical = {}, worst = {} }}", time(*typical), time(*worst))
        }
        Dist::Recorded(times) => {
            let times: Vec<_> = times.iter().map(|value| time(*value)).collect();
            format!("{{ recorded = [{}] }}", times.join(", "))
        }
    }
}

/// A file that grows.
#[derive(Default)]
struct Text(String);

impl Text {
    fn pair(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn time(&mut self, key: &str, value: Ns) {
        self.pair(key, time(value));
    }

    fn dist(&mut self, key: &str, value: &Dist) {
        self.pair(key, dist(value));
    }

    fn table(&mut self, name: &str) {
        let _ = writeln!(self.0, "\n[{name}]");
    }

    fn host(&mut self, name: &str, host: &Host) {
        self.table(name);
        self.pair("declared_drift", text(&print_parts(host.declared_drift.get())));
        self.pair("drift", text(&print_parts(host.drift.get())));
        self.dist("timer", &host.timer);
        self.dist("journal", &host.journal);
        self.dist("seal", &host.seal);
        if let Some(stolen) = &host.stolen {
            let (every, pause) = (time(stolen.every), dist(&stolen.pause));
            self.pair("stolen", format!("{{ every = {every}, pause = {pause} }}"));
        }
    }

    fn link(&mut self, link: &Link) {
        self.table("link");
        self.dist("reconnect", &link.reconnect);
        for (name, channel) in [("control", &link.control), ("bulk", &link.bulk)] {
            self.table(&format!("link.{name}"));
            self.pair("bandwidth", text(&print_rate(channel.bandwidth)));
            self.dist("latency", &channel.latency);
        }
        if let Some(datagrams) = &link.datagrams {
            self.table("link.datagrams");
            for (key, parts) in
                [("lost", datagrams.lost), ("doubled", datagrams.doubled), ("reordered", datagrams.reordered)]
            {
                self.pair(key, text(&print_parts(parts)));
            }
            self.dist("late", &datagrams.late);
        }
    }

    fn guest(&mut self, scenario: &Scenario) {
        let guest = &scenario.guest;
        self.table("guest");
        self.pair("memory", text(&print_bytes(guest.memory)));
        self.pair("working_set", text(&print_bytes(guest.working_set)));
        let stretches: Vec<_> = guest.dirty.iter().map(stretch).collect();
        self.pair("dirty", format!("[{}]", stretches.join(", ")));
        self.pair("burst_after_read", text(&print_bytes(guest.burst_after_read)));
        self.pair("vcpus", guest.vcpus);
        self.pair("state", text(&print_bytes(guest.state)));
        self.pair("outlives_agent", guest.outlives_agent);
        self.table("guest.times");
        let Times { stop, save, load, resume, rollback, .. } = &guest.times;
        for (key, value) in
            [("stop", stop), ("save", save), ("load", load), ("resume", resume), ("rollback", rollback)]
        {
            self.dist(key, value);
        }
    }

    fn device(&mut self, device: &Device) {
        self.0.push_str("\n[[devices]]\n");
        self.pair("name", text(&device.name));
        self.pair("state", text(&print_bytes(device.state)));
        self.pair("slices", device.slices);
        self.table("devices.times");
        let Times { quiesce, stop, save, load, settle, resume, rollback } = &device.times;
        for (key, value) in [
            ("quiesce", quiesce),
            ("stop", stop),
            ("save", save),
            ("load", load),
            ("settle", settle),
            ("resume", resume),
            ("rollback", rollback),
        ] {
            self.dist(key, value);
        }
    }

    fn fault(&mut self, fault: &Fault) {
        self.0.push_str("\n[[faults]]\n");
        self.what(&fault.what);
        match &fault.when {
            When::Phase { phase, attempt } => {
                if usual_phase(&fault.what) != Some(*phase) {
                    self.word("at", words::Phase::from(*phase));
                }
                match attempt {
                    0 => self.word("attempt", "all"),
                    1 if usual_phase(&fault.what) == Some(*phase) => {}
                    number => self.pair("attempt", number),
                }
            }
            When::After(after) => self.dist("after", after),
            When::SinceStop(after) => self.dist("since_stop", after),
            When::Message { message, after } => {
                self.word(if *after { "after_message" } else { "before_message" }, message);
            }
            When::Step { within } => self.pair("within_steps", within),
        }
        if fault.chance != ALWAYS {
            self.word("chance", print_parts(fault.chance));
        }
    }

    fn what(&mut self, what: &What) {
        match what {
            What::Stall { side, port, phase, time } => {
                self.work(Kind::Stall, *side, *port, *phase);
                self.word("time", time.map_or_else(|| "forever".into(), print_time));
            }
            What::Fail { side, port, phase } => self.work(Kind::Fail, *side, *port, *phase),
            What::Lie { side, port, phase, percent } => {
                self.work(Kind::Lie, *side, *port, *phase);
                self.pair("percent", percent);
            }
            What::Drop { message, once } => {
                self.word("kind", Kind::Drop);
                self.word("message", message);
                self.pair("once", once);
            }
            What::Partition { from, time } => {
                self.word("kind", Kind::Partition);
                self.side("from", *from);
                self.time("time", *time);
            }
            What::Reset => self.word("kind", Kind::Reset),
            What::StallLink { time } => {
                self.word("kind", Kind::StallLink);
                self.time("time", *time);
            }
            What::Kill { side, restart, torn } => {
                self.word("kind", Kind::Kill);
                self.side("side", Some(*side));
                self.word("restart", restart.map_or_else(|| "never".into(), print_time));
                self.pair("torn", torn);
            }
            What::Pause { side, time } => {
                self.word("kind", Kind::Pause);
                self.side("side", Some(*side));
                self.time("time", *time);
            }
            What::Corrupt => self.word("kind", Kind::Corrupt),
            What::Cancel { side } => {
                self.word("kind", Kind::Cancel);
                self.side("side", Some(*side));
            }
            What::NoArbiter { side, time } => {
                self.word("kind", Kind::NoArbiter);
                self.side("side", *side);
                self.time("time", *time);
            }
        }
    }

    fn work(&mut self, kind: Kind, side: Side, port: Where, phase: Phase) {
        self.word("kind", kind);
        self.side("side", Some(side));
        let port = match port {
            Where::Vcpus => words::Port::Vcpus,
            Where::Device(number) => words::Port::Device(number),
            Where::Memory => words::Port::Memory,
            Where::Journal => words::Port::Journal,
        };
        self.word("port", port);
        self.word("phase", words::Phase::from(phase));
    }

    fn side(&mut self, key: &str, side: Option<Side>) {
        if let Some(side) = side {
            self.word(key, words::Side::from(side));
        }
    }

    fn word(&mut self, key: &str, word: impl std::fmt::Display) {
        self.pair(key, text(&word.to_string()));
    }
}

fn stretch(dirty: &Dirty) -> String {
    let rate = if dirty.idle { "0".into() } else { print_rate(dirty.rate) };
    format!("{{ rate = {}, time = {} }}", text(&rate), time(dirty.time))
}
