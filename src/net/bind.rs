//! Binds a listening address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::TcpSocket;

/// A socket bound to this address, not yet listening. `[::]` covers both families, whatever the system's default, and
/// falls back to every IPv4 address on a machine without IPv6.
///
/// # Errors
/// The system's error.
pub fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    match take(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && is_absent(&error) => {
            take((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        taken => taken,
    }
}

/// Whether this is an address of this machine. No IPv6 address is while IPv6 is switched off (the sysctl
/// `disable_ipv6`): `[::]` can still be listened on, and is reached over IPv4 alone.
pub fn is_own(address: IpAddr) -> bool {
    // Any other refusal means that the address exists: a link-local address lacks its interface here.
    !matches!(UdpSocket::bind((address, 0)), Err(error) if is_absent(&error))
}

fn take(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        set_ipv6_v6only(&socket, false)?;
    }
    // A restart must not wait for the kernel to forget the previous server's connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Whether the machine lacks this address, or its whole address family.
fn is_absent(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_system_without_ipv6_is_listened_on_without_it() {
        for (errno, is_so) in [
            (Errno::AFNOSUPPORT, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::ADDRINUSE, false),
            (Errno::ACCESS, false),
        ] {
            assert_eq!(is_absent(&errno.into()), is_so, "{errno}");
        }
    }

    #[test]
    fn an_address_of_others_is_not_this_machines() {
        for (address, is_so) in [
            ("127.0.0.1", true),
            ("192.0.2.7", false),
            ("2001:db8::2", false),
        ] {
            assert_eq!(is_own(address.parse().unwrap()), is_so, "{address}");
        }
    }
}
