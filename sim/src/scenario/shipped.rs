//! The scenarios that come with the simulator, in the binary: `sim/scenarios/*.toml`.

use super::model::Scenario;

/// Makes the list, with each file's text.
macro_rules! shipped {
    ($($name:literal,)+) => {
        &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml"))),)+]
    };
}

/// Names and texts; `standard` first.
const SHIPPED: &[(&str, &str)] = shipped![
    "standard",
    "demo",
    "arbiter",
    "busy-100g",
    "busy-10g",
    "cancel",
    "datagrams",
    "drifting-clocks",
    "dying-destination",
    "huge",
    "idle-100g",
    "idle-10g",
    "lossy-wan",
    "lying-device",
    "one-vf",
    "one-way",
    "outliving-guest",
    "partition",
    "stolen-cpu",
    "stuck-quiesce",
    "timing",
    "two-vfs",
    "faults/corrupt-device",
    "faults/corrupt-page",
    "faults/drop-go",
    "faults/drop-go-once",
    "faults/drop-ready",
    "faults/drop-ready-once",
    "faults/drop-running",
    "faults/drop-running-once",
    "faults/kill-destination-go",
    "faults/kill-destination-hello",
    "faults/kill-destination-load",
    "faults/kill-destination-precopy",
    "faults/kill-destination-ready",
    "faults/kill-destination-resume",
    "faults/kill-destination-seal",
    "faults/kill-destination-stop",
    "faults/kill-destination-transfer",
    "faults/kill-source-go",
    "faults/kill-source-hello",
    "faults/kill-source-precopy",
    "faults/kill-source-ready",
    "faults/kill-source-rollback",
    "faults/kill-source-save",
    "faults/kill-source-seal",
    "faults/kill-source-stop",
    "faults/kill-source-transfer",
    "faults/stall-link",
    "faults/stall-load",
    "faults/stall-resume",
    "faults/stall-rollback",
    "faults/stall-save",
    "faults/stall-seal",
    "faults/stall-stop",
];

/// The names of all of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The text of the one of that name; `standard.toml` means `standard`.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix(".toml").unwrap_or(name);
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

impl Scenario {
    /// The standard scenario: a busy guest with two VFs on a sound link, and no faults.
    ///
    /// # Panics
    /// Never: a test reads every shipped scenario.
    #[must_use]
    pub fn standard() -> Self {
        let text = text("standard").unwrap_or_default();
        Self::parse("standard", text).expect("the standard scenario is read in a test")
    }
}
