//! The journals of a demo: temporary, and kept when the run did not commit, since they say where the guest may be.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A directory of its own for both journals, removed when this is dropped.
#[derive(Debug)]
pub(super) struct Journals {
    directory: PathBuf,
    keep: bool,
}

impl Journals {
    /// Makes the directory in `place`, for this user only.
    ///
    /// # Errors
    /// It cannot be made there.
    pub fn new(place: &Path) -> io::Result<Self> {
        let id = std::process::id();
        for number in 0.. {
            let directory = place.join(format!("switchover-demo-{id}-{number}"));
            match DirBuilder::new().mode(0o700).create(&directory) {
                Ok(()) => return Ok(Journals { directory, keep: false }),
                // Of an earlier process with the same number, which kept its own; or of another thread.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The source's journal; the destination's is beside it.
    pub fn source(&self) -> PathBuf {
        self.directory.join("source.journal")
    }

    /// Leaves them where they are; returns where that is.
    pub fn keep(mut self) -> PathBuf {
        self.keep = true;
        self.directory.clone()
    }
}

impl Drop for Journals {
    fn drop(&mut self) {
        if !self.keep {
            // A leftover in the temporary directory is not worth a word.
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_go_unless_they_are_kept() {
        let place = std::env::temp_dir();
        let (gone, kept) = (Journals::new(&place).expect("made"), Journals::new(&place).expect("made"));
        assert_ne!(gone.source(), kept.source());
        for journals in [&gone, &kept] {
            std::fs::write(journals.source(), b"record").expect("written");
        }
        let (gone_path, kept_path) = (gone.source(), kept.source());
        drop(gone);
        let directory = kept.keep();
        assert!(!gone_path.exists() && kept_path.exists());
        std::fs::remove_dir_all(directory).expect("cleaned");
    }
}
