//! How long each proxy bears a session on which nothing comes.

use std::time::Duration;

use super::Setup;
use super::configured::{Change, Proxy};

/// A session of a server that pings often goes on where one of a server that pings seldom is cut, which came later.
async fn cuts_the_silent(proxy: Proxy, changes: &[Change<'_>], tell: fn(&Setup)) {
    let lively = ["--ping-interval", "500ms"];
    let Some((lively, _proxy)) = Setup::behind_with(proxy, changes, &lively).await else {
        return;
    };
    let Some((silent, _proxy)) = Setup::behind(proxy, changes).await else {
        return;
    };
    // What blocks comes before there is a session to answer for.
    tell(&lively);
    tell(&silent);
    let mut ann = lively.user("ann").await;
    let mut bob = silent.user("bob").await;
    assert_eq!(bob.text_or_code().await, Err(None), "1006");
    ann.nothing().await;
}

#[tokio::test]
async fn nginx() {
    let changes = [("proxy_read_timeout 90s", "proxy_read_timeout 6s")];
    cuts_the_silent(Proxy::Nginx, &changes, |_| {}).await;
}

#[tokio::test]
async fn haproxy() {
    let changes = [("timeout tunnel 1h", "timeout tunnel 6s")];
    cuts_the_silent(Proxy::Haproxy, &changes, |_| {}).await;
}

#[tokio::test]
async fn haproxy_before_tls() {
    let changes = [
        ("timeout client 1h", "timeout client 6s"),
        ("timeout server 1h", "timeout server 6s"),
    ];
    cuts_the_silent(Proxy::HaproxyTcp, &changes, |_| {}).await;
}

#[tokio::test]
async fn apache() {
    let changes = [("SSLEngine on", "SSLEngine on\nTimeout 6")];
    cuts_the_silent(Proxy::Apache, &changes, |_| {}).await;
}

#[tokio::test]
async fn lighttpd() {
    let changes = [("ssl.engine", "server.max-read-idle = 6\nssl.engine")];
    cuts_the_silent(Proxy::Lighttpd, &changes, |_| {}).await;
}

#[tokio::test]
async fn varnish() {
    let tell = |setup: &Setup| setup.varnishadm(&["param.set", "pipe_timeout", "6"]);
    cuts_the_silent(Proxy::Varnish, &[], tell).await;
}

#[tokio::test]
async fn squid() {
    let changes = [("cache deny all", "cache deny all\nread_timeout 6 seconds")];
    cuts_the_silent(Proxy::Squid, &changes, |_| {}).await;
}

#[tokio::test]
async fn stunnel() {
    let changes = [("protocol = proxy", "protocol = proxy\nTIMEOUTidle = 6")];
    cuts_the_silent(Proxy::Stunnel, &changes, |_| {}).await;
}

/// What the configurations say, and what they leave at its default, is longer than the `ping_interval` that a server has.
#[tokio::test]
async fn an_idle_session_lives_with_the_defaults_of_all() {
    let mut open = Vec::new();
    for proxy in Proxy::ALL {
        let Some((setup, running)) = Setup::behind(proxy, &[]).await else {
            continue;
        };
        let ann = setup.user("ann").await;
        open.push((proxy, setup, running, ann));
    }
    // Until the first ping on each, on which nothing has come before.
    tokio::time::sleep(Duration::from_secs(27)).await;
    for (proxy, _setup, _running, ann) in &mut open {
        eprintln!("{proxy:?}:");
        ann.nothing().await;
    }
}
