//! The usual settings of both agents, for whoever has one group of vCPUs, memory and a dirty log: each field can be set otherwise
//! before the agent is started.
//!
//! Every contract is declared, at a millisecond or so: calibrate what matters (`crate::calibrate`). The guest describes
//! itself by its size alone, and a destination takes a guest of its own size; whoever has more to compare opens the
//! [`Lobby`] and connects with words of its own.

use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::time::Duration;

use switchover_core::config::{DestinationConfig, Layout, SourceConfig};
use switchover_core::id::{GuestInstance, Incarnation};
use switchover_core::units::Bytes;
use switchover_core::wire::version::Offer;

use super::{DestinationSetup, SourceSetup};
use crate::contracts::{Calibrated, SideContracts};
use crate::dirty::DirtySource;
use crate::faults::Faults;
use crate::guest::memory::GuestMemory;
use crate::journal::JournalFile;
use crate::link::connector::Target;
use crate::link::lobby::{Lobby, LobbySettings};
use crate::realtime::Wish;
use crate::wake::Wake;
use crate::words::Side;

fn layout(memory: &GuestMemory) -> Layout {
    Layout::new(Bytes::new(memory.len()), 1)
}

impl SourceSetup {
    /// The usual settings for a guest in `memory` with one vCPU port, that is to move to the destination at
    /// `address`. Nobody is called before the agent begins.
    pub fn new(
        memory: GuestMemory,
        dirty: impl DirtySource + 'static,
        journal: JournalFile,
        address: impl ToString,
    ) -> Self {
        let contracts = SideContracts::default().source(&Calibrated::default(), None);
        let target = Target {
            address: address.to_string(),
            journal: journal.summary().identity,
            descriptor: memory.len().to_le_bytes().to_vec(),
            offer: Offer::OURS,
            patience: Duration::from_secs(2),
            dead_after: Duration::from_secs(2),
        };
        SourceSetup {
            config: SourceConfig::new(layout(&memory), contracts),
            target,
            first: None,
            start: None,
            journal,
            memory,
            dirty: Box::new(dirty),
            verify: false,
            max_bandwidth: None,
            faults: Faults::default(),
            wish: Wish::for_loop(Side::Source),
            log: None,
        }
    }
}

impl DestinationSetup {
    /// Opens a door at `address`, and the usual settings for a guest that is to move into `memory` with one vCPU
    /// port. `wake` is that of the loop that will be started. Keep the door: dropped, it is closed.
    ///
    /// # Errors
    /// The address cannot be listened at, or no descriptor or thread is left.
    pub fn listen(
        address: impl ToSocketAddrs,
        memory: GuestMemory,
        journal: JournalFile,
        wake: Wake,
    ) -> io::Result<(Lobby, Self)> {
        let contracts = SideContracts::default().destination(&Calibrated::default(), None);
        let (incarnation, instance) = (Incarnation(getrandom::u64()?), GuestInstance(getrandom::u64()?));
        let room = memory.len();
        let fits = move |described: &[u8]| {
            if described == room.to_le_bytes() {
                Ok(())
            } else {
                Err(format!("this destination has room for a guest of exactly {room} bytes of memory"))
            }
        };
        let identity = journal.summary().identity;
        // Whoever was refused is told so itself.
        let settings = LobbySettings::new(identity, incarnation, Box::new(fits), Box::new(|_| {}));
        let (lobby, arrivals) = Lobby::open(TcpListener::bind(address)?, settings, wake)?;
        let setup = DestinationSetup {
            config: DestinationConfig::new(layout(&memory), instance, contracts),
            incarnation,
            arrivals,
            served: lobby.served(),
            journal,
            memory,
            faults: Faults::default(),
            wish: Wish::for_loop(Side::Destination),
            log: None,
        };
        Ok((lobby, setup))
    }
}
