//! Takes an address to listen on.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::TcpSocket;

/// A socket that has this address and does not listen yet. `[::]` is every address of both families, whatever the
/// system's own default is, and where there is no IPv6, every address of IPv4.
///
/// # Errors
/// The system's.
pub fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    match take(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && lacks_ipv6(&error) => {
            take((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        taken => taken,
    }
}

/// Whether this machine has IPv6 at all. Where it is switched off (the sysctl `disable_ipv6`), `[::]` can be listened on
/// all the same, and is reached by IPv4 alone.
pub fn has_ipv6() -> bool {
    std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn take(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        set_ipv6_v6only(&socket, false)?;
    }
    // A restart must not wait for what the last server's connections leave in the kernel.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn lacks_ipv6(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_system_without_ipv6_is_listened_on_without_it() {
        for (errno, lacks) in [
            (Errno::AFNOSUPPORT, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::ADDRINUSE, false),
            (Errno::ACCESS, false),
        ] {
            assert_eq!(lacks_ipv6(&errno.into()), lacks, "{errno}");
        }
    }
}
