//! Before the first `Welcome`: how the guest is started at it, and why there was none.

use std::sync::Arc;
use std::time::Duration;

use switchover_core::outcome::{Ended, Ending, Reason};
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::Refusal;

use crate::agent::{GuestStart, Started};
use crate::cli::{GuestOptions, SourceOptions};
use crate::guest::kvm::Vmm;
use crate::units::{Rate, short_duration};

/// How long the guest runs before it is copied: the time to write its working set once, between these two.
const WARM_UP_LEAST: Duration = Duration::from_millis(100);

/// See [`WARM_UP_LEAST`].
const WARM_UP_MOST: Duration = Duration::from_millis(1000);

/// How the guest of `vmm` is started.
pub(super) fn guest(vmm: &Arc<Vmm>, options: &SourceOptions, started: &Started) -> GuestStart {
    let vmm = Arc::clone(vmm);
    let start = move || {
        for vcpu in vmm.vcpus() {
            // A vCPU that cannot run dies with a reason, which the guest's report shows.
            drop(vcpu.resume());
        }
    };
    let GuestOptions { working_set, dirty_rate, .. } = options.guest;
    let once = match dirty_rate {
        Rate::Max | Rate::BytesPerSecond(0) => WARM_UP_LEAST,
        Rate::BytesPerSecond(rate) => Duration::from_millis(working_set.0.saturating_mul(1000) / rate),
    };
    let warm_up = once.clamp(WARM_UP_LEAST, WARM_UP_MOST);
    GuestStart { started: started.clone(), start: Box::new(start), warm_up }
}

/// Why there was no `Welcome`, and what to do about it: of an attempt that `ended` before one. It `began` at that instant,
/// and a peer is given so much time.
pub(super) fn unwelcome(
    options: &SourceOptions,
    ended: &Ended,
    began: Option<At>,
    now: At,
    silence: Ns,
) -> String {
    let address = &options.connect;
    let why = match ended.ending {
        Ending::Aborted(Reason::PeerLost) if began.is_some_and(|began| now.since(began) >= silence) => {
            format!(
                "{address} let this source in and then said nothing for {}; is it a switchover destination, and alive?",
                short_duration(Duration::from_nanos(silence.get()))
            )
        }
        Ending::Aborted(Reason::PeerLost) => {
            format!(
                "{address} let this source in and closed the connection before its Welcome; it may say why on its own standard error"
            )
        }
        Ending::Aborted(Reason::Refused(Refusal::Busy)) => {
            format!("{address} refused: it is busy; try again when it is done, or take another destination")
        }
        Ending::Aborted(Reason::JournalFailed) => {
            "the journal cannot be written; look at its disk, or give another with --journal FILE".into()
        }
        Ending::Aborted(Reason::Cancelled) => "told to end before an attempt began".into(),
        Ending::Aborted(reason) => {
            let reason = crate::record::reason(reason).replace('_', " ");
            format!(
                "{address} did not take the guest: {reason}; run the same version and options on both hosts"
            )
        }
        Ending::Committed | Ending::Lost => format!("{address} ended what had not begun; is it alive?"),
    };
    format!("the guest was not started: {why}")
}
