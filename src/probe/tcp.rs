//! A connection to a name, over any of its addresses.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::budget::Budget;

/// The first connection that can be made in the time that is left.
pub(super) fn connect(to: impl ToSocketAddrs, budget: &Budget) -> Result<TcpStream, String> {
    let found = to.to_socket_addrs().map_err(|error| format!("look up its name: {error}"))?;
    first_in_time(
        found,
        || budget.left(),
        |it, left| {
            TcpStream::connect_timeout(it, left).map_err(|error| format!("connect: {error}"))
        },
    )
}

/// What the first of the name's addresses gives, in the time that is left for all.
fn first_in_time<T>(
    addresses: impl Iterator<Item = SocketAddr>,
    left: impl Fn() -> Option<Duration>,
    connects: impl Fn(&SocketAddr, Duration) -> Result<T, String>,
) -> Result<T, String> {
    let mut last = None;
    for address in addresses {
        let Some(left) = left() else { break };
        match connects(&address, left) {
            Ok(made) => return Ok(made),
            Err(reason) => last = Some(reason),
        }
    }
    Err(last.unwrap_or_else(|| "no address in time".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn all_addresses_of_a_name_share_one_timeout() {
        // Each address had the whole timeout: a name with five took five times as long.
        let addresses = (1..=5).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let spent = Cell::new(Duration::ZERO);
        let left = || Duration::from_secs(2).checked_sub(spent.get()).filter(|it| !it.is_zero());
        let hangs_at_first = |it: &SocketAddr, left: Duration| {
            assert!(!left.is_zero(), "the operating system refuses to wait for nothing");
            spent.set(spent.get() + left.min(Duration::from_millis(1_500)));
            if it.port() == 3 { Ok(()) } else { Err("hangs".to_owned()) }
        };
        assert_eq!(first_in_time(addresses, left, hangs_at_first), Err("hangs".to_owned()));
        assert_eq!(spent.get(), Duration::from_secs(2));
    }
}
