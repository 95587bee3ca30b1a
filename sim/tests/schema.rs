//! A campaign and its published schema hold each other: what we write is valid, and nothing less or more than that is.

mod made;

use made::campaign;
use serde_json::Value;
use switchover_sim::campaign::file::Shortened;

const SCHEMA: &str = include_str!("../../docs/campaign.schema.json");
const RECORD: &str = include_str!("../../docs/record.schema.json");

fn validator(text: &str) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(text).expect("the schema is JSON");
    jsonschema::meta::validate(&schema).expect("the schema is a schema");
    jsonschema::validator_for(&schema).expect("the schema compiles")
}

/// A campaign in which every list has an element.
fn full() -> Value {
    let seeds = "0..20000".parse().expect("seeds");
    let mut campaign = campaign(seeds, seeds, 2, true);
    let (scenario, diagram) = ("version = 1".into(), "source -> destination: Go".into());
    campaign.broken = Some(Shortened { seed: 1, scenario, diagram });
    serde_json::from_str(&campaign.to_json()).expect("JSON")
}

#[test]
fn what_is_written_is_valid() {
    let validator = validator(SCHEMA);
    let value = full();
    for list in ["offenders", "worst_committed", "worst_aborted"] {
        assert!(value["tally"][list].as_array().is_some_and(|list| !list.is_empty()), "{list}");
    }
    assert!(validator.validate(&value).is_ok(), "{:?}", validator.iter_errors(&value).next());
    let record = self::validator(RECORD);
    assert!(record.is_valid(&value["worst"]["record"]));
    let seeds = "0..1".parse().expect("seeds");
    let least: Value = serde_json::from_str(&campaign(seeds, seeds, 1, false).to_json()).expect("JSON");
    assert!(validator.is_valid(&least), "{:?}", validator.iter_errors(&least).next());
}

/// Every object in `value`, by its JSON pointer.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.push(at.into());
            map.iter().for_each(|(key, value)| objects(value, &format!("{at}/{key}"), found));
        }
        Value::Array(list) => list.iter().take(1).for_each(|value| objects(value, &format!("{at}/0"), found)),
        _ => {}
    }
}

#[test]
fn every_field_is_described_and_required() {
    let validator = validator(SCHEMA);
    let full = full();
    let mut places = Vec::new();
    objects(&full, "", &mut places);
    // The record has a schema of its own; these three map words to counts.
    let free = |place: &&String| {
        !place.starts_with("/worst/record") && !place.ends_with("/reasons") && *place != "/tally/broken"
    };
    for place in places.iter().filter(free) {
        let keys: Vec<String> =
            full.pointer(place).and_then(Value::as_object).expect("an object").keys().cloned().collect();
        for key in keys {
            let mut less = full.clone();
            less.pointer_mut(place).and_then(Value::as_object_mut).expect("an object").remove(&key);
            assert!(!validator.is_valid(&less), "{place}/{key} can be left out");
        }
        let mut more = full.clone();
        more.pointer_mut(place)
            .and_then(Value::as_object_mut)
            .expect("an object")
            .insert("more".into(), 1.into());
        assert!(!validator.is_valid(&more), "{place} takes anything");
    }
}
