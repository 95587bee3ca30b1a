//! Putting a record where the user wants it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::RunRecord;

/// Writes the record to `path`: a reader sees the old file or all of the new one, never half of it.
///
/// # Errors
/// Whatever the file system says.
pub fn write_record(path: &Path, record: &RunRecord) -> io::Result<()> {
    replace_file(path, record.to_pretty_json().as_bytes())
}

/// Whether [`write_record`] will be able to write to `path`, as far as can be told before: a run is a pity to lose.
///
/// # Errors
/// Whatever the file system says.
pub fn check_place(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(about) if about.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(about) if !about.is_file() => return Ok(()),
        _ => {}
    }
    let beside = beside(path);
    fs::write(&beside, b"").and_then(|()| fs::remove_file(&beside))
}

fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    beside.into()
}

/// Writes `bytes` to a new file beside `path` and moves it into place. What is no regular file (a pipe, `/dev/stdout`) is
/// written to as it is: moving a file over it would destroy it.
///
/// # Errors
/// Whatever the file system says.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        return fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| io::Write::write_all(&mut file, bytes));
    }
    let beside = beside(path);
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It may not even exist; the first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Outcome;

    #[test]
    fn a_record_replaces_the_old_one_and_leaves_nothing_beside_it() {
        let directory = std::env::temp_dir().join(format!("switchover-record-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("directory");
        let path = directory.join("run.json");
        for limit in [1, 2] {
            let record = RunRecord::new(Outcome::Aborted, limit, vec![]);
            write_record(&path, &record).expect("written");
            let read: RunRecord = serde_json::from_slice(&fs::read(&path).expect("read")).expect("a record");
            assert_eq!(read, record);
        }
        assert_eq!(fs::read_dir(&directory).expect("list").count(), 1);
        fs::remove_dir_all(&directory).expect("cleaned");
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_known_before() {
        let directory = std::env::temp_dir();
        let own = directory.join(format!("switchover-place-{}", std::process::id()));
        check_place(&own).expect("a place");
        assert!(!own.exists(), "asking leaves nothing behind");
        check_place(Path::new("/dev/null")).expect("a device");
        assert!(check_place(&directory).is_err() && check_place(&own.join("run.json")).is_err());
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        write_record(Path::new("/dev/null"), &RunRecord::new(Outcome::Aborted, 1, vec![])).expect("written");
        assert!(!fs::metadata("/dev/null").expect("still there").is_file());
    }
}
