//! The ports: all are bound before long work begins, and answer from then on.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tracing::info;

use super::error::StartError;
use super::ground::Ground;
use super::memory;
use crate::config::Config;
use crate::http;
use crate::http::gate::{Gate, Starting};
use crate::http::origin::Transport;
use crate::net::{self, ConnectionPermits, NetOptions, Tls};
use crate::state::State;

/// Connections queued by the kernel until they are accepted; it may cap the number. When all
/// clients reconnect at once, those beyond it are reset.
const BACKLOG: u32 = 8192;

/// Most connections to a metrics-only listener.
const METRICS_CONNECTIONS_MAX: usize = 32;

/// Bound ports that do not answer yet.
pub(super) struct Ports {
    /// Ports of the service; the first one is shown to clients.
    service: Vec<Port>,
    metrics: Option<Port>,
}

struct Port {
    listener: TcpListener,
    endpoint: Endpoint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) transport: Transport,
    pub(super) address: SocketAddr,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Tls => "https",
            Transport::Plain => "http",
        };
        write!(f, "{scheme}://{}", self.address)
    }
}

impl Ports {
    /// Binds all ports of the settings.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub(super) fn bind(config: &Config) -> Result<Self, StartError> {
        let tls = bind("listen", Transport::Tls, config.listen)?;
        let plain = bind("plain", Transport::Plain, config.plain)?;
        Ok(Self {
            service: tls.into_iter().chain(plain).collect(),
            metrics: bind("metrics_listen", Transport::Plain, config.metrics_listen)?,
        })
    }

    /// Answers on all of them, at first with "starting".
    pub(super) fn answer(
        self,
        config: &Config,
        ground: &Ground,
        tls: Option<&Tls>,
        starting: &Arc<Starting>,
    ) -> Listening {
        let (service, metrics) = (Gate::default(), Gate::default());
        let (limits, counted) = (&ground.limits, &ground.metrics);
        let listen = |port: Port, gate: &Gate, permits: &ConnectionPermits| {
            let Port { listener, endpoint } = port;
            info!(address = %endpoint, "listening");
            let tls = tls.filter(|_| endpoint.transport == Transport::Tls);
            ground.tracker.spawn(net::serve(
                listener,
                tls.cloned(),
                gate.router(Arc::clone(starting), endpoint.transport),
                NetOptions::with_ping_interval(config.ping_interval),
                permits.clone(),
                ground.tracker.clone(),
                ground.stop.clone(),
            ));
            endpoint
        };
        let permits_of = |connections_max, strangers_max| {
            let (limits, counted) = (Arc::clone(limits), Arc::clone(counted));
            ConnectionPermits::new(connections_max, strangers_max, limits, counted)
        };
        // One pool for all listeners: each connection costs an open file, whatever its port.
        let strangers_max = config.strangers_max.count(memory::bytes());
        let permits = permits_of(config.connections_max, strangers_max);
        let connections_max = i64::try_from(config.connections_max).unwrap_or(i64::MAX);
        counted.net.connections_max.set(connections_max);
        let ports = self.service.into_iter();
        let endpoints = ports.map(|port| listen(port, &service, &permits)).collect();
        let metrics_endpoint = self.metrics.map(|port| {
            // A pool of their own: a crowd of strangers must not keep the operator out.
            let permits = permits_of(METRICS_CONNECTIONS_MAX, METRICS_CONNECTIONS_MAX);
            listen(port, &metrics, &permits)
        });
        Listening {
            endpoints,
            metrics_endpoint,
            service,
            metrics,
        }
    }
}

/// Ports that answer. Clones share them.
#[derive(Clone)]
pub(super) struct Listening {
    /// Endpoints of the service; at least one.
    pub(super) endpoints: Vec<Endpoint>,
    /// Endpoint of a metrics-only listener.
    pub(super) metrics_endpoint: Option<Endpoint>,
    service: Gate,
    metrics: Gate,
}

impl Listening {
    /// Switches all ports to the service of this state.
    pub(super) fn open(&self, state: &State) {
        let with_metrics = self.metrics_endpoint.is_none();
        self.metrics.open(http::metrics_router(state.clone()));
        self.service.open(http::router(state.clone(), with_metrics));
    }
}

fn bind(
    setting: &'static str,
    transport: Transport,
    address: Option<SocketAddr>,
) -> Result<Option<Port>, StartError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = net::bind(address).and_then(|socket| socket.listen(BACKLOG));
    let listener = listener.map_err(|source| StartError::Listen {
        setting,
        address,
        source,
    })?;
    let address = listener.local_addr().unwrap_or(address);
    let endpoint = Endpoint { transport, address };
    Ok(Some(Port { listener, endpoint }))
}
