//! Where a journal is when nobody says.

use std::path::PathBuf;

use crate::words::Side;

/// The journal of this user's `side`: in `$XDG_STATE_HOME/switchover`, for root without one in `/var/lib/switchover`,
/// else in `~/.local/state/switchover`. `None` without any of these.
#[must_use]
pub fn default_path(side: Side) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = variable("HOME");
    place(variable("XDG_STATE_HOME"), home, is_root()).map(|state| state.join(format!("{side}.journal")))
}

fn place(xdg_state: Option<PathBuf>, home: Option<PathBuf>, root: bool) -> Option<PathBuf> {
    let state = xdg_state
        .or_else(|| root.then(|| PathBuf::from("/var/lib")))
        .or_else(|| home.map(|home| home.join(".local/state")))?;
    Some(state.join("switchover"))
}

/// Whether this process is root's, by the owner of its own entry in `/proc`.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_word_comes_first_then_the_system_then_home() {
        let (xdg, home) = (Some(PathBuf::from("/x")), Some(PathBuf::from("/h")));
        assert_eq!(place(xdg, home.clone(), true), Some("/x/switchover".into()));
        assert_eq!(place(None, home.clone(), true), Some("/var/lib/switchover".into()));
        assert_eq!(place(None, home, false), Some("/h/.local/state/switchover".into()));
        assert_eq!(place(None, None, false), None);
    }
}
