//! The table of all settings, in the order of `--help` and docs/SETTINGS.md. To add a setting, add a
//! row: it becomes a field of [`Config`], or in `limits` sets the field of [`LimitOptions`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

use super::declared_token::{DeclaredToken, declared_token};
use super::error::ConfigError;
use super::limits::{
    CONNECTIONS, CONTENT_BYTES_MAX, DISK_BYTES_MAX, GIB, HOUR, KIB, MIB, MS, SECOND, YEAR,
};
use super::logging::{LogFormat, log_filter, log_format};
use super::origins::{self, OriginPattern};
use super::parse::{
    address, byte_rate, count, directory, disk_free, duration, message_type, network, networks,
    or_off, rate, retention, server_name, size, socket, sorted, strangers, switch,
};
use super::raw::Raws;
use super::setting::TakesEffect::{Reload, Restart};
use super::setting::{Setting, env, flag, settings};
use super::source::Source;
use crate::model::{
    DiskFloor, LimitOptions, MessageType, Networks, PerDomain, Rate, Retention, StrangersMax,
};

settings! {
    config {
        listen: Option<SocketAddr> = (one(or_off(address)), "ADDR:PORT", "[::]:8443", Restart)
            "Address of the TLS service (https, wss): `[::]` is all, of IPv4 as well; port 0 takes a free one; `off` where a proxy does TLS, and `plain` is the only one: no certificate is made or read then";
        plain: Option<SocketAddr> = (one(or_off(address)), "ADDR:PORT", "off", Restart)
            "The same service without TLS, for a reverse proxy or a benchmark; `off` for none";
        data: PathBuf = (one(directory), "DIR", "./data", Restart)
            "Data directory: everything but the certificates";
        socket: Option<PathBuf> = (one(socket), "PATH", "auto", Restart)
            "Socket of the running server for the command line; `auto`: relaybox.sock in the data directory or, where none can be made there, one without a file";
        certs: PathBuf = (one(directory), "DIR", "./certs", Restart)
            "Directory of cert.pem and key.pem; missing ones are made on first start";
        host: Vec<String> = (list(server_name), "NAME", "", Restart)
            "Name or address of the server: in the made certificate, beside localhost and the loopback addresses, and one that `history_open` answers to";
        token: Vec<DeclaredToken> = (list(declared_token), "DOMAIN=TOKEN", "", Reload)
            "Declares a project token, for containers and tests: 16 random bytes or more. The list of processes shows this flag to every user of the machine; the variable, the file that RELAYBOX_TOKEN_FILE names (one token a line) and the settings file do not";
        history_open: bool = (one(switch), "BOOL", "false", Reload)
            "Opens GET /message-log to callers without a token, for a network that is trusted; pages in its browsers are refused, but of the server's own origin and of `cors_origins` where those are set";
        cors_origins: Vec<OriginPattern> = (list(origins::pattern), "ORIGIN", "*", Reload)
            "Origins whose scripts may use the HTTP endpoints: `https://app.example.com`, `https://*.example.com`, `*` for all. The default lets nobody's scripts read a history without a token";
        ws_origins: Vec<OriginPattern> = (list(origins::pattern), "ORIGIN", "", Reload)
            "Origins whose pages may log in at /ws, beside the server's own: `https://app.example.com`, `https://*.example.com`, `capacitor://localhost`, `moz-extension://*` (every app of that scheme), `file://`, `null` (any page of a file or a sandbox); all where none is given. Logins with `Authorization` and those without `Origin`, which are no page's, always may";
        types: Vec<MessageType> = (list(message_type).map(sorted), "NUMBER", "", Reload)
            "Message types beside 10, 20, 30, 40 and 100";
        // A message is held in memory whole by the sessions of its sender and its recipients, and
        // must fit into a journal segment many times.
        content_bytes_max: usize = (one(size(KIB..=CONTENT_BYTES_MAX)), "SIZE", "256KiB", Restart)
            "Largest JSON text of a message's content";
        // JSON parsers stop at 64, 512 or 1,000 levels, and a page of the history adds 3.
        content_depth_max: usize = (one(count(1..=1000)), "N", "60", Reload)
            "How deep arrays and objects of a message's content may be nested; some readers of JSON take no more than 64 levels";
        // Each costs memory and an open file.
        sessions_max: usize = (one(count(1..=1_000_000)), "N", "50000", Reload)
            "Most sessions on the server; never more than the open-file limit allows, nor than all but a 64th (at least 8) of connections_max";
        // Every message to a user is written to each of its sessions.
        sessions_per_user_max: usize = (one(count(1..=10_000)), "N", "32", Reload)
            "Most sessions of one user";
        // A little more than the sessions, for logins and HTTP.
        connections_max: usize = (one(count(CONNECTIONS)), "N", "51000", Restart)
            "Most connections of every kind; never more than the open-file limit allows. Beyond it the oldest that has not logged in gives way";
        strangers_max: StrangersMax = (one(strangers(CONNECTIONS)), "N", "auto", Restart)
            "Most connections that have not logged in; beyond it the oldest gives way. `auto`: what an eighth of the memory has room for, at least 1024";
        // Common proxies cut connections that are idle for 60 s; a dead peer is detected after two
        // intervals.
        ping_interval: Duration = (one(duration(100 * MS..=HOUR)), "DURATION", "25s", Restart)
            "Between two pings of an idle session; a peer that is silent for two after one, or for three after a message, is closed";
        // The memory cost of a slow reader.
        outbox_bytes_max: usize = (one(size(4 * KIB..=64 * MIB)), "SIZE", "256KiB", Reload)
            "Most bytes that wait for one slow reader; beyond it is served from the store";
        // A user who is away would never see a message that is gone within a second.
        retention: Retention = (per_domain(retention(SECOND..=100 * YEAR)), "[DOMAIN=]DURATION", "", Reload)
            "How long messages are kept: of all domains (`30days`), or of one (`shop=1year`, `shop=off`); for ever where none is given";
        // The memory cost of a burst before sends are refused; resident memory is 3 to 4 times
        // this.
        tail_bytes_max: usize = (one(size(MIB..=16 * GIB)), "SIZE", "64MiB", Restart)
            "Most bytes of messages in memory that are not yet in the index; at most 2 MiB while little of the disk is free";
        cache_bytes: u64 = (one(size(MIB..=64 * GIB)), "SIZE", "32MiB", Restart)
            "Memory for the index's cache";
        // Space of expired and erased messages is reclaimed by rewriting whole segments; each is a
        // file, and creating one costs a few syncs.
        segment_bytes: u64 = (one(size(MIB..=256 * MIB)), "SIZE", "32MiB", Restart)
            "Size of a journal file; a smaller one gives space back in smaller pieces";
    }
    limits {
        connections_per_address_max: Option<usize> = (one(or_off(count(CONNECTIONS))), "N", "1000", Reload)
            "Most open connections of one address (IPv6: one /64; a /56 has 4 times, a /48 16 times as many), or `off`";
        connects_per_address: Option<Rate> = (one(or_off(rate)), "RATE", "6000/min", Reload)
            "How often one address may connect, or `off`; as with every rate, all at once where they were saved up";
        failed_logins_per_address: Option<Rate> = (one(or_off(rate)), "RATE", "300/min", Reload)
            "How many unknown tokens one address may show before further ones have to wait, or `off`; good ones never do";
        requests_per_address: Option<Rate> = (one(or_off(rate)), "RATE", "6000/min", Reload)
            "How many HTTP requests one address may make, those by project token, logins, preflights and probes left out, or `off`";
        requests_per_user: Option<Rate> = (one(or_off(rate)), "RATE", "6000/min", Reload)
            "How many requests for history one user may make with user tokens, or `off`";
        logins_per_user: Option<Rate> = (one(or_off(rate)), "RATE", "300/min", Reload)
            "How often one user may log in with user tokens, or `off`";
        logins: Option<Rate> = (one(or_off(rate)), "RATE", "2000/s", Reload)
            "How many logins are admitted; who is one too many is told when to come back, or `off`";
        sends_per_user: Option<Rate> = (one(or_off(rate)), "RATE", "6000/min", Reload)
            "How many messages one user may send with user tokens, one for each recipient, or `off`";
        send_bytes_per_user: Option<Rate> = (one(or_off(byte_rate)), "BYTES/TIME", "64MiB/min", Reload)
            "How many bytes of messages one user may send with user tokens, for each recipient the content, the names and 512, or `off`";
        sends_per_domain: PerDomain<Rate> = (per_domain(rate), "[DOMAIN=]RATE", "", Reload)
            "How many messages a domain may send: each (`1000/s`), or one (`shop=100/s`, `shop=off`); any number where none is given";
        send_bytes_per_domain: PerDomain<Rate> = (per_domain(byte_rate), "[DOMAIN=]BYTES/TIME", "16GiB/min", Reload)
            "How many bytes of messages a domain may send, counted as those of a user: each (`4GiB/min`), or one (`shop=64MiB/s`, `shop=off`)";
        store_quota: PerDomain<u64> = (per_domain(size(MIB..=DISK_BYTES_MAX)), "[DOMAIN=]SIZE", "", Reload)
            "How much a domain may store, names and overhead included; the disk takes up to twice as much (docs/LIMITS.md): each (`10GiB`), or one (`shop=1GiB`, `shop=off`); any amount where none is given";
        disk_free_min: DiskFloor = (one(disk_free(0..=DISK_BYTES_MAX)), "SIZE", "auto", Reload)
            "Free disk below which user tokens send nothing, while project tokens go on, or `off`; `auto`: 1 GiB, on a small disk a tenth of it";
        trusted_proxies: Networks = (list(or_off(network)).map(networks), "NETWORK", "", Reload)
            "Proxies whose PROXY protocol headers are believed, and on the plain address their X-Forwarded-For: without it all behind a proxy count as one address; one that passes on what clients send lets them choose theirs";
        unlimited: Networks = (list(or_off(network)).map(networks), "NETWORK", "127.0.0.0/8,::1", Reload)
            "Addresses that the limits for one address do not count for; `off` for none";
    }
    config {
        metrics_listen: Option<SocketAddr> = (one(or_off(address)), "ADDR:PORT", "off", Restart)
            "Address (http) that serves /metrics instead of the others, beside /healthz and /readyz";
        log_format: LogFormat = (one(log_format), "FORMAT", "text", Restart)
            "How log lines are written: `text`, or `json` with one object a line";
        log: Targets = (one(log_filter), "FILTER", "info", Reload)
            "What is logged to standard error, such as `info` or `info,relaybox::net=debug`";
    }
}

/// All settings, in the order of the help.
pub fn settings() -> &'static [Setting] {
    &SETTINGS
}

pub(super) fn by_name(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

impl Config {
    /// The addresses of the service.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listen.into_iter().chain(self.plain)
    }
}
