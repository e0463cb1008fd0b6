//! What the first start tells its operator.

use std::net::{Ipv4Addr, SocketAddr};

use crate::model::Domain;

/// What the first start made; told once and never again.
pub struct FirstStart {
    /// The project token of the domain `demo`.
    pub token: String,
    /// A complete login.
    pub login_url: String,
}

impl FirstStart {
    /// The token of this domain, and a login by it at this address.
    pub(super) fn new(domain: &Domain, token: String, address: SocketAddr) -> Self {
        let host = match address.ip() {
            // A client that tries one of its addresses alone may take that of IPv6.
            ip if ip.is_unspecified() && ip.is_ipv4() => Ipv4Addr::LOCALHOST.to_string(),
            ip if ip.is_unspecified() => "localhost".to_owned(),
            _ => url_host(address),
        };
        let port = address.port();
        let login_url = format!(
            "wss://{host}:{port}/ws?id=u1&name=Alice&domain={domain}&resource=web&token={token}"
        );
        Self { token, login_url }
    }
}

fn url_host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}
