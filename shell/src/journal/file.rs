//! The journal's file: opened, locked, read back, kept short, appended to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use switchover_core::id::JournalId;
use switchover_core::journal::Record;

use super::slot::{Header, NoHeader, SLOT, decode_header, decode_record, encode_header, encode_record};
use super::summary::{Summary, essential};
use crate::sys::lock::try_lock;

/// With more records than this, opening a journal first rewrites it to what still matters.
const COMPACT_ABOVE: usize = 4096;
/// A file longer than this is not read: no journal of ours grows so long.
const BYTES_MAX: u64 = 64 << 20;

/// What a record that was written survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The death of the process.
    #[default]
    Process,
    /// The death of the host too: every record is synchronised to the disk before it counts.
    Host,
}

/// Why there is no journal. Each message names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another agent has it (\[SW-9\], H23).
    #[error(
        "journal {path} is in use{holder}: one journal serves one agent; end that one, or give this one its own with --journal FILE"
    )]
    InUse {
        /// The file.
        path: String,
        /// ` by process N`, where the host tells.
        holder: String,
    },
    /// The file is no journal.
    #[error("{path} is not a journal, and is left alone; give --journal another FILE")]
    Foreign {
        /// The file.
        path: String,
    },
    /// A journal that this build cannot read.
    #[error(
        "journal {path} has form {form}, which this version does not know; use the version that wrote it, or another FILE"
    )]
    Form {
        /// The file.
        path: String,
        /// The form.
        form: u8,
    },
    /// Bytes have changed in the middle: what it once said is not known.
    #[error(
        "journal {path} is damaged at byte {at}, before its end; find out where the guest runs, then move the file away"
    )]
    Damaged {
        /// The file.
        path: String,
        /// The first byte of the first slot that does not check.
        at: u64,
    },
    /// Somebody removed or replaced the file while it was open.
    #[error(
        "journal {path} was removed or replaced under the running agent; decisions are no longer durable"
    )]
    Replaced {
        /// The file.
        path: String,
    },
    /// The operating system said no.
    #[error("journal {path}: {what}: {source}; see to the directory, or give --journal another FILE")]
    Io {
        /// The file.
        path: String,
        /// What was tried.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// An open journal, locked until it is dropped.
#[derive(Debug)]
pub struct JournalFile {
    file: File,
    path: PathBuf,
    durability: Durability,
    summary: Summary,
    next: u64,
    temporary: bool,
}

impl Drop for JournalFile {
    fn drop(&mut self) {
        if self.temporary {
            // Left behind it is litter, and nothing worse.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl JournalFile {
    /// A new journal in the system's folder for temporary files, removed when it is dropped: for guests that no process
    /// survives anyway, as in tests and examples. Whoever dies by `kill -9` leaves it there.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn temporary() -> Result<Self, JournalError> {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("switchover-{:016x}.journal", random(&folder)?));
        let mut journal = Self::open(&path, Durability::Process)?;
        journal.temporary = true;
        Ok(journal)
    }

    /// Opens the journal at `path`, or makes one with a new identity; folders above it are made too.
    ///
    /// A last slot that is torn is as if never written, and is overwritten by the next.
    ///
    /// # Errors
    /// See [`JournalError`]; nothing has changed then.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, JournalError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| fail(path, "making its folder", source))?;
        }
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(path).map_err(|source| fail(path, "opening", source))?;
            match try_lock(&file) {
                Ok(true) => {}
                Ok(false) => {
                    let holder = holder(&file).map_or(String::new(), |pid| format!(" by process {pid}"));
                    return Err(JournalError::InUse { path: path.display().to_string(), holder });
                }
                Err(source) => return Err(fail(path, "locking", source)),
            }
            // Another agent may have compacted, and so replaced, the file between the opening and the lock.
            if is_at(&file, path) {
                return Self::read(file, path, durability);
            }
        }
    }

    fn read(file: File, path: &Path, durability: Durability) -> Result<Self, JournalError> {
        let io = |what| move |source| fail(path, what, source);
        let length = file.metadata().map_err(io("reading"))?.len();
        if length > BYTES_MAX {
            return Err(JournalError::Foreign { path: path.display().to_string() });
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0).map_err(io("reading"))?;
        // Shorter than a header: only a process that died while making the file leaves that. Nothing was decided.
        let Some((head, rest)) = bytes.split_first_chunk::<SLOT>() else {
            if !may_become_a_header(&bytes) {
                return Err(JournalError::Foreign { path: path.display().to_string() });
            }
            return Self::create(file, path, durability);
        };
        let header = decode_header(head).map_err(|wrong| {
            let path = path.display().to_string();
            match wrong {
                NoHeader::Foreign => JournalError::Foreign { path },
                NoHeader::Form(form) => JournalError::Form { path, form },
                NoHeader::Damaged => JournalError::Damaged { path, at: 0 },
            }
        })?;
        let records = records(rest).map_err(|at| JournalError::Damaged {
            path: path.display().to_string(),
            at: (SLOT + at) as u64,
        })?;
        let summary = Summary::of(header.identity, header.floor, &records);
        if records.len() > COMPACT_ABOVE {
            return Self::compact(path, durability, &summary, &records);
        }
        let next = records.len() as u64 + 1;
        Ok(JournalFile { file, path: path.into(), durability, summary, next, temporary: false })
    }

    /// Writes the header of a new journal.
    fn create(file: File, path: &Path, durability: Durability) -> Result<Self, JournalError> {
        let identity = JournalId(random(path)?);
        let io = |what| move |source| fail(path, what, source);
        file.set_len(0).map_err(io("making"))?;
        file.write_all_at(&encode_header(Header { identity, floor: 0 }), 0).map_err(io("making"))?;
        // Once in a journal's life: an identity that is lost with the host would be given to nobody, but its
        // attempts might be asked about.
        file.sync_all().map_err(io("making"))?;
        let summary = Summary::of(identity, 0, &[]);
        Ok(JournalFile { file, path: path.into(), durability, summary, next: 1, temporary: false })
    }

    /// Puts a shorter journal of the same identity in the place of this one. The old one's lock is held meanwhile.
    fn compact(
        path: &Path,
        durability: Durability,
        summary: &Summary,
        records: &[Record],
    ) -> Result<Self, JournalError> {
        let io = |what| move |source| fail(path, what, source);
        let beside = path.with_extension("compacting");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&beside).map_err(io("compacting"))?;
        if !try_lock(&file).map_err(io("compacting"))? {
            return Err(JournalError::InUse { path: beside.display().to_string(), holder: String::new() });
        }
        let kept = essential(summary, records);
        let mut bytes = encode_header(Header { identity: summary.identity, floor: summary.floor }).to_vec();
        for (sequence, record) in (1..).zip(&kept) {
            bytes.extend(encode_record(sequence, record, unix_seconds()));
        }
        file.write_all_at(&bytes, 0).map_err(io("compacting"))?;
        file.sync_all().map_err(io("compacting"))?;
        std::fs::rename(&beside, path).map_err(io("compacting"))?;
        let summary = Summary::of(summary.identity, summary.floor, &kept);
        Ok(JournalFile {
            file,
            path: path.into(),
            durability,
            summary,
            next: kept.len() as u64 + 1,
            temporary: false,
        })
    }

    /// What it said when it was opened.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a record; on return it is as durable as was asked for.
    ///
    /// # Errors
    /// It may or may not be there. The next append overwrites what is torn.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        let path = self.path.as_path();
        let io = |what| move |source| fail(path, what, source);
        let slot = encode_record(self.next, record, unix_seconds());
        self.file.write_all_at(&slot, self.next * SLOT as u64).map_err(io("writing"))?;
        if self.durability == Durability::Host {
            self.file.sync_data().map_err(io("synchronising"))?;
        }
        // A record in a file that nobody will find again is not durable, however well it was written.
        if !is_at(&self.file, &self.path) {
            return Err(JournalError::Replaced { path: self.path.display().to_string() });
        }
        self.next += 1;
        Ok(())
    }
}

fn fail(path: &Path, what: &'static str, source: io::Error) -> JournalError {
    JournalError::Io { path: path.display().to_string(), what, source }
}

/// Whether the open `file` is the one that `path` names.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// The records in the slots after the header, up to a torn tail. The error is the place of a slot that does not check
/// although one behind it does.
fn records(bytes: &[u8]) -> Result<Vec<Record>, usize> {
    let (slots, _torn) = bytes.as_chunks::<SLOT>();
    let read = |index: usize, slot: &[u8; SLOT]| {
        let (sequence, record) = decode_record(slot)?;
        (sequence == index as u64 + 1).then_some(record)
    };
    let mut records = Vec::with_capacity(slots.len());
    for (index, slot) in slots.iter().enumerate() {
        match read(index, slot) {
            Some(record) => records.push(record),
            None => {
                let more =
                    slots.iter().enumerate().skip(index + 1).any(|(later, slot)| read(later, slot).is_some());
                return if more { Err(index * SLOT) } else { Ok(records) };
            }
        }
    }
    Ok(records)
}

/// Whether bytes shorter than a header can be the beginning of one, or of nothing.
fn may_become_a_header(bytes: &[u8]) -> bool {
    let sample = encode_header(Header { identity: JournalId(0), floor: 0 });
    // The checksum and what follows the magic differ from file to file; a hole reads as zeros.
    bytes
        .iter()
        .zip(sample)
        .enumerate()
        .all(|(at, (byte, expected))| !(4..16).contains(&at) || *byte == expected || *byte == 0)
}

fn random(path: &Path) -> Result<u64, JournalError> {
    // Zero is what an unset identity looks like on the wire.
    getrandom::u64()
        .map(|number| number.max(1))
        .map_err(|error| fail(path, "drawing an identity", io::Error::other(error)))
}

/// For whoever reads the file by eye; nothing here is compared.
fn unix_seconds() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

/// The process that has the lock, as `/proc/locks` tells it.
fn holder(file: &File) -> Option<u32> {
    let inode = file.metadata().ok()?.ino();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = words[..] else { return None };
        place.ends_with(&format!(":{inode}")).then(|| pid.parse().ok()).flatten()
    })
}
