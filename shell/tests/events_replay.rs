//! `--events`: from the file alone, a fresh machine goes through the same states and asks for the same things.

mod loops;

use std::time::Duration;

use loops::{source_config, switch_over};
use switchover_core::action::SourceAction;
use switchover_core::config::SourceConfig;
use switchover_core::event::SourceEvent;
use switchover_core::hal::Observer;
use switchover_core::outcome::Ending;
use switchover_core::source::Source;
use switchover_shell::events::{EventLog, Header, Line, VERSION, read};
use switchover_shell::words::Side;

fn replayed(name: &str, save: Duration) -> Ending {
    let outcome = switch_over(name, save, |_| None);
    let path = std::env::temp_dir().join(format!("switchover-replay-{name}-{}", std::process::id()));
    let began = outcome.steps.iter().find_map(|(_, _, actions)| {
        actions.iter().find_map(|action| match action {
            SourceAction::Write(record) => Some(record.attempt),
            _ => None,
        })
    });
    let header = Header {
        version: VERSION,
        side: Side::Source,
        journal: began.expect("an attempt").journal,
        number: 0,
        settings: serde_json::to_value(source_config()).expect("settings"),
    };
    let (mut log, writer) = EventLog::create(&path, &header).expect("a file");
    for (now, event, actions) in &outcome.steps {
        log.step(*now, event, actions);
    }
    drop(log);
    writer.finish().expect("written");

    let (header, lines) = read::<SourceEvent, SourceAction>(&path).expect("a log");
    let settings: SourceConfig<1, 1> = serde_json::from_value(header.settings).expect("settings");
    let mut machine = Source::<1, 1, 2>::new(settings, header.journal, 0).expect("a machine");
    assert_eq!(lines.len(), outcome.steps.len());
    for line in lines {
        let Line::Step(step) = line else { panic!("nothing else happened: {line:?}") };
        assert_eq!(machine.step(step.at, step.event).actions, step.actions, "at {:?}", step.event);
    }
    std::fs::remove_file(path).expect("removed");
    assert_eq!(machine.ended().len(), 1);
    machine.ended()[0].ending
}

#[test]
fn a_committed_and_an_aborted_run_replay_from_their_files() {
    assert_eq!(replayed("commits", Duration::ZERO), Ending::Committed);
    assert!(matches!(replayed("stuck", Duration::from_secs(1)), Ending::Aborted(_)));
}
