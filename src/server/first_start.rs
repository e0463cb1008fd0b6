//! What the first start tells its operator.

use std::net::SocketAddr;

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
        let host = if address.ip().is_unspecified() {
            "localhost".into()
        } else {
            url_host(address)
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
