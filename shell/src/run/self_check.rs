//! What the guest's own checks found: a guest that was moved wrongly must not be overlooked.
//!
//! The guest checks its pages, counters and registers as it goes, and counts what fails in its own memory, so that the
//! side which runs it last knows of all of it. This looks there, and puts it in words.

use std::fmt::Write;
use std::sync::Arc;

use crate::guest::kvm::{Vcpu, Vmm};

/// Looks at a guest's checks.
pub(super) struct SelfCheck {
    vmm: Arc<Vmm>,
    told: bool,
}

impl SelfCheck {
    /// Those of this guest.
    pub fn new(vmm: Arc<Vmm>) -> Self {
        SelfCheck { vmm, told: false }
    }

    /// How many have failed so far, on either side.
    pub fn failures(&self) -> u64 {
        self.vmm.vcpus().iter().map(|vcpu| vcpu.report().failures).fold(0, u64::saturating_add)
    }

    /// The first that failed, in words. Only the first is told: what follows is most likely its consequence.
    pub fn alarm(&mut self) -> Option<String> {
        if self.told {
            return None;
        }
        let failed = |vcpu: &Vcpu| {
            let failure = vcpu.report().first_failure?;
            Some(format!(
                "alarm: the guest's self-check failed on vCPU {}: `{}` is not so at page {}: {:#x} expected, {:#x} found; \
                 do not trust this guest",
                vcpu.index(),
                failure.check,
                failure.page,
                failure.expected,
                failure.found
            ))
        };
        let text = self.vmm.vcpus().iter().find_map(failed)?;
        self.told = true;
        Some(text)
    }

    /// The end's account: what the guest has done over both sides, and whether its checks are clean.
    pub fn account(&self) -> String {
        let mut text = String::from("guest:");
        for vcpu in self.vmm.vcpus() {
            let report = vcpu.report();
            let (index, count, pages) = (vcpu.index(), report.count, report.pages_written);
            // Writing to a string cannot fail.
            let _ = write!(text, " vCPU {index} beat {count} times and wrote {pages} pages;");
        }
        match self.failures() {
            0 => text.push_str(" self-check clean"),
            failures => {
                let _ = write!(text, " SELF-CHECK FAILED {failures} TIMES");
            }
        }
        text
    }
}
