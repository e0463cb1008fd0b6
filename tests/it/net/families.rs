//! Both families of addresses on one.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

#[tokio::test]
async fn all_addresses_are_those_of_both_families() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let socket = relaybox::net::bind("[::]:0".parse().unwrap()).unwrap();
    let server = Server::on(socket.listen(16).unwrap(), places(100), None, options());
    let port = server.address.port();
    for address in [
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = "GET /peer HTTP/1.1\r\nhost: x\r\n\r\n";
        // One of IPv4 is one of IPv4 to everybody.
        let end = format!("\r\n\r\n{}", address.ip());
        ask(&mut stream, request, &end).await;
    }
    server.stop().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = relaybox::net::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
