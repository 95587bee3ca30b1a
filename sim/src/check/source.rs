//! What happens to the source's copy of the guest.

use switchover_core::port::{Port, PortSet};
use switchover_core::time::At;

use super::{Broken, Checker};

impl Checker {
    /// The source asks the first thing of attempt `attempt` that the guest can feel: t = 0.
    pub fn stopping(&mut self, attempt: u32, now: At) {
        self.source.attempt = attempt;
        self.source.asked = PortSet::EMPTY;
        self.goes_dark(now);
    }

    /// Ports are asked to stop or to quiesce: some part of it may have happened from now on.
    pub fn source_asked(&mut self, ports: PortSet) {
        self.source.asked = self.source.asked.with(ports);
    }

    /// A vCPU port or a device of the source's is stopped, or a device quiesced.
    pub fn source_stopped(&mut self, port: Port) {
        if self.runs_on_source() && matches!(port, Port::Vcpus(_)) {
            self.source.generation = self.source.generation.wrapping_add(1);
        }
        self.source.runs = self.source.runs.without(PortSet::one(port));
    }

    /// A device broke its rollback's contract, or failed in it: the guest may go on without.
    pub fn device_lost(&mut self, port: Port, now: At) {
        if self.rules.hold_on_lost_device {
            // It is waited for, and so is the guest.
            return;
        }
        self.source.lost = self.source.lost.with(PortSet::one(port));
        self.source.asked = self.source.asked.without(PortSet::one(port));
        self.whole_again(now);
    }

    /// The guest can be felt again once its vCPUs run, and every device that is not lost.
    fn whole_again(&mut self, now: At) {
        let missing = self.rules.ports.without(self.source.runs).without(self.source.lost);
        if self.runs_on_source() && missing.with(self.source.asked).is_empty() {
            self.run.ran_again = Some(now);
            self.light(true, now);
        }
    }

    /// A vCPU port or a device of the source's runs again.
    pub fn source_runs(&mut self, port: Port, now: At) {
        let one = PortSet::one(port);
        self.check(self.source.exists, Broken::SourceRunsNothing, now);
        if matches!(port, Port::Vcpus(_)) {
            self.vcpus_run(now);
        }
        self.source.runs = self.source.runs.with(one);
        self.source.asked = self.source.asked.without(one);
        self.source.lost = self.source.lost.without(one);
        self.whole_again(now);
    }

    fn vcpus_run(&mut self, now: At) {
        self.check(self.destination.runs.is_empty(), Broken::BothRun, now);
        let own = self.destination.executed != Some(self.source.generation);
        self.check(own, Broken::SourceRunsPast, now);
        let attempt = self.source.attempt;
        let knows = !self.links.go.has(attempt) || self.links.freed.has(attempt);
        self.check(knows, Broken::Guessed, now);
        let missing = self.rules.ports.devices().without(self.source.runs);
        let excused = if self.rules.hold_on_lost_device { PortSet::EMPTY } else { self.source.lost };
        self.check(missing.without(excused).is_empty(), Broken::DeviceLeft, now);
    }

    /// The source destroys its copy.
    pub fn source_released(&mut self, now: At) {
        let ran = self.destination.ran == Some(self.source.generation);
        self.check(ran, Broken::OnlyCopyGone, now);
        self.source.exists = false;
        self.source.runs = PortSet::EMPTY;
    }

    /// The source's guest dies, with its process or its host.
    pub fn source_dies(&mut self) {
        self.source.exists = false;
        self.source.runs = PortSet::EMPTY;
        // A guest that is gone is not late.
        self.dark = None;
    }
}
