//! Tries the ports: listens on them where no server runs, connects to them where one does.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::super::facts::{Port, Server};
use crate::config::Config;
use crate::net;
use crate::net::inspect::Certificate;
use crate::net::probe::{ProbeError, shown_certificate};

/// How long the server may take to answer on this machine.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// The ports of `listen`, `plain` and `metrics_listen`.
pub(super) fn probe(
    config: &Config,
    server: &Server,
) -> anyhow::Result<(Port, Option<Port>, Option<Port>)> {
    let runs = !matches!(server, Server::None);
    let listen = match (config.listen.port(), runs) {
        (0, _) => Port::Any,
        (_, true) => beside_server(config.listen)?,
        (_, false) => listen_on(config.listen),
    };
    let without_tls = |address: SocketAddr| match (address.port(), runs) {
        (0, _) => Port::Any,
        (_, true) => plain_beside_server(address),
        (_, false) => listen_on(address),
    };
    let plain = config.plain.map(without_tls);
    Ok((listen, plain, config.metrics_listen.map(without_tls)))
}

fn listen_on(address: SocketAddr) -> Port {
    match net::bind(address) {
        Ok(_) => Port::Free,
        Err(error) => Port::Taken(error),
    }
}

/// Where a server that listens on all addresses can be connected to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        // Of IPv6 as well, as far as there is any.
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

fn beside_server(address: SocketAddr) -> anyhow::Result<Port> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let shown = runtime.block_on(shown_certificate(reachable(address), ANSWER_DEADLINE));
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
