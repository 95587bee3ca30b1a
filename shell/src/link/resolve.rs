//! Looking a name up, without waiting longer than one wants to: the system's resolver has a patience of its own, and cannot
//! be interrupted.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// The addresses of `name`, for which a thread of its own waits. One that is stuck in the resolver is left to itself, and
/// ends when that gives up.
///
/// # Errors
/// What the resolver says; `TimedOut` if it says nothing within `patience`.
pub fn resolve<N>(name: N, patience: Duration) -> io::Result<Vec<SocketAddr>>
where
    N: ToSocketAddrs + Send + 'static,
{
    let (tell, told) = sync_channel(1);
    std::thread::Builder::new().name("resolver".into()).spawn(move || {
        // Nobody waits any more if it took too long.
        let _ = tell.send(name.to_socket_addrs().map(Iterator::collect));
    })?;
    told.recv_timeout(patience).unwrap_or_else(|_| {
        let text = format!("the resolver said nothing within {patience:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    struct Stuck;

    impl ToSocketAddrs for Stuck {
        type Iter = std::vec::IntoIter<SocketAddr>;
        fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
            std::thread::sleep(Duration::from_secs(60));
            Ok(Vec::new().into_iter())
        }
    }

    #[test]
    fn a_resolver_that_is_stuck_is_not_waited_for() {
        let begun = Instant::now();
        let error = resolve(Stuck, Duration::from_millis(20)).expect_err("nothing was said");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("the resolver said nothing"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn an_address_is_its_own() {
        let found = resolve("127.0.0.1:7", Duration::from_secs(20)).expect("no name at all");
        assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 7))]);
    }
}
