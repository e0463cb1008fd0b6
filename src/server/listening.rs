//! The ports: all are taken before long work begins, and answer from then on.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tracing::info;

use super::{Ground, StartError, memory};
use crate::config::Config;
use crate::http::gate::{Gate, Starting};
use crate::http::origin::Over;
use crate::http::{self, App};
use crate::net::{self, NetOptions, Places, Tls};

/// Connections that the kernel keeps until they are accepted (it may keep fewer): when everyone comes
/// back at once, who finds no room there is reset.
const BACKLOG: u32 = 8192;

/// Most connections to the address that is for metrics alone.
const METRICS_CONNECTIONS_MAX: usize = 32;

/// Ports that are taken; nobody is answered yet.
pub(super) struct Ports {
    tls: Port,
    plain: Option<Port>,
    metrics: Option<Port>,
}

struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Ports {
    /// Takes all that the settings name.
    ///
    /// # Errors
    /// One cannot be listened on.
    pub(super) fn bind(config: &Config) -> Result<Self, StartError> {
        let also = |setting, address: Option<SocketAddr>| {
            let port = address.map(|address| Port::bind(setting, address));
            port.transpose()
        };
        Ok(Self {
            tls: Port::bind("listen", config.listen)?,
            plain: also("plain", config.plain)?,
            metrics: also("metrics_listen", config.metrics_listen)?,
        })
    }

    /// Answers on all of them: at first what a server answers that is starting.
    pub(super) fn answer(
        self,
        config: &Config,
        ground: &Ground,
        tls: &Tls,
        starting: &Arc<Starting>,
    ) -> Listening {
        let (service, metrics) = (Gate::default(), Gate::default());
        let (limits, counted) = (&ground.limits, &ground.metrics);
        let listen = |port: Port, tls, router: Router, places: &Places| {
            ground.tracker.spawn(net::serve(
                port.listener,
                tls,
                router,
                NetOptions::with_ping_interval(config.ping_interval),
                places.clone(),
                ground.tracker.clone(),
                ground.stop.clone(),
            ));
        };
        // One for all listeners: each connection costs an open file, whichever port it came to.
        let strangers_max = config.strangers_max.count(memory::bytes());
        let places = Places::new(
            config.connections_max,
            strangers_max,
            Arc::clone(limits),
            Arc::clone(counted),
        );
        let connections_max = i64::try_from(config.connections_max).unwrap_or(i64::MAX);
        counted.net.connections_max.set(connections_max);
        let address = self.tls.address;
        let mut addresses = vec![format!("https://{address}")];
        let router = |over| service.router(Arc::clone(starting), over);
        listen(self.tls, Some(tls.clone()), router(Over::Tls), &places);
        if let Some(plain) = self.plain {
            addresses.push(format!("http://{}", plain.address));
            listen(plain, None, router(Over::Plain), &places);
        }
        let metrics_address = self.metrics.map(|port| {
            let address = format!("http://{}", port.address);
            // Apart, so that a crowd of strangers does not keep the operator out.
            let places = Places::new(
                METRICS_CONNECTIONS_MAX,
                METRICS_CONNECTIONS_MAX,
                Arc::clone(limits),
                Arc::clone(counted),
            );
            let router = metrics.router(Arc::clone(starting), Over::Plain);
            listen(port, None, router, &places);
            address
        });
        for address in addresses.iter().chain(&metrics_address) {
            info!(address, "listening");
        }
        Listening {
            address,
            addresses,
            metrics_address,
            service,
            metrics,
        }
    }
}

/// Ports that answer. Clones are the same ones.
#[derive(Clone)]
pub(super) struct Listening {
    /// That of TLS.
    pub(super) address: SocketAddr,
    /// As URLs.
    pub(super) addresses: Vec<String>,
    /// As a URL.
    pub(super) metrics_address: Option<String>,
    service: Gate,
    metrics: Gate,
}

impl Listening {
    /// Has them answer with the whole service from now on.
    pub(super) fn open(&self, app: &Arc<App>) {
        let with_metrics = self.metrics_address.is_none();
        self.metrics.open(http::metrics_router(Arc::clone(app)));
        self.service
            .open(http::router(Arc::clone(app), with_metrics));
    }
}

impl Port {
    fn bind(setting: &'static str, address: SocketAddr) -> Result<Self, StartError> {
        let listener = net::bind(address).and_then(|socket| socket.listen(BACKLOG));
        let listener = listener.map_err(|source| StartError::Listen {
            setting,
            address,
            source,
        })?;
        let address = listener.local_addr().unwrap_or(address);
        Ok(Self { listener, address })
    }
}

/// Why an address cannot be listened on, and what helps.
pub fn refused_port(error: &io::Error, setting: &str) -> String {
    let flag = format!("--{}", setting.replace('_', "-"));
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!(
                "the address is already in use: another program has it; end that, or choose another port with {flag}"
            )
        }
        ErrorKind::PermissionDenied => format!(
            "permission denied: ports below 1024 need the capability CAP_NET_BIND_SERVICE, or choose another with {flag}"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "this machine does not have that address; 0.0.0.0 or [::] in {flag} is all that it has"
        ),
        _ => error.to_string(),
    }
}
