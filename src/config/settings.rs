//! The table of all settings: what `--help` and docs/SETTINGS.md say, and what the file and the
//! environment are checked against.

/// One setting, as an operator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The key in `relaybox.toml`.
    pub name: &'static str,
    /// The flag of `relaybox serve`.
    pub flag: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// What stands for the value in help texts.
    pub value: &'static str,
    /// The built-in default, in the form that the setting is written in; empty: no entries.
    pub default: &'static str,
    /// Whether it is a list: flags repeat, environment variables separate by commas.
    pub list: bool,
    /// One line for the operator.
    pub meaning: &'static str,
}

macro_rules! settings {
    ($($name:ident $flag:literal $env:literal $value:literal $default:literal $list:literal $meaning:literal;)*) => {
        &[$(Setting {
            name: stringify!($name),
            flag: $flag,
            env: $env,
            value: $value,
            default: $default,
            list: $list,
            meaning: $meaning,
        }),*]
    };
}

const SETTINGS: &[Setting] = settings! {
    listen "--listen" "RELAYBOX_LISTEN" "ADDR:PORT" "[::]:8443" false
        "Address of the TLS service (https, wss): `[::]` is all, of IPv4 as well; port 0 takes a free one; `off` where a proxy does TLS, and `plain` is the only one: no certificate is made or read then";
    plain "--plain" "RELAYBOX_PLAIN" "ADDR:PORT" "off" false
        "The same service without TLS, for a reverse proxy or a benchmark; `off` for none";
    data "--data" "RELAYBOX_DATA" "DIR" "./data" false
        "Data directory: everything but the certificates";
    socket "--socket" "RELAYBOX_SOCKET" "PATH" "auto" false
        "Socket of the running server for the command line; `auto`: relaybox.sock in the data directory or, where none can be made there, one without a file";
    certs "--certs" "RELAYBOX_CERTS" "DIR" "./certs" false
        "Directory of cert.pem and key.pem; missing ones are made on first start";
    host "--host" "RELAYBOX_HOST" "NAME" "" true
        "Name or address of the server: in the made certificate, beside localhost and the loopback addresses, and one that `history_open` answers to";
    token "--token" "RELAYBOX_TOKEN" "DOMAIN=TOKEN" "" true
        "Declares a project token, for containers and tests: 16 random bytes or more. The list of processes shows this flag to every user of the machine; the variable, the file that RELAYBOX_TOKEN_FILE names (one token a line) and the settings file do not";
    history_open "--history-open" "RELAYBOX_HISTORY_OPEN" "BOOL" "false" false
        "Opens GET /message-log to callers without a token, for a network that is trusted; pages in its browsers are refused, but of the server's own origin and of `cors_origins` where those are set";
    cors_origins "--cors-origins" "RELAYBOX_CORS_ORIGINS" "ORIGIN" "*" true
        "Origins whose scripts may use the HTTP endpoints: `https://app.example.com`, `https://*.example.com`, `*` for all. The default lets nobody's scripts read a history without a token";
    ws_origins "--ws-origins" "RELAYBOX_WS_ORIGINS" "ORIGIN" "" true
        "Origins whose pages may log in at /ws, beside the server's own: `https://app.example.com`, `https://*.example.com`, `capacitor://localhost`, `moz-extension://*` (every app of that scheme), `file://`, `null` (any page of a file or a sandbox); all where none is given. Logins with `Authorization` and those without `Origin`, which are no page's, always may";
    types "--types" "RELAYBOX_TYPES" "NUMBER" "" true
        "Message types beside 10, 20, 30, 40 and 100";
    content_bytes_max "--content-bytes-max" "RELAYBOX_CONTENT_BYTES_MAX" "SIZE" "256KiB" false
        "Largest JSON text of a message's content";
    content_depth_max "--content-depth-max" "RELAYBOX_CONTENT_DEPTH_MAX" "N" "60" false
        "How deep arrays and objects of a message's content may be nested; some readers of JSON take no more than 64 levels";
    sessions_max "--sessions-max" "RELAYBOX_SESSIONS_MAX" "N" "50000" false
        "Most sessions on the server; never more than the open-file limit allows, nor than all but a 64th (at least 8) of connections_max";
    sessions_per_user_max "--sessions-per-user-max" "RELAYBOX_SESSIONS_PER_USER_MAX" "N" "32" false
        "Most sessions of one user";
    connections_max "--connections-max" "RELAYBOX_CONNECTIONS_MAX" "N" "51000" false
        "Most connections of every kind; never more than the open-file limit allows. Beyond it the oldest that has not logged in gives way";
    strangers_max "--strangers-max" "RELAYBOX_STRANGERS_MAX" "N" "auto" false
        "Most connections that have not logged in; beyond it the oldest gives way. `auto`: what an eighth of the memory has room for, at least 1024";
    ping_interval "--ping-interval" "RELAYBOX_PING_INTERVAL" "DURATION" "25s" false
        "Between two pings of an idle session; a peer that is silent for two after one, or for three after a message, is closed";
    outbox_bytes_max "--outbox-bytes-max" "RELAYBOX_OUTBOX_BYTES_MAX" "SIZE" "256KiB" false
        "Most bytes that wait for one slow reader; beyond it is served from the store";
    retention "--retention" "RELAYBOX_RETENTION" "[DOMAIN=]DURATION" "" true
        "How long messages are kept: of all domains (`30days`), or of one (`shop=1year`, `shop=off`); for ever where none is given";
    tail_bytes_max "--tail-bytes-max" "RELAYBOX_TAIL_BYTES_MAX" "SIZE" "64MiB" false
        "Most bytes of messages in memory that are not yet in the index; at most 2 MiB while little of the disk is free";
    cache_bytes "--cache-bytes" "RELAYBOX_CACHE_BYTES" "SIZE" "32MiB" false
        "Memory for the index's cache";
    segment_bytes "--segment-bytes" "RELAYBOX_SEGMENT_BYTES" "SIZE" "32MiB" false
        "Size of a journal file; a smaller one gives space back in smaller pieces";
    connections_per_address_max "--connections-per-address-max" "RELAYBOX_CONNECTIONS_PER_ADDRESS_MAX" "N" "1000" false
        "Most open connections of one address (IPv6: one /64; a /56 has 4 times, a /48 16 times as many), or `off`";
    connects_per_address "--connects-per-address" "RELAYBOX_CONNECTS_PER_ADDRESS" "RATE" "6000/min" false
        "How often one address may connect, or `off`; as with every rate, all at once where they were saved up";
    failed_logins_per_address "--failed-logins-per-address" "RELAYBOX_FAILED_LOGINS_PER_ADDRESS" "RATE" "300/min" false
        "How many unknown tokens one address may show before further ones have to wait, or `off`; good ones never do";
    requests_per_address "--requests-per-address" "RELAYBOX_REQUESTS_PER_ADDRESS" "RATE" "6000/min" false
        "How many HTTP requests one address may make, those by project token, logins, preflights and probes left out, or `off`";
    requests_per_user "--requests-per-user" "RELAYBOX_REQUESTS_PER_USER" "RATE" "6000/min" false
        "How many requests for history one user may make with user tokens, or `off`";
    logins_per_user "--logins-per-user" "RELAYBOX_LOGINS_PER_USER" "RATE" "300/min" false
        "How often one user may log in with user tokens, or `off`";
    logins "--logins" "RELAYBOX_LOGINS" "RATE" "2000/s" false
        "How many logins are admitted; who is one too many is told when to come back, or `off`";
    sends_per_user "--sends-per-user" "RELAYBOX_SENDS_PER_USER" "RATE" "6000/min" false
        "How many messages one user may send with user tokens, one for each recipient, or `off`";
    send_bytes_per_user "--send-bytes-per-user" "RELAYBOX_SEND_BYTES_PER_USER" "BYTES/TIME" "64MiB/min" false
        "How many bytes of messages one user may send with user tokens, for each recipient the content, the names and 512, or `off`";
    sends_per_domain "--sends-per-domain" "RELAYBOX_SENDS_PER_DOMAIN" "[DOMAIN=]RATE" "" true
        "How many messages a domain may send: each (`1000/s`), or one (`shop=100/s`, `shop=off`); any number where none is given";
    send_bytes_per_domain "--send-bytes-per-domain" "RELAYBOX_SEND_BYTES_PER_DOMAIN" "[DOMAIN=]BYTES/TIME" "16GiB/min" true
        "How many bytes of messages a domain may send, counted as those of a user: each (`4GiB/min`), or one (`shop=64MiB/s`, `shop=off`)";
    store_quota "--store-quota" "RELAYBOX_STORE_QUOTA" "[DOMAIN=]SIZE" "" true
        "How much a domain may store, names and overhead included; the disk takes up to twice as much (docs/LIMITS.md): each (`10GiB`), or one (`shop=1GiB`, `shop=off`); any amount where none is given";
    disk_free_min "--disk-free-min" "RELAYBOX_DISK_FREE_MIN" "SIZE" "auto" false
        "Free disk below which user tokens send nothing, while project tokens go on, or `off`; `auto`: 1 GiB, on a small disk a tenth of it";
    trusted_proxies "--trusted-proxies" "RELAYBOX_TRUSTED_PROXIES" "NETWORK" "" true
        "Proxies whose PROXY protocol headers are believed, and on the plain address their X-Forwarded-For: without it all behind a proxy count as one address; one that passes on what clients send lets them choose theirs";
    unlimited "--unlimited" "RELAYBOX_UNLIMITED" "NETWORK" "127.0.0.0/8,::1" true
        "Addresses that the limits for one address do not count for; `off` for none";
    metrics_listen "--metrics-listen" "RELAYBOX_METRICS_LISTEN" "ADDR:PORT" "off" false
        "Address (http) that serves /metrics instead of the others, beside /healthz and /readyz";
    log_format "--log-format" "RELAYBOX_LOG_FORMAT" "FORMAT" "text" false
        "How log lines are written: `text`, or `json` with one object a line";
    log "--log" "RELAYBOX_LOG" "FILTER" "info" false
        "What is logged to standard error, such as `info` or `info,relaybox::net=debug`";
};

/// The environment variable that names the settings file, as `--config` does.
pub const CONFIG_ENV: &str = "RELAYBOX_CONFIG";

/// The environment variable that names a file with declared project tokens, in the place of [`Setting::env`].
pub const TOKEN_FILE_ENV: &str = "RELAYBOX_TOKEN_FILE";

/// What begins the variables of `send` and `listen`, which are no settings.
pub const CLIENT_ENV_PREFIX: &str = "RELAYBOX_CLIENT_";

/// What every environment variable of relaybox begins with.
pub(super) const ENV_PREFIX: &str = "RELAYBOX_";

/// All settings, in the order in which they are told.
pub fn settings() -> &'static [Setting] {
    SETTINGS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_flags_and_variables_are_one_word_in_three_spellings() {
        for setting in settings() {
            assert_eq!(
                setting.flag,
                format!("--{}", setting.name.replace('_', "-"))
            );
            let env = format!("{ENV_PREFIX}{}", setting.name.to_uppercase());
            assert_eq!(setting.env, env);
            assert!(!setting.meaning.is_empty());
        }
    }
}
