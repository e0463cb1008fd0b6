//! Whether the server listens on the addresses of its host names.

use std::net::SocketAddr;

use super::super::facts::{Address, Facts, Host};
use super::super::finding::{Check, Findings, Report};
use crate::config::{self, Config};

pub(super) fn judge(config: &Config, facts: &Facts, out: &mut Findings) {
    let Some(listen) = config.listen else {
        return;
    };
    let out = &mut out.on(Check::HostAddresses);
    for host in &facts.hosts {
        match &host.addresses {
            Ok(addresses) => one(listen, host, addresses, out),
            // The clients' resolver may know more; this machine may have none.
            Err(why) => out.ok(format!(
                "no address of {} (--host) is known here: {why}; clients need one",
                host.name
            )),
        }
    }
}

fn one(listen: SocketAddr, host: &Host, addresses: &[Address], out: &mut Report) {
    let name = &host.name;
    let (mut served, mut elsewhere) = (Vec::new(), Vec::new());
    for Address { ip, is_own } in addresses {
        match config::is_listened_on(listen.ip(), *ip) {
            _ if !is_own => elsewhere.push(ip.to_string()),
            true => served.push(ip.to_string()),
            // Usually an entry of /etc/hosts, used only by this machine's own programs.
            false if ip.is_loopback() => {}
            false => out.warning(format!(
                "{name} (--host) leads to {ip}, and {listen} does not listen there: who tries that \
                 address first waits or gives up; --listen '[::]:{}' is for all addresses of this \
                 machine",
                listen.port()
            )),
        }
    }
    if !served.is_empty() {
        let served = served.join(" and ");
        let says = format!("{name} leads to {served}, which {listen} listens on");
        out.ok(says);
    }
    if !elsewhere.is_empty() {
        let elsewhere = elsewhere.join(" and ");
        out.ok(format!(
                "{name} leads to {elsewhere}, which this machine does not have: a proxy or NAT there has to lead here"
            ));
    }
}
