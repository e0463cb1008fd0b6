//! Tries the ports: binds them if no server runs, connects to them if one does.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::super::super::runtime;
use super::super::facts::Port;
use crate::net;
use crate::net::inspect::Certificate;
use crate::net::probe::{ProbeError, presented_certificate};

/// Time limit for the server to answer on this machine.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Tries a port, that of `listen` with TLS; `runs`: whether a server is running.
pub(super) fn probe(address: SocketAddr, runs: bool, tls: bool) -> anyhow::Result<Port> {
    Ok(match (address.port(), runs) {
        (0, _) => Port::Any,
        (_, false) => listen_on(address),
        (_, true) if tls => tls_beside_server(address)?,
        (_, true) => plain_beside_server(address),
    })
}

fn listen_on(address: SocketAddr) -> Port {
    match net::bind(address) {
        Ok(_) => Port::Free,
        Err(error) => Port::Taken(error),
    }
}

/// An address at which a server that listens on all addresses can be reached.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        // Also for [::], which accepts IPv4 connections as well.
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

fn tls_beside_server(address: SocketAddr) -> anyhow::Result<Port> {
    let shown = runtime::run(presented_certificate(reachable(address), ANSWER_DEADLINE))?;
    Ok(match shown {
        Ok(der) => match Certificate::parse(Path::new("its answer"), &der) {
            Ok(certificate) => Port::Shows(Box::new(certificate)),
            Err(error) => Port::Other(error.to_string()),
        },
        Err(ProbeError::Connect(error)) if is_refused(&error) => listen_on(address),
        Err(error) => Port::Other(error.to_string()),
    })
}

fn plain_beside_server(address: SocketAddr) -> Port {
    match TcpStream::connect_timeout(&reachable(address), ANSWER_DEADLINE) {
        Ok(_) => Port::Answers,
        Err(error) if is_refused(&error) => listen_on(address),
        Err(error) => Port::Other(error.to_string()),
    }
}

fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}
