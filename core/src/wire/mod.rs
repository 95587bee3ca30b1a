//! What crosses the link.
//!
//! Two connections. *Control* carries [`message`]s in [`frame`]s, small and bounded;
//! *bulk* carries [`chunk`]s of pages and state. Control never queues behind bulk.
//!
//! ```text
//!  source                                          destination
//!    | control:  Hello ->            <- Welcome         |
//!    |           Ping, RoundEnd ->   <- Pong            |
//!    |           Stopping, Sealed -> <- Ready           |
//!    |           Go ->               <- Running|Refused|Lost|Pending|Stranger
//!    |           Query, Abort, Fin ->                   |
//!    | bulk:     chunk chunk chunk ... ->               |
//! ```

pub mod chunk;
pub mod crc;
pub mod frame;
pub mod message;
pub mod version;
