//! Options about the guest that is made for the run.

use clap::{Args, ValueEnum};

use super::UsageError;
use crate::units::{Bytes, Rate};

/// Guest memory comes in pages of this size.
const PAGE: u64 = 4096;
/// Memory that the guest's program, its page tables and its stacks take for themselves.
pub const RESERVED: Bytes = Bytes(4 << 20);
/// The most memory whose page tables fit into that.
pub const MOST_MEMORY: Bytes = Bytes(510 << 30);

/// What kind of guest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GuestKind {
    /// A virtual machine under KVM, running a small program that checks itself.
    Kvm,
}

/// The kind of guest, as written.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Guest")]
pub struct GuestKindArg {
    /// What kind of guest runs [default: what this host can do, and it is said which]
    ///
    /// `kvm` is a real virtual machine and needs `/dev/kvm`.
    #[arg(long = "guest", value_name = "KIND")]
    pub kind: Option<GuestKind>,
}

/// Options about the guest, as written.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Guest")]
pub struct GuestArgs {
    #[command(flatten)]
    kind: GuestKindArg,
    /// The guest's memory
    ///
    /// A multiple of 4KiB: `512MiB`, `4GiB`. Both hosts need as much.
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    memory: Bytes,
    /// Memory that the guest keeps writing to, over all vCPUs
    ///
    /// A multiple of 4KiB, in which each vCPU has its own part. The guest checks what it has written.
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    working_set: Bytes,
    /// How much of the working set the guest writes in a second, over all vCPUs
    ///
    /// `200MiB/s`, `max` for as fast as it can, or `0` for a guest that only beats.
    #[arg(long, value_name = "RATE", default_value = "200MiB/s")]
    dirty_rate: Rate,
    /// How many virtual CPUs the guest has: 1 to 4
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    vcpus: u8,
}

/// The guest to make: its working set fits into its memory, both in whole pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestOptions {
    /// What kind; `None` is what this host can do.
    pub kind: Option<GuestKind>,
    /// All its memory.
    pub memory: Bytes,
    /// The part that it keeps writing to.
    pub working_set: Bytes,
    /// How fast it writes.
    pub dirty_rate: Rate,
    /// 1 to 4.
    pub vcpus: u8,
}

/// `given`, brought up to whole pages.
fn whole_pages(option: &'static str, given: Bytes, least: u64) -> Result<(), UsageError> {
    if given.0 >= least && given.0.is_multiple_of(PAGE) {
        return Ok(());
    }
    let example = Bytes(given.0.max(least).div_ceil(PAGE).saturating_mul(PAGE));
    Err(UsageError::Pages { option, given, example })
}

impl GuestArgs {
    pub(super) fn validate(self) -> Result<GuestOptions, UsageError> {
        let GuestArgs { kind, memory, working_set, dirty_rate, vcpus } = self;
        whole_pages("--memory", memory, PAGE)?;
        whole_pages("--working-set", working_set, 0)?;
        if memory > MOST_MEMORY {
            return Err(UsageError::MemoryTooLarge(memory, MOST_MEMORY));
        }
        if memory <= RESERVED {
            return Err(UsageError::MemoryTooSmall(memory, Bytes(RESERVED.0 * 2)));
        }
        if working_set.0 > memory.0 - RESERVED.0 {
            return Err(UsageError::WorkingSetTooLarge { working_set, memory, reserved: RESERVED });
        }
        if dirty_rate != Rate::BytesPerSecond(0) && working_set.0 < PAGE * u64::from(vcpus) {
            return Err(UsageError::WorkingSetTooSmall { working_set, vcpus });
        }
        Ok(GuestOptions { kind: kind.kind, memory, working_set, dirty_rate, vcpus })
    }
}

impl GuestKindArg {
    pub(super) fn to_args(&self) -> Vec<String> {
        let kind = self.kind.and_then(|kind| kind.to_possible_value());
        kind.map(|kind| vec!["--guest".into(), kind.get_name().into()]).unwrap_or_default()
    }
}

impl GuestOptions {
    pub(super) fn to_args(&self) -> Vec<String> {
        let mut args = GuestKindArg { kind: self.kind }.to_args();
        args.extend([
            format!("--memory={}", self.memory),
            format!("--working-set={}", self.working_set),
            format!("--dirty-rate={}", self.dirty_rate),
            format!("--vcpus={}", self.vcpus),
        ]);
        args
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::guest::kvm::{KvmSpec, own_memory};

    #[test]
    fn what_is_kept_free_for_the_guest_suffices() {
        for memory in [8 << 20, 1 << 30, MOST_MEMORY.0] {
            let fits = KvmSpec { working_set: memory - RESERVED.0, ..KvmSpec::new(memory, 4) };
            assert!(fits.check().is_ok(), "{memory}");
            assert!(own_memory(memory) <= RESERVED.0, "{memory}");
        }
    }
}
