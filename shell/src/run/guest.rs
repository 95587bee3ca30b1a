//! The guest of a run, from the options.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cli::{GuestKind, GuestOptions, HeartbeatTarget};
use crate::guest::kvm::{DirtyRate, Heartbeats, Hooks, KvmSpec};
use crate::link::resolve::resolve;
use crate::units::Rate;
use crate::wake::Wake;
use crate::words::Side;

/// The kind that runs: as said, or the one that this host can do, which is then said.
pub fn kind(asked: Option<GuestKind>) -> GuestKind {
    asked.unwrap_or_else(|| {
        eprintln!("guest: kvm, the kind of guest that this host can run");
        GuestKind::Kvm
    })
}

/// The KVM guest that the options describe.
pub fn spec(options: &GuestOptions) -> KvmSpec {
    KvmSpec {
        working_set: options.working_set.0,
        dirty_rate: match options.dirty_rate {
            Rate::BytesPerSecond(rate) => DirtyRate::BytesPerSecond(rate),
            Rate::Max => DirtyRate::Max,
        },
        ..KvmSpec::new(options.memory.0, options.vcpus)
    }
}

/// What the guest of a source with this journal is called: the same on both sides.
pub fn guest_name(journal: u64) -> String {
    format!("{journal:016x}")
}

/// How long a name may take to be looked up.
const NAMED_WITHIN: Duration = Duration::from_secs(5);

/// Where heartbeats go.
///
/// # Errors
/// The witness's address cannot be looked up.
pub fn witness(heartbeat: Option<&HeartbeatTarget>) -> Result<Option<SocketAddr>> {
    let Some(HeartbeatTarget(target)) = heartbeat else { return Ok(None) };
    let found = resolve((target.host.clone(), target.port), NAMED_WITHIN);
    let to = found.ok().and_then(|all| all.first().copied()).with_context(|| {
        format!("--heartbeat udp:{target}: no such host; give a name or address that resolves here")
    })?;
    Ok(Some(to))
}

/// What the guest's vCPUs tell: the loop, and the witness.
///
/// # Errors
/// The witness's address cannot be looked up.
pub fn hooks(wake: Wake, heartbeat: Option<&HeartbeatTarget>, name: u64, runner: Side) -> Result<Hooks> {
    let heartbeats =
        witness(heartbeat)?.map(|to| Heartbeats { to, guest: guest_name(name).as_str().into(), runner });
    Ok(Hooks { notify: Some(Arc::new(move || wake.wake())), vcpu_thread: None, heartbeats })
}
