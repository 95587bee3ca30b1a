//! Addresses as they are written: a host's name or number and a port. Nothing is looked up here.

use std::fmt;
use std::str::FromStr;

/// A host and a port, not yet looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name, or an address; without the brackets of an IPv6 address.
    pub host: String,
    /// The port; 0 lets the system choose one to listen on.
    pub port: u16,
}

/// Why an address could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No port.
    #[error("`{0}` has no port; write HOST:PORT, as in `127.0.0.1:7000`")]
    NoPort(String),
    /// No host.
    #[error(
        "`{0}` has no host; write HOST:PORT, as in `127.0.0.1:7000` (`0.0.0.0` listens on all addresses)"
    )]
    NoHost(String),
    /// The port is none.
    #[error("`{port}` in `{given}` is not a port; write a number from 0 to 65535 after the last `:`")]
    BadPort {
        /// What was written.
        given: String,
        /// What is no port.
        port: String,
    },
    /// An IPv6 address whose end is not to be seen.
    #[error("`{0}` has more than one `:`; write an IPv6 address in brackets, as in `[::1]:7000`")]
    Brackets(String),
    /// A heartbeat target without its scheme.
    #[error("`{0}` does not say how beats travel; write udp:HOST:PORT, as in `udp:127.0.0.1:7100`")]
    NoScheme(String),
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(given: &str) -> Result<Self, AddressError> {
        let (host, port) = given.rsplit_once(':').ok_or_else(|| AddressError::NoPort(given.into()))?;
        let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(Some(inner)) => inner,
            Some(None) => return Err(AddressError::Brackets(given.into())),
            None if host.contains(':') => return Err(AddressError::Brackets(given.into())),
            None => host,
        };
        if host.is_empty() {
            return Err(AddressError::NoHost(given.into()));
        }
        let bad_port = |_| AddressError::BadPort { given: given.into(), port: port.into() };
        Ok(HostPort { host: host.into(), port: port.parse().map_err(bad_port)? })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where heartbeats go: `udp:HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeartbeatTarget(pub HostPort);

impl FromStr for HeartbeatTarget {
    type Err = AddressError;

    fn from_str(given: &str) -> Result<Self, AddressError> {
        let address = given.strip_prefix("udp:").ok_or_else(|| AddressError::NoScheme(given.into()))?;
        let target: HostPort = address.parse()?;
        if target.port == 0 {
            return Err(AddressError::BadPort { given: given.into(), port: "0".into() });
        }
        Ok(HeartbeatTarget(target))
    }
}

impl fmt::Display for HeartbeatTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "udp:{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_are_written() {
        for text in ["127.0.0.1:7000", "host-b.example:0", "[::1]:65535"] {
            assert_eq!(text.parse::<HostPort>().expect(text).to_string(), text);
        }
        assert_eq!(
            "udp:[::1]:7100".parse::<HeartbeatTarget>().expect("target").to_string(),
            "udp:[::1]:7100"
        );
    }

    #[test]
    fn a_bad_address_says_what_would_be_right() {
        for (text, says) in [
            ("localhost", "no port"),
            (":7000", "no host"),
            ("::1:7000", "in brackets"),
            ("[::1:7000", "in brackets"),
            ("localhost:", "not a port"),
            ("localhost:http", "`http`"),
            ("localhost:65536", "from 0 to 65535"),
        ] {
            let error = text.parse::<HostPort>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        for (text, says) in
            [("127.0.0.1:7100", "udp:HOST:PORT"), ("udp:a:0", "`0`"), ("tcp:a:1", "udp:HOST:PORT")]
        {
            let error = text.parse::<HeartbeatTarget>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
