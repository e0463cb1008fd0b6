//! The way to a server, for many connections.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use crate::support::tls::{self, Stream};
use crate::support::{Server, soon};

/// A receive buffer of a device that has next to no room.
const NARROW_BYTES: u32 = 4096;

/// The way to a server: its address, and trust in its certificate, set up once.
#[derive(Clone)]
pub struct Door {
    pub address: SocketAddr,
    tls: TlsConnector,
}

impl Door {
    pub fn of(server: &Server) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(tls::roots(&server.home.ca()))
            .with_no_client_auth();
        Self {
            address: server.address.parse().unwrap(),
            tls: TlsConnector::from(Arc::new(config)),
        }
    }

    pub async fn stream(&self, narrow: bool) -> Stream {
        let socket = TcpSocket::new_v4().unwrap();
        if narrow {
            socket.set_recv_buffer_size(NARROW_BYTES).unwrap();
        }
        let name = ServerName::try_from("localhost").unwrap();
        let opening = async {
            let tcp = socket.connect(self.address).await?;
            tcp.set_nodelay(true)?;
            self.tls.connect(name, tcp).await
        };
        Box::new(soon("a TLS connection", opening).await.unwrap())
    }
}
