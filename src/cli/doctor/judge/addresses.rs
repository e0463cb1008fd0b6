//! Listening addresses, and who can reach them.

use std::net::SocketAddr;

use super::super::facts::{Facts, Port};
use super::super::finding::{Check, Findings, Report, State};
use crate::config::origins::OriginPattern;
use crate::config::{Config, is_loopback};
use crate::server::refused_port;

pub(super) fn judge(config: &Config, facts: &Facts, out: &mut Findings) {
    if let (Some(address), Some(tls)) = (config.listen, &facts.tls) {
        let out = &mut out.on(Check::Port);
        port("listen", address, &tls.port, facts, out);
    }
    if let (Some(address), Some(tried)) = (config.plain, &facts.plain) {
        let out = &mut out.on(Check::PlainPort);
        port("plain", address, tried, facts, out);
    }
    if let (Some(address), Some(tried)) = (config.metrics_listen, &facts.metrics) {
        let out = &mut out.on(Check::MetricsPort);
        port("metrics_listen", address, tried, facts, out);
    }
    reach(config, out);
    plain(config, out);
    history_open(config, out);
    metrics(config, out);
}

fn port(setting: &str, address: SocketAddr, tried: &Port, facts: &Facts, out: &mut Report) {
    match tried {
        Port::Any => out.warning(format!(
            "port 0 takes another port at each start: give clients one that stays, with --{}",
            setting.replace('_', "-")
        )),
        Port::Free if facts.server_runs() => out.warning(format!(
            "a server runs, but nothing listens on {address}: it was started with other settings"
        )),
        Port::Free => out.ok(format!("{address} is free")),
        Port::Answers | Port::Shows(_) => {
            out.ok(format!("the running server answers on {address}"));
        }
        Port::Other(why) => out.problem(format!(
            "a server runs, but cannot be talked to at {address}: {why}; another program may have \
             the port, or the server take no more connections"
        )),
        Port::Taken(error) => {
            let advice = refused_port(error, setting);
            out.problem(format!("{address} cannot be listened on: {advice}"));
        }
    }
}

fn reach(config: &Config, out: &mut Findings) {
    let out = &mut out.on(Check::Listen);
    let Some(listen) = config.listen else {
        return;
    };
    match config.plain {
        _ if !is_loopback(listen) => out.ok(format!(
            "other machines may connect to {listen}, where firewalls let them"
        )),
        None => out.warning(format!(
            "only programs on this machine can connect to {listen}: for others, give --listen \
             '[::]:{}'",
            listen.port()
        )),
        Some(_) => out.ok(format!(
            "only programs on this machine can connect to {listen}: a proxy, it seems"
        )),
    }
}

fn plain(config: &Config, out: &mut Findings) {
    let out = &mut out.on(Check::Plain);
    match config.plain {
        Some(address) if !is_loopback(address) => out.warning(format!(
            "tokens and messages pass unencrypted to {address}: leave that to a proxy on this \
             machine (--plain 127.0.0.1:{}), or to a network that nobody else is in",
            address.port()
        )),
        Some(address) => out.ok(format!(
            "what comes unencrypted to {address} does not leave this machine"
        )),
        None => out.ok("everything is encrypted"),
    }
}

/// A hint at most: metrics are not secret everywhere.
fn metrics(config: &Config, out: &mut Findings) {
    let apart = config.metrics_listen;
    let shared = config.addresses().filter(|_| apart.is_none());
    let mut addresses = apart.into_iter().chain(shared);
    let says = match addresses.find(|address| !is_loopback(*address)) {
        Some(address) if apart.is_some() => format!(
            "whoever reaches {address} reads /metrics without a token: that should be a network of \
             your own"
        ),
        Some(address) => format!(
            "whoever reaches {address} reads /metrics without a token (numbers of sessions and \
             messages, no names), as is the default: --metrics-listen 127.0.0.1:9090 keeps it \
             inside"
        ),
        None if apart.is_none() && config.plain.is_some() => {
            "programs on this machine read /metrics, and whoever comes through a proxy that passes \
             it on: --metrics-listen 127.0.0.1:9090 keeps it inside"
                .to_owned()
        }
        None => "only programs on this machine read /metrics".to_owned(),
    };
    out.on(Check::Metrics).ok(says);
}

fn history_open(config: &Config, out: &mut Findings) {
    let out = &mut out.on(Check::HistoryOpen);
    if !config.history_open {
        out.ok("reading the history takes a token");
        return;
    }
    let mut addresses = config.addresses();
    let origins = &config.history_origins;
    let by_all_pages = origins.contains(&OriginPattern::Any);
    let pages = match origins.is_empty() {
        true => "but no web page of another origin does",
        false if by_all_pages => {
            "and so does every web page that somebody there opens: cors_origins has `*`"
        }
        false => "and so do web pages of cors_origins that somebody there opens",
    };
    let (state, says) = match addresses.find(|address| !is_loopback(*address)) {
        Some(address) => (
            State::Warning,
            format!(
                "whoever reaches {address} reads every mailbox without a token, {pages}. Is that \
                 network trusted? Else take history_open out of the settings"
            ),
        ),
        None => (
            match by_all_pages {
                true => State::Warning,
                false => State::Ok,
            },
            format!(
                "every program on this machine, and whatever it passes on, reads the history \
                 without a token, {pages}"
            ),
        ),
    };
    out.add(state, says);
}
