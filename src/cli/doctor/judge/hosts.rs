//! Whether the server listens for the addresses that its names have.

use std::net::{IpAddr, SocketAddr};

use super::super::facts::{Facts, Host};
use super::super::finding::{Check, Findings};
use super::is_loopback;
use crate::config::Config;

pub(super) fn judge(config: &Config, facts: &Facts, out: &mut Findings) {
    let Some(front) = Front::of(config, facts) else {
        return;
    };
    for host in &facts.hosts {
        match &host.addresses {
            Ok(addresses) => front.judge(host, addresses, out),
            Err(why) => out.warning(
                Check::HostAddresses,
                format!(
                    "this machine's resolver knows no address of {} (--host): {why}; clients \
                     that ask the same find no server",
                    host.name
                ),
            ),
        }
    }
}

/// Where clients connect to that look the server's names up.
struct Front {
    setting: &'static str,
    address: SocketAddr,
    has_ipv4: bool,
    has_ipv6: bool,
}

impl Front {
    /// `None` where that is a proxy in front of the server.
    fn of(config: &Config, facts: &Facts) -> Option<Self> {
        let open = config.addresses().find(|address| !is_loopback(*address));
        let alone = config.listen.filter(|_| config.plain.is_none());
        let address = open.or(alone)?;
        let setting = match config.listen == Some(address) {
            true => "listen",
            false => "plain",
        };
        let (has_ipv4, has_ipv6) = match address.ip().to_canonical() {
            IpAddr::V4(_) => (true, false),
            IpAddr::V6(ip) if ip.is_unspecified() => (true, facts.has_ipv6),
            IpAddr::V6(_) => (false, true),
        };
        Some(Self {
            setting,
            address,
            has_ipv4,
            has_ipv6,
        })
    }

    fn judge(&self, host: &Host, addresses: &[IpAddr], out: &mut Findings) {
        let check = Check::HostAddresses;
        let first = |is_of: fn(&IpAddr) -> bool| {
            let mut addresses = addresses.iter().map(IpAddr::to_canonical);
            addresses.find(is_of)
        };
        let found = [
            (first(IpAddr::is_ipv4), "IPv4", self.has_ipv4),
            (first(IpAddr::is_ipv6), "IPv6", self.has_ipv6),
        ];
        let mut served = Vec::new();
        for (address, family, is_served) in found {
            match address {
                Some(address) if is_served => served.push(format!("{address} ({family})")),
                Some(address) => out.warning(check, self.missed(host, address, family)),
                None => {}
            }
        }
        if !served.is_empty() {
            let (name, served) = (&host.name, served.join(" and "));
            let front = self.address;
            out.ok(
                check,
                format!("{name} leads to {served}, which {front} is for"),
            );
        }
    }

    fn missed(&self, host: &Host, address: IpAddr, family: &str) -> String {
        let Self {
            setting,
            address: front,
            ..
        } = self;
        let name = &host.name;
        let (port, is_for_all) = (front.port(), front.ip().is_unspecified() && front.is_ipv6());
        let says =
            format!("{name} (--host) leads to {address}, and {front} is not reached by {family}");
        let advice = match is_for_all {
            true => format!("see to it that this machine has {family}, and start the server again"),
            false => format!("--{setting} '[::]:{port}' is for both families"),
        };
        format!(
            "{says}: who tries that address first waits or gives up; {advice}, or take the address \
             out of DNS"
        )
    }
}
