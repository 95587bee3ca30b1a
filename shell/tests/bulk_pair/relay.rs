//! A relay between the two sides that can stop reading, or cut the connection, and that reads the chunks it passes on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use switchover_core::wire::chunk::{HEADER, Header};

use super::{PATIENCE, sockets};

#[derive(Default)]
struct State {
    paused: AtomicBool,
    bytes: AtomicU64,
    chunks: AtomicU64,
    torn: AtomicU64,
}

/// The relay; it ends with its connections.
pub struct Relay {
    state: Arc<State>,
    ends: [TcpStream; 2],
}

impl Relay {
    /// The relay, the source's socket and the destination's.
    pub fn new() -> (Self, TcpStream, TcpStream) {
        let (source, from) = sockets();
        let (to, destination) = sockets();
        let state = Arc::new(State::default());
        let ends = [from.try_clone().expect("clone"), to.try_clone().expect("clone")];
        let told = Arc::clone(&state);
        thread::spawn(move || pass_on(from, to, &told));
        (Self { state, ends }, source, destination)
    }

    /// Reads no more until [`Relay::resume`].
    pub fn pause(&self) {
        self.state.paused.store(true, Ordering::SeqCst);
    }

    pub fn resume(&self) {
        self.state.paused.store(false, Ordering::SeqCst);
    }

    /// Breaks both connections.
    pub fn cut(&self) {
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    pub fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::SeqCst)
    }

    /// Whole chunks that went by.
    pub fn chunks(&self) -> u64 {
        self.state.chunks.load(Ordering::SeqCst)
    }

    /// Headers that said the chunk before was torn.
    pub fn torn(&self) -> u64 {
        self.state.torn.load(Ordering::SeqCst)
    }

    /// Waits until so many bytes went by.
    pub fn wait_for_bytes(&self, bytes: u64) {
        let begun = Instant::now();
        while self.bytes() < bytes {
            assert!(begun.elapsed() < PATIENCE, "only {} of {bytes} bytes came by", self.bytes());
            thread::sleep(Duration::from_micros(100));
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let mut reader = Chunks::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        while state.paused.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_micros(200));
        }
        let came = match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(came) => came,
        };
        reader.take(&buffer[..came], state);
        if to.write_all(&buffer[..came]).is_err() {
            break;
        }
        state.bytes.fetch_add(came as u64, Ordering::SeqCst);
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Finds the headers in a stream.
#[derive(Default)]
struct Chunks {
    head: Vec<u8>,
    skip: usize,
}

impl Chunks {
    fn take(&mut self, mut bytes: &[u8], state: &State) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let here = self.skip.min(bytes.len());
                (self.skip, bytes) = (self.skip - here, &bytes[here..]);
                if self.skip == 0 {
                    state.chunks.fetch_add(1, Ordering::SeqCst);
                }
                continue;
            }
            let here = (HEADER - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..here]);
            bytes = &bytes[here..];
            if let Ok(head) = <&[u8; HEADER]>::try_from(&self.head[..]) {
                let header = Header::decode(head).expect("the sender sends chunks");
                state.torn.fetch_add(header.torn_previous.into(), Ordering::SeqCst);
                self.skip = header.table() + header.payload as usize;
                self.head.clear();
            }
        }
    }
}
