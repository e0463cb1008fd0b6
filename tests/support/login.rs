//! The parameters of a login, and the request that carries them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;

use super::{DEMO, PROJECT_TOKEN};

/// Percent-encodes all but ASCII letters and digits.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// How the token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Query,
    Header,
    Subprotocol,
}

/// The parameters of a login.
#[derive(Debug, Clone)]
pub struct Login {
    id: String,
    name: String,
    domain: String,
    resource: String,
    token: String,
    way: Way,
    more: Vec<(&'static str, String)>,
}

impl Login {
    /// User `id` of the domain `demo`, on the resource `web`, by project token in the query.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            name: format!("Name of {id}"),
            domain: DEMO.into(),
            resource: "web".into(),
            token: PROJECT_TOKEN.into(),
            way: Way::Query,
            more: Vec::new(),
        }
    }

    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    pub fn domain(mut self, domain: &str) -> Self {
        self.domain = domain.into();
        self
    }

    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = resource.into();
        self
    }

    pub fn token(mut self, token: &str) -> Self {
        self.token = token.into();
        self
    }

    pub fn way(mut self, way: Way) -> Self {
        self.way = way;
        self
    }

    /// Another parameter of the query.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// `receipts=…`
    pub fn receipts(self, mode: &str) -> Self {
        self.with("receipts", mode)
    }

    /// `after=…`
    pub fn after(self, id: u64) -> Self {
        self.with("after", &id.to_string())
    }

    /// The parameters, encoded.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![
            ("id", encode(&self.id)),
            ("name", encode(&self.name)),
            ("domain", encode(&self.domain)),
            ("resource", encode(&self.resource)),
        ];
        if self.way == Way::Query {
            pairs.push(("token", encode(&self.token)));
        }
        pairs.extend(self.more.iter().map(|(name, value)| (*name, encode(value))));
        pairs
    }

    pub fn query(&self) -> String {
        let pairs = self.pairs();
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join("&")
    }

    pub fn request(&self) -> Request {
        let mut request = upgrade_request(&self.query());
        let (name, value) = match self.way {
            Way::Query => return request,
            Way::Header => ("authorization", format!("Bearer {}", self.token)),
            Way::Subprotocol => (
                "sec-websocket-protocol",
                format!("relaybox, {}", self.token),
            ),
        };
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    }
}

/// An upgrade of `/ws` with this query, encoded already.
pub fn upgrade_request(query: &str) -> Request {
    let url = format!("wss://localhost/ws?{query}");
    url.into_client_request().unwrap()
}
