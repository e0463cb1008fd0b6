//! Where the token of a login URL ends up.

use std::fs;

use rustix::process::Signal;

use super::configured::{Change, Proxy};
use super::program::Program;
use super::{Login, Setup, UPGRADE, Way, until};
use crate::support::PROJECT_TOKEN;

/// When a proxy is asked for a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Up,
    /// While there is no server behind it.
    Down,
}

/// A proxy through which somebody has logged in, or tried to. `None`: it is not installed.
async fn after_a_login(
    proxy: Proxy,
    changes: &[Change<'_>],
    when: When,
) -> Option<(Setup, Program)> {
    let (mut setup, running) = Setup::behind(proxy, changes).await?;
    match when {
        When::Up => {
            for way in [Way::Query, Way::Subprotocol] {
                setup.login("ann", way).await.close().await;
            }
        }
        When::Down => {
            setup.server.signal(Signal::KILL);
            setup.server.ended().await;
            let target = format!("/ws?{}", Login::new("ann").query());
            // One that reads no HTTP closes.
            let protocols = format!("relaybox, {PROJECT_TOKEN}");
            let upgrade = [&UPGRADE[..], &[("sec-websocket-protocol", &protocols)]].concat();
            let answer = setup.get(&target, &upgrade).await;
            let status = answer.map_or(503, |answer| answer.status);
            assert!([502, 503].contains(&status), "{proxy:?}: {status}");
        }
    }
    Some((setup, running))
}

/// Whether the token is in anything that the proxy has written.
fn has_token(setup: &Setup) -> bool {
    let files = fs::read_dir(setup.dir.path()).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let logs = files.filter(|file| file.extension().is_some_and(|ending| ending == "log"));
    let written: String = logs.map(|file| fs::read_to_string(file).unwrap()).collect();
    // Its end is the same in every encoding.
    let (_, end) = PROJECT_TOKEN.rsplit_once('-').unwrap();
    written.contains(end)
}

/// Whether it is there once the proxy has ended, and has written all that it had to.
async fn is_logged(proxy: Proxy, changes: &[Change<'_>], when: When) -> Option<bool> {
    let (setup, running) = after_a_login(proxy, changes, when).await?;
    // What is asked later is logged later.
    setup.get("/healthz", &[]).await;
    tokio::task::spawn_blocking(|| drop(running)).await.unwrap();
    Some(has_token(&setup))
}

#[tokio::test]
async fn the_configurations_log_no_token() {
    for proxy in Proxy::ALL {
        let found = is_logged(proxy, &[], When::Up).await;
        assert_ne!(found, Some(true), "{proxy:?}");
    }
}

#[tokio::test]
async fn nor_do_they_while_there_is_no_server_but_for_lighttpd() {
    for proxy in Proxy::ALL {
        let expected = proxy == Proxy::Lighttpd;
        let found = is_logged(proxy, &[], When::Down).await;
        assert_ne!(found, Some(!expected), "{proxy:?}");
    }
}

/// Without the lines against it, and with the logs that the document speaks of.
#[tokio::test]
async fn the_default_logs_hold_it() {
    let lighttpd = [
        ("\"mod_openssl\")", "\"mod_openssl\", \"mod_accesslog\")"),
        (
            "ssl.engine",
            "accesslog.filename = \"/dev/stderr\"\nssl.engine",
        ),
    ];
    for (proxy, changes, when) in [
        (Proxy::Nginx, &[("access_log off;", "")][..], When::Up),
        (
            Proxy::Nginx,
            &[("error_log /dev/stderr crit;", "")],
            When::Down,
        ),
        (
            Proxy::Haproxy,
            &[(
                "mode http",
                "mode http\nlog stdout format raw local0\noption httplog",
            )],
            When::Up,
        ),
        (Proxy::Apache, &[("\\\"%m %U\\\"", "\\\"%r\\\"")], When::Up),
        (
            Proxy::Caddy,
            &[
                ("    respond", "    log\n    respond"),
                ("delete token", "delete nothing"),
            ],
            When::Up,
        ),
        (
            Proxy::Caddy,
            &[("delete token", "delete nothing")],
            When::Down,
        ),
        (
            Proxy::Caddy,
            &[("Sec-Websocket-Protocol", "X-Nothing")],
            When::Down,
        ),
        (
            Proxy::Traefik,
            &[("providers:", "accessLog: {}\nproviders:")],
            When::Up,
        ),
        (Proxy::Lighttpd, &lighttpd, When::Up),
    ] {
        if let Some((setup, _proxy)) = after_a_login(proxy, changes, when).await {
            until(&format!("the token in a log of {proxy:?}"), || async {
                has_token(&setup).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn an_access_log_of_caddys_passes_its_filter() {
    let log = [("    respond", "    log\n    respond")];
    let Some((setup, running)) = after_a_login(Proxy::Caddy, &log, When::Up).await else {
        return;
    };
    until("two logins in the log", || async {
        let logins = running.log().matches("/ws?").count();
        (logins == 2).then_some(())
    })
    .await;
    assert!(!has_token(&setup));
}

#[tokio::test]
async fn without_httplog_haproxy_names_no_url() {
    let short = [("mode http", "mode http\nlog stdout format raw local0")];
    let found = is_logged(Proxy::Haproxy, &short, When::Up).await;
    assert_ne!(found, Some(true));
}
