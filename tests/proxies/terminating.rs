//! Proxies that speak HTTP themselves, and name whom a request is from in `X-Forwarded-For`.

use std::process::Command;

use rustix::process::Signal;

use crate::program::{Adapted, Program, block, find};
use crate::{Setup, free_port};

impl Setup {
    /// A block of the document with the places of this test.
    fn config(&self, word: &str) -> String {
        let text = block(word);
        let places = [
            ("/etc/ssl/chat/fullchain.pem", self.file("fullchain.pem")),
            ("/etc/ssl/chat/privkey.pem", self.file("privkey.pem")),
            ("/etc/ssl/chat/both.pem", self.file("both.pem")),
        ];
        let in_place = |text: String, (from, to): (&str, String)| text.replace(from, &to);
        places.into_iter().fold(text, in_place)
    }
}

/// What nginx needs beside a server of its own.
fn nginx_main(setup: &Setup, server: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {};\n", setup.file(name)))
        .concat();
    let pid = setup.file("nginx.pid");
    format!("daemon off;\npid {pid};\nevents {{}}\nhttp {{\n{temporary}{server}}}\n")
}

fn nginx_server(setup: &Setup) -> String {
    let listen = format!("listen {} ssl", setup.front);
    let server = setup.config("nginx").with("listen 443 ssl", &listen);
    server.with("127.0.0.1:8080", setup.plain())
}

#[tokio::test]
async fn nginx() {
    let Some(nginx) = find("nginx") else {
        return;
    };
    let setup = Setup::new(true).await;
    let main = nginx_main(&setup, &nginx_server(&setup));
    let config = setup.write("nginx.conf", &main);
    let args = ["-c", &config, "-e", "stderr"];
    let proxy = Program::start(&nginx, &args, setup.dir.path());
    let mut sessions = setup.holds().await;
    setup.hides_metrics().await;
    proxy.signal(Signal::HUP);
    setup.goes_on(&mut sessions).await;
}

#[tokio::test]
async fn nginx_below_a_path() {
    let Some(nginx) = find("nginx") else {
        return;
    };
    let setup = Setup::new(true).await.below("/chat");
    let below = setup
        .config("nginx-path")
        .with("127.0.0.1:8080", setup.plain());
    let server =
        nginx_server(&setup).with("    location / {", &format!("{below}    location / {{"));
    let config = setup.write("nginx.conf", &nginx_main(&setup, &server));
    let args = ["-c", &config, "-e", "stderr"];
    let _proxy = Program::start(&nginx, &args, setup.dir.path());
    setup.holds().await;
    setup.hides_metrics().await;
}

#[tokio::test]
async fn haproxy() {
    let Some(haproxy) = find("haproxy") else {
        return;
    };
    let setup = Setup::new(true).await;
    let config = setup
        .config("haproxy")
        .with("bind :443", &format!("bind {}", setup.front))
        .with("127.0.0.1:8080", setup.plain());
    let config = setup.write("haproxy.cfg", &config);
    // The master starts a new worker for each configuration, and the old one ends with its sessions.
    let proxy = Program::start(&haproxy, &["-W", "-f", &config], setup.dir.path());
    let mut sessions = setup.holds().await;
    setup.hides_metrics().await;
    proxy.signal(Signal::USR2);
    setup.goes_on(&mut sessions).await;
}

#[tokio::test]
async fn apache() {
    let Some(apache) = find("apache2") else {
        return;
    };
    let setup = Setup::new(true).await;
    let chat = setup
        .config("apache")
        .with("*:443", &setup.front)
        .with("/var/log/apache2/chat.log", &setup.file("chat.log"))
        .with("127.0.0.1:8080", setup.plain());
    let modules: String = [
        "mpm_event",
        "authz_core",
        "socache_shmcb",
        "ssl",
        "proxy",
        "proxy_http",
    ]
    .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
    .concat();
    let (dir, front) = (setup.file(""), &setup.front);
    let main = format!(
        "{modules}ServerRoot {dir}\nServerName localhost\nDocumentRoot {dir}\nPidFile {dir}pid\n\
         Mutex file:{dir}\nUser nobody\nGroup nogroup\nErrorLog /dev/stderr\nListen {front}\n{chat}"
    );
    let config = setup.write("apache.conf", &main);
    let args = ["-DFOREGROUND", "-f", &config];
    let proxy = Program::start(&apache, &args, setup.dir.path());
    let mut sessions = setup.holds().await;
    setup.hides_metrics().await;
    // As `apachectl graceful`.
    proxy.signal(Signal::USR1);
    setup.goes_on(&mut sessions).await;
    let log = std::fs::read_to_string(setup.file("chat.log")).unwrap();
    assert!(
        log.contains("GET /healthz") && !log.contains("token"),
        "{log}"
    );
}

#[tokio::test]
async fn caddy() {
    let Some(caddy) = find("caddy") else {
        return;
    };
    let setup = Setup::new(true).await;
    let (chain, key) = (setup.file("fullchain.pem"), setup.file("privkey.pem"));
    // In place of the certificate that it gets by itself.
    let site = format!("https://localhost:{} {{\n    tls {chain} {key}", setup.port);
    let site = block("caddyfile")
        .with("chat.example.com {", &site)
        .with("127.0.0.1:8080", setup.plain());
    let admin = format!("127.0.0.1:{}", free_port());
    let global = |level| {
        format!(
            "{{\n    admin {admin}\n    auto_https disable_redirects\n    log default {{\n        level {level}\n    }}\n}}\n"
        )
    };
    let config = setup.write("Caddyfile", &(global("INFO") + &site));
    let args = ["run", "--config", &config, "--adapter", "caddyfile"];
    let _proxy = Program::start(&caddy, &args, setup.dir.path());
    let mut sessions = setup.holds().await;
    setup.hides_metrics().await;
    // Another configuration: the same one would not be loaded.
    setup.write("Caddyfile", &(global("WARN") + &site));
    let mut reload = Command::new(&caddy);
    reload.args([
        "reload",
        "--config",
        &config,
        "--adapter",
        "caddyfile",
        "--address",
        &admin,
    ]);
    let reloaded = tokio::task::spawn_blocking(move || reload.output().unwrap())
        .await
        .unwrap();
    assert!(reloaded.status.success(), "{reloaded:?}");
    setup.goes_on(&mut sessions).await;
}

#[tokio::test]
async fn traefik() {
    let Some(traefik) = find("traefik") else {
        return;
    };
    let setup = Setup::new(true).await;
    let rules = setup
        .config("traefik-dynamic")
        .with("chat.example.com", "localhost")
        .with("127.0.0.1:8080", setup.plain());
    let dynamic = setup.write("chat.yml", &rules);
    let main = block("traefik")
        .with(":443", &setup.front)
        .with("/etc/traefik/chat.yml", &dynamic);
    let config = setup.write("traefik.yml", &main);
    let args = format!("--configFile={config}");
    let _proxy = Program::start(&traefik, &[&args], setup.dir.path());
    let mut sessions = setup.holds().await;
    setup.hides_metrics().await;
    // It watches the file.
    setup.write("chat.yml", &rules.with("/metrics", "/readyz"));
    crate::until("the changed rule", || async {
        let answer = setup.get("/readyz", &[]).await?;
        (answer.status == 404).then_some(())
    })
    .await;
    setup.goes_on(&mut sessions).await;
}

#[tokio::test]
async fn lighttpd() {
    let Some(lighttpd) = find("lighttpd") else {
        return;
    };
    let setup = Setup::new(true).await;
    let config = setup
        .config("lighttpd")
        .with(
            "server.port = 443",
            &format!("server.bind = \"127.0.0.1\"\nserver.port = {}", setup.port),
        )
        .with("/var/www/html", &setup.file(""))
        .with(
            "\"port\" => 8080",
            &format!("\"port\" => {}", setup.plain_port()),
        );
    let config = setup.write("lighttpd.conf", &config);
    let _proxy = Program::start(&lighttpd, &["-D", "-f", &config], setup.dir.path());
    setup.holds().await;
    setup.hides_metrics().await;
}

#[tokio::test]
async fn squid() {
    let Some(squid) = find("squid") else {
        return;
    };
    let setup = Setup::new(false).await;
    let config = block("squid")
        .with("http_port 80", &format!("http_port {}", setup.front))
        .with("8080", setup.plain_port());
    let here = "pid_filename none\ncache_log /dev/stderr\naccess_log none\nvisible_hostname localhost\n\
                shutdown_lifetime 0 seconds\nnetdb_filename none\npinger_enable off\n";
    let config = setup.write("squid.conf", &format!("{here}{config}"));
    let proxy = Program::start(&squid, &["-N", "-f", &config], setup.dir.path());
    let mut sessions = setup.holds().await;
    setup.hides_metrics().await;
    // As `squid -k reconfigure`.
    proxy.signal(Signal::HUP);
    crate::until("the reconfiguration", || async {
        proxy.log().contains("Reconfiguring Squid").then_some(())
    })
    .await;
    setup.goes_on(&mut sessions).await;
}
