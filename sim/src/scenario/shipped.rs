//! The scenarios that come with the simulator, in the binary: `sim/scenarios/*.toml`.

use super::model::Scenario;

/// Makes the list, with each file's text.
macro_rules! shipped {
    ($($name:literal,)+) => {
        &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml"))),)+]
    };
}

/// Names and texts; `standard` first.
const SHIPPED: &[(&str, &str)] = shipped!["standard",];

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
