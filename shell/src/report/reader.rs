//! The parent's end.

use std::io::{self, BufRead, BufReader, Read};

use super::Report;

/// A record of many attempts is some 100 KiB.
const LONGEST_LINE: u64 = 16 << 20;

/// Reports as they come, until the child closes its end: when it ends, however it ends.
#[derive(Debug)]
pub struct Reports<R>(BufReader<R>);

impl<R: Read> Reports<R> {
    /// Reads from `pipe`.
    pub fn new(pipe: R) -> Self {
        Reports(BufReader::new(pipe))
    }
}

impl<R: Read> Iterator for Reports<R> {
    type Item = io::Result<Report>;

    /// The next report. An error does not end it: the next line may be a report again. A line without its end was cut by
    /// the child's death, and is no report.
    fn next(&mut self) -> Option<io::Result<Report>> {
        let mut line = Vec::new();
        match (&mut self.0).take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Err(error) => Some(Err(error)),
            Ok(_) if line.last() != Some(&b'\n') => None,
            Ok(_) => Some(serde_json::from_slice(&line).map_err(io::Error::from)),
        }
    }
}
