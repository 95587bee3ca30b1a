//! The record and its published schema hold each other: what we write is valid, and nothing less or more than that is.

use serde_json::{Value, json};
use switchover_shell::contracts::Provenance;
use switchover_shell::record::{
    Admission, AttemptRecord, Offender, Outcome, PhaseRecord, RunRecord, Scheduling, Term, attempt_id,
};
use switchover_shell::words::{Phase, Port, Side};

const SCHEMA: &str = include_str!("../../docs/record.schema.json");

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    jsonschema::meta::validate(&schema).expect("the schema is a schema");
    jsonschema::validator_for(&schema).expect("the schema compiles")
}

/// A record in which every field has a value and every list an element.
fn full() -> RunRecord {
    let phase = |side, port, phase| PhaseRecord {
        side,
        port,
        phase,
        start_ns: Some(-5),
        planned_ns: Some(1),
        measured_ns: Some(2),
    };
    let attempt = AttemptRecord {
        reason: Some("deadline".into()),
        offender: Some(Offender { side: Side::Source, port: Port::Device(3), phase: Phase::Save }),
        phases: Phase::ALL.iter().map(|which| phase(Side::Destination, Port::Memory, *which)).collect(),
        admission: Some(Admission {
            admitted: true,
            predicted_ns: 3,
            downtime_limit_ns: 4,
            terms: vec![Term {
                bytes: Some(1),
                bytes_per_second: Some(2),
                ..Term::time("memory", 3, Provenance::Learned)
            }],
        }),
        go_by_ns: Some(9),
        bytes: 1,
        stop_copy_bytes: 1,
        rounds: 2,
        faults_injected: vec!["stall:save:2s".into()],
        scheduling: vec![Scheduling {
            side: Side::Source,
            fifo_priority: Some(50),
            memory_locked: true,
            pinned_cpu: Some(1),
            notes: vec!["a note".into()],
        }],
        stolen_ns: 7,
        verified: Some(true),
        ..AttemptRecord::new(attempt_id(1, 2), Outcome::Aborted)
    };
    let record = RunRecord::new(Outcome::Aborted, 310, vec![attempt.with_downtime(312, 310)]);
    RunRecord { self_check_failures: Some(0), ..record.with_estimate(1, 1) }
}

fn records() -> Vec<Value> {
    let mut records = vec![full()];
    for outcome in Outcome::ALL {
        // As little as there can be: everything that may be unknown is.
        let mut attempt = AttemptRecord::new(attempt_id(u64::MAX, u64::MAX), *outcome);
        attempt.downtime_ns = None;
        records.push(RunRecord::new(*outcome, u64::MAX, vec![attempt]));
        records.push(RunRecord::new(*outcome, 0, vec![]));
    }
    records.iter().map(|record| serde_json::from_str(&record.to_json()).expect("JSON")).collect()
}

/// The paths of all objects in a value.
fn objects(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(path.into());
            fields.iter().for_each(|(key, value)| objects(value, &format!("{path}/{key}"), found));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| objects(value, &format!("{path}/{index}"), found));
        }
        _ => {}
    }
}

#[test]
fn what_is_written_is_valid() {
    let validator = validator();
    for record in records() {
        if let Err(error) = validator.validate(&record) {
            panic!("{error} at {}\n{record:#}", error.instance_path());
        }
    }
}

#[test]
fn nothing_may_be_missing_and_nothing_unknown_may_be_there() {
    let (validator, record) = (validator(), serde_json::to_value(full()).expect("JSON"));
    let mut paths = Vec::new();
    objects(&record, "", &mut paths);
    assert_eq!(
        paths.len(),
        1 + 1 + 1 + Phase::ALL.len() + 1 + 1 + 1,
        "an object of the full record has no element"
    );
    for path in paths {
        let object = |record: &mut Value| {
            record.pointer_mut(&path).expect("path").as_object_mut().expect("object").clone()
        };
        for key in object(&mut record.clone()).keys() {
            let mut less = record.clone();
            less.pointer_mut(&path).and_then(Value::as_object_mut).expect("object").remove(key);
            assert!(!validator.is_valid(&less), "valid without {path}/{key}");
        }
        let mut more = record.clone();
        more.pointer_mut(&path)
            .and_then(Value::as_object_mut)
            .expect("object")
            .insert("surprise".into(), json!(1));
        assert!(!validator.is_valid(&more), "valid with {path}/surprise");
        assert!(serde_json::from_value::<RunRecord>(more).is_err(), "read with {path}/surprise");
    }
}

#[test]
fn the_words_are_the_published_ones() {
    let validator = validator();
    for (path, value) in [
        ("/outcome", json!("done")),
        ("/runs_on", json!("here")),
        ("/version", json!(2)),
        ("/hard_limit_ns", json!(-1)),
        ("/downtime_ns", json!(1.5)),
        ("/within_limit", json!(null)),
        ("/attempts/0/id", json!("first")),
        ("/attempts/0/reason", json!("Not admitted")),
        ("/attempts/0/offender/side", json!("peer")),
        ("/attempts/0/offender/port", json!("device01")),
        ("/attempts/0/offender/phase", json!("quiesce")),
        ("/attempts/0/admission/terms/0/source", json!("guessed")),
        ("/attempts/0/scheduling/0/fifo_priority", json!(0)),
    ] {
        let mut record = serde_json::to_value(full()).expect("JSON");
        *record.pointer_mut(path).expect("path") = value.clone();
        assert!(!validator.is_valid(&record), "{path} = {value}");
    }
}
