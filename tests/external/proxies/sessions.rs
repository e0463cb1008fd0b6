//! What users do through each proxy, and what becomes of it when the proxy reads its configuration again.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::configured::Proxy;
use super::program::{Adapted as _, Program};
use super::{CLAIMED, Client, Login, Setup, UPGRADE, Way};
use crate::support::PROJECT_TOKEN;

/// What users do, and a reload by a signal over which sessions go on. `None`: the proxy is not installed.
async fn works(proxy: Proxy, reload: Option<Signal>) -> Option<(Setup, Program, [Client; 2])> {
    let (setup, running) = Setup::behind(proxy, &[]).await?;
    let mut sessions = setup.holds().await;
    if proxy.reads_http() {
        setup.hides_metrics().await;
    }
    if let Some(signal) = reload {
        running.signal(signal);
        setup.goes_on(&mut sessions).await;
    }
    Some((setup, running, sessions))
}

#[tokio::test]
async fn nginx() {
    works(Proxy::Nginx, Some(Signal::HUP)).await;
}

#[tokio::test]
async fn nginx_without_a_line_of_its_configuration() {
    let upgrade = "proxy_set_header Upgrade $http_upgrade;";
    let Some((setup, _proxy)) = Setup::behind(Proxy::Nginx, &[(upgrade, "")]).await else {
        return;
    };
    let target = format!("/ws?{}", Login::new("ann").query());
    let answer = setup.get(&target, &UPGRADE).await.unwrap();
    assert!(answer.problem(426).contains("proxy"), "{}", answer.body);

    let forwarded = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    let (setup, _proxy) = Setup::behind(Proxy::Nginx, &[(forwarded, "")])
        .await
        .unwrap();
    let _ann = setup.user("ann").await;
    assert_eq!(setup.address_of("ann").await, CLAIMED);

    let host = [("proxy_set_header Host $http_host;", "")];
    let behind = Setup::behind_with(Proxy::Nginx, &host, &OTHER_ORIGINS);
    let (setup, _proxy) = behind.await.unwrap();
    own_page(&setup, Proxy::Nginx).await.closed(4403).await;
}

/// Other pages than the server's own.
const OTHER_ORIGINS: [&str; 2] = ["--ws-origins", "https://other.example"];

/// The login of a page that the server has served through the proxy.
async fn own_page(setup: &Setup, proxy: Proxy) -> Client {
    let scheme = if proxy.is_over_tls() { "https" } else { "http" };
    let origin = format!("{scheme}://localhost");
    let headers = [("origin", origin.as_str())];
    setup.open_with("ann", Way::Query, &headers).await
}

#[tokio::test]
async fn all_pass_on_the_host_by_which_own_pages_are_known() {
    for proxy in Proxy::ALL {
        if let Some((setup, _proxy)) = Setup::behind_with(proxy, &[], &OTHER_ORIGINS).await {
            eprintln!("{proxy:?}:");
            own_page(&setup, proxy).await.ready().await;
        }
    }
}

#[tokio::test]
async fn nginx_below_a_path() {
    let Some(program) = Proxy::Nginx.installed() else {
        return;
    };
    let setup = Setup::new(Proxy::Nginx, &[]).await.below("/chat");
    let below = setup.block("nginx-path", &[("127.0.0.1:8080", setup.plain())]);
    let here = "    location / {";
    let with_below = format!("{below}{here}");
    let _proxy = setup.start(Proxy::Nginx, &program, &[(here, &with_below)]);
    setup.holds().await;
    setup.hides_metrics().await;
}

#[tokio::test]
async fn haproxy() {
    works(Proxy::Haproxy, Some(Signal::USR2)).await;
}

#[tokio::test]
async fn haproxy_before_tls() {
    works(Proxy::HaproxyTcp, Some(Signal::USR2)).await;
}

#[tokio::test]
async fn apache() {
    // As `apachectl graceful`.
    let Some((_setup, proxy, [mut ann, _bob])) = works(Proxy::Apache, Some(Signal::USR1)).await
    else {
        return;
    };
    // As `apachectl restart`.
    proxy.signal(Signal::HUP);
    assert_eq!(ann.text_or_code().await, Err(None));
}

/// Has Caddy read a configuration that is another: the same one would not be loaded.
async fn reload(setup: &Setup, caddy: &Path) {
    let config = setup.file("proxy.conf");
    let text = std::fs::read_to_string(&config).unwrap();
    setup.write(
        "proxy.conf",
        &text.with("{\n    admin", "{\n    grace_period 9s\n    admin"),
    );
    let mut reload = Command::new(caddy);
    reload.args(["reload", "--config", &config, "--adapter", "caddyfile"]);
    reload.args(["--address", &setup.admin]);
    let reloaded = tokio::task::spawn_blocking(move || reload.output().unwrap());
    let reloaded = reloaded.await.unwrap();
    assert!(reloaded.status.success(), "{reloaded:?}");
}

#[tokio::test]
async fn caddy() {
    let Some((setup, _proxy, mut sessions)) = works(Proxy::Caddy, None).await else {
        return;
    };
    reload(&setup, &Proxy::Caddy.installed().unwrap()).await;
    setup.goes_on(&mut sessions).await;
}

#[tokio::test]
async fn caddy_without_the_line_ends_all_sessions_at_a_reload() {
    let line = "stream_close_delay 1h";
    let Some((setup, _proxy)) = Setup::behind(Proxy::Caddy, &[(line, "")]).await else {
        return;
    };
    let mut ann = setup.user("ann").await;
    reload(&setup, &Proxy::Caddy.installed().unwrap()).await;
    ann.closed(1001).await;
}

#[tokio::test]
async fn traefik() {
    let Some((setup, _proxy, mut sessions)) = works(Proxy::Traefik, None).await else {
        return;
    };
    // It watches the file.
    let rules = std::fs::read_to_string(setup.file("chat.yml")).unwrap();
    setup.write("chat.yml", &rules.with("/metrics", "/readyz"));
    super::until("the changed rule", || async {
        let answer = setup.get("/readyz", &[]).await?;
        (answer.status == 404).then_some(())
    })
    .await;
    setup.goes_on(&mut sessions).await;
}

#[tokio::test]
async fn lighttpd() {
    let Some((setup, proxy, sessions)) = works(Proxy::Lighttpd, None).await else {
        return;
    };
    // It ends what is open some seconds later.
    proxy.signal(Signal::USR1);
    for mut session in sessions {
        assert_eq!(session.text_or_code().await, Err(None));
    }
    setup.answers().await;
}

#[tokio::test]
async fn squid() {
    let Some((setup, proxy, mut sessions)) = works(Proxy::Squid, None).await else {
        return;
    };
    // As `squid -k reconfigure`.
    proxy.signal(Signal::HUP);
    super::until("the reconfiguration", || async {
        proxy.log().contains("Reconfiguring Squid").then_some(())
    })
    .await;
    setup.goes_on(&mut sessions).await;
}

#[tokio::test]
async fn squid_takes_tokens_away_unless_it_is_told_not_to() {
    let Some((setup, _proxy)) = Setup::behind(Proxy::Squid, &[(" login=PASSTHRU", "")]).await
    else {
        return;
    };
    let reason = setup.open("ann", Way::Header).await.closed(4400).await;
    assert!(reason.contains("token"), "{reason}");
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let target = "/message-log?domain=demo&toId=bob";
    let history = setup
        .get(target, &[("authorization", &bearer)])
        .await
        .unwrap();
    assert_eq!(history.status, 401, "{}", history.body);
}

#[tokio::test]
async fn hitch() {
    works(Proxy::Hitch, Some(Signal::HUP)).await;
}

#[tokio::test]
async fn stunnel() {
    works(Proxy::Stunnel, Some(Signal::HUP)).await;
}

/// Varnish has no TLS: hitch in front of it names whose the connections are, and the address passes through both.
#[tokio::test]
async fn varnish_behind_hitch() {
    let Some((setup, _proxy, mut sessions)) = works(Proxy::Varnish, None).await else {
        return;
    };
    let again = setup.file("proxy.conf");
    setup.varnishadm(&["vcl.load", "again", &again]);
    setup.varnishadm(&["vcl.use", "again"]);
    setup.goes_on(&mut sessions).await;
}

/// A stop is 1006 for clients: no Close frame comes.
#[tokio::test]
async fn a_stop_ends_sessions_without_a_word() {
    for proxy in Proxy::ALL {
        let Some((setup, running)) = Setup::behind(proxy, &[]).await else {
            continue;
        };
        let mut ann = setup.user("ann").await;
        tokio::task::spawn_blocking(|| drop(running)).await.unwrap();
        assert_eq!(ann.text_or_code().await, Err(None), "{proxy:?}");
    }
}
