//! Every event in every state of both machines: one reviewed line each.
//!
//! States are reached by real steps. A line reads `event => state: actions | deadline`, times in milliseconds from the
//! step; `=` means that nothing at all has changed; notes are in square brackets. A changed move is a changed line:
//! read it against `docs/PROTOCOL.md`, then accept it: `INSTA_UPDATE=always cargo test -p switchover-tests --test
//! transitions`. `make test` compares and never updates.

mod transitions_cases;

use std::fmt::Write as _;

use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_tests::machines::show;

use transitions_cases::{destination, source};

/// What one step looks like.
fn line(event: &str, state: &str, actions: &[String], deadline: &str) -> String {
    let mut line = format!("{event:<34} => {state}");
    if !actions.is_empty() {
        let _ = write!(line, ": {}", actions.join("; "));
    }
    if deadline != "-" {
        let _ = write!(line, " | {deadline}");
    }
    line
}

#[test]
fn source_moves() {
    let mut text = String::new();
    for (name, state) in source::states() {
        let due = show::deadline(state.now, state.last.deadline);
        let _ = writeln!(text, "\n## {} ({name}) | {due}", state.state());
        for (event_name, event) in source::events(&state) {
            let mut s = state.clone();
            if event == SourceEvent::Deadline {
                let Some(deadline) = s.last.deadline else { continue };
                s.now = deadline.or_later(s.now);
            }
            s.step(event);
            let unchanged = s.machine == state.machine && s.last.actions.is_empty();
            if unchanged {
                let _ = writeln!(text, "{event_name:<34} =");
            } else {
                let due = show::deadline(s.now, s.last.deadline);
                let _ = writeln!(text, "{}", line(&event_name, &s.state(), &s.words(), &due));
            }
        }
    }
    insta::assert_snapshot!("source", text);
}

#[test]
fn destination_moves() {
    let mut text = String::new();
    for (name, state) in destination::states() {
        let due = show::deadline(state.now, state.last.deadline);
        let _ = writeln!(text, "\n## {} ({name}) | {due}", state.state());
        for (event_name, event) in destination::events() {
            let mut d = state.clone();
            if event == DestinationEvent::Deadline {
                let Some(deadline) = d.last.deadline else { continue };
                d.now = deadline.or_later(d.now);
            }
            d.step(event);
            let unchanged = d.machine == state.machine && d.last.actions.is_empty();
            if unchanged {
                let _ = writeln!(text, "{event_name:<34} =");
            } else {
                let due = show::deadline(d.now, d.last.deadline);
                let _ = writeln!(text, "{}", line(&event_name, &d.state(), &d.words(), &due));
            }
        }
    }
    insta::assert_snapshot!("destination", text);
}
