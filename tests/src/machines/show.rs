//! One short line for a step: what a person reads in a log, and reviews in a snapshot.
//!
//! Times are milliseconds. Ports are `v0`, `d1`; attempts `#2`.

use std::fmt::Debug;

use switchover_core::action::{DestinationAction, Note, SourceAction};
use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_core::id::AttemptId;
use switchover_core::journal::Record;
use switchover_core::outcome::{Ending, Reason};
use switchover_core::port::{Blame, Port, PortSet, Side};
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::{Echo, Envelope, ToDestination, ToSource};

/// The name of the state that a machine is in, from its `Debug` text: the state is its last field.
pub fn state_of(machine: &impl Debug) -> String {
    let text = format!("{machine:?}");
    let from = text.rfind(", state: ").map_or(0, |at| at + ", state: ".len());
    text[from..].chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// `12.5` for 12.5 ms.
pub fn time(time: Ns) -> String {
    let text = format!("{}.{:06}", time.get() / 1_000_000, time.get() % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// When to call again, seen from `now`.
pub fn deadline(now: At, deadline: Option<At>) -> String {
    match deadline {
        None => "-".to_string(),
        Some(at) if at < now => format!("-{}", time(now.since(at))),
        Some(at) => format!("+{}", time(at.since(now))),
    }
}

fn attempt(id: AttemptId) -> String {
    format!("#{}", id.counter)
}

fn port(port: Port) -> String {
    match port {
        Port::Vcpus(i) => format!("v{i}"),
        Port::Device(i) => format!("d{i}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn ports(ports: PortSet) -> String {
    ports.map(port).collect::<Vec<_>>().join(" ")
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Source => "src",
        Side::Destination => "dst",
    }
}

fn blame(blame: Option<Blame>) -> String {
    blame.map_or(String::new(), |b| format!(" by {}/{}/{:?}", side(b.side), port(b.port), b.phase))
}

fn record(record: &Record) -> String {
    format!("write {:?}{}", record.kind, attempt(record.attempt))
}

fn reason(reason: Reason) -> String {
    match reason {
        Reason::LimitTooSmall(least) => format!("LimitTooSmall({})", time(least)),
        Reason::Refused(refusal) => format!("Refused({refusal:?})"),
        other => format!("{other:?}"),
    }
}

/// A message from the source.
pub fn to_destination(message: &ToDestination) -> String {
    match message {
        ToDestination::Hello(hello) if hello.warm => "Hello(warm)".into(),
        ToDestination::Hello(_) => "Hello".into(),
        ToDestination::Ping(n) => format!("Ping({n})"),
        ToDestination::RoundEnd { round, chunks } => format!("RoundEnd({round}, {chunks} chunks)"),
        ToDestination::Stopping { elapsed, hard_limit, lease } => {
            format!("Stopping(elapsed {}, H {}, L {})", time(*elapsed), time(*hard_limit), time(*lease))
        }
        ToDestination::Sealed(_) => "Sealed".into(),
        ToDestination::Abort { offender } => format!("Abort{}", blame(*offender)),
        other => format!("{other:?}"),
    }
}

/// A message from the destination.
pub fn to_source(message: &ToSource) -> String {
    match message {
        ToSource::Welcome(welcome) if welcome.warm => "Welcome(warm)".into(),
        ToSource::Welcome(_) => "Welcome".into(),
        ToSource::Pong(Echo::Ping(n)) => format!("Pong({n})"),
        ToSource::Pong(Echo::Round(n)) => format!("Pong(round {n})"),
        ToSource::Ready { lease_left, .. } => format!("Ready(left {})", time(*lease_left)),
        ToSource::Running(m) => format!(
            "Running(load {}, seal {}, resume {}{})",
            time(m.load),
            time(m.seal),
            time(m.resume),
            blame(m.offender)
        ),
        ToSource::Refused { reason, offender } => format!("Refused({reason:?}{})", blame(*offender)),
        ToSource::Pending { lease_left } => format!("Pending(left {})", time(*lease_left)),
        other => format!("{other:?}"),
    }
}

fn envelope(of: &Envelope) -> String {
    format!("{}@{:x}.{}", attempt(of.attempt), of.peer.0, of.incarnation.0)
}

/// An event of the source's.
pub fn source_event(event: &SourceEvent) -> String {
    match event {
        SourceEvent::Message(of, message) => format!("<- {} {}", to_source(message), envelope(of)),
        SourceEvent::Port(p, op, outcome) => format!("{op:?} {} {outcome:?}", port(*p)),
        SourceEvent::Written(kind, id) => format!("written {kind:?}{}", attempt(*id)),
        SourceEvent::NotWritten(kind, id) => format!("not written {kind:?}{}", attempt(*id)),
        SourceEvent::Claimed(id, owner) => format!("claimed{} {owner:?}", attempt(*id)),
        SourceEvent::NotClaimed(id) => format!("not claimed{}", attempt(*id)),
        SourceEvent::Round(_) => "round".into(),
        SourceEvent::LastPages(_) => "last pages".into(),
        SourceEvent::Sealed(_) => "sealed".into(),
        other => format!("{other:?}"),
    }
}

/// An event of the destination's.
pub fn destination_event(event: &DestinationEvent) -> String {
    match event {
        DestinationEvent::Message(of, message) => format!("<- {} {}", to_destination(message), envelope(of)),
        DestinationEvent::Port(p, op, outcome) => format!("{op:?} {} {outcome:?}", port(*p)),
        DestinationEvent::Written(kind, id) => format!("written {kind:?}{}", attempt(*id)),
        DestinationEvent::NotWritten(kind, id) => format!("not written {kind:?}{}", attempt(*id)),
        DestinationEvent::Claimed(id, owner) => format!("claimed{} {owner:?}", attempt(*id)),
        DestinationEvent::NotClaimed(id) => format!("not claimed{}", attempt(*id)),
        DestinationEvent::Yielded(id) => format!("yielded{}", attempt(*id)),
        DestinationEvent::Verified(_) => "verified".into(),
        other => format!("{other:?}"),
    }
}

/// An action of the source's.
pub fn source_action(action: &SourceAction) -> String {
    match action {
        SourceAction::Send(_, message) => format!("-> {}", to_destination(message)),
        SourceAction::Write(r) => record(r),
        SourceAction::Round { fresh: true, .. } => "round fresh".into(),
        SourceAction::Round { .. } => "round".into(),
        SourceAction::Ask(op, set) => format!("{op:?} {}", ports(*set)),
        SourceAction::KeepPages => "keep".into(),
        SourceAction::Claim(id) => format!("claim{}", attempt(*id)),
        SourceAction::Note(n) => note(n),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// An action of the destination's.
pub fn destination_action(action: &DestinationAction) -> String {
    match action {
        DestinationAction::Send(_, message) => format!("-> {}", to_source(message)),
        DestinationAction::Write(r) => record(r),
        DestinationAction::Expect { warm, .. } => format!("expect{}", if *warm { " warm" } else { "" }),
        DestinationAction::Drain { round, chunks } => format!("drain {round} at {chunks}"),
        DestinationAction::Verify(_) => "verify".into(),
        DestinationAction::Discard => "discard".into(),
        DestinationAction::Ask(op, set) => format!("{op:?} {}", ports(*set)),
        DestinationAction::Claim(id) => format!("claim{}", attempt(*id)),
        DestinationAction::Yield(id) => format!("yield{}", attempt(*id)),
        DestinationAction::Note(n) => note(n),
    }
}

/// A note, in square brackets: it changes nothing in the world.
pub fn note(note: &Note) -> String {
    match note {
        Note::Began(id) => format!("[began{}]", attempt(*id)),
        Note::Verdict(v) => format!(
            "[verdict {} work {} go_by {}]",
            if v.fits { "fits" } else { "no" },
            time(v.work()),
            time(v.go_by)
        ),
        Note::Round { number, .. } => format!("[round {number}]"),
        Note::Phase { side: s, port: p, phase, planned, measured } => {
            format!("[{}/{}/{phase:?} {} of {}]", side(*s), port(*p), time(*measured), time(*planned))
        }
        Note::CutShort { blame: by, planned, measured } => {
            format!("[cut short{} {} of {}]", blame(Some(*by)), time(*measured), time(*planned))
        }
        Note::Sent(bytes) => format!("[sent {}]", bytes.get()),
        Note::Aborting { reason: why, offender } => {
            format!("[aborting {}{}]", reason(*why), blame(*offender))
        }
        Note::DeviceLost(set) => format!("[lost {}]", ports(*set)),
        Note::Alarm(alarm) => format!("[ALARM {alarm:?}]"),
        Note::Ended(ended) => {
            let how = match ended.ending {
                Ending::Aborted(why) => reason(why),
                other => format!("{other:?}"),
            };
            let dark = time(ended.blackout);
            format!("[ended{} {how}{} dark {dark}]", attempt(ended.attempt), blame(ended.offender))
        }
        other => format!("[{other:?}]").to_lowercase(),
    }
}
