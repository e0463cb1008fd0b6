//! Proxies that pass connections on whole, and name whose they are by the PROXY protocol.

use rustix::process::Signal;

use crate::program::{Adapted as _, Program, block, find};
use crate::{Setup, free_port};

#[tokio::test]
async fn haproxy_before_tls() {
    let Some(haproxy) = find("haproxy") else {
        return;
    };
    let setup = Setup::before_tls().await;
    let config = block("haproxy-tcp")
        .with("bind :443", &format!("bind {}", setup.front))
        .with("127.0.0.1:8443", &setup.server.address);
    let config = setup.write("haproxy.cfg", &config);
    let _proxy = Program::start(&haproxy, &["-db", "-f", &config], setup.dir.path());
    setup.holds().await;
}

#[tokio::test]
async fn hitch() {
    let Some(hitch) = find("hitch") else {
        return;
    };
    let setup = Setup::new(true).await;
    let config = block("hitch")
        .with("[*]:443", &format!("[127.0.0.1]:{}", setup.port))
        .with(
            "[127.0.0.1]:8080",
            &format!("[127.0.0.1]:{}", setup.plain_port()),
        )
        .with("/etc/ssl/chat/both.pem", &setup.file("both.pem"));
    let config = setup.write("hitch.conf", &config);
    let args = format!("--config={config}");
    let proxy = Program::start(&hitch, &[&args], setup.dir.path());
    let mut sessions = setup.holds().await;
    proxy.signal(Signal::HUP);
    setup.goes_on(&mut sessions).await;
}

#[tokio::test]
async fn stunnel() {
    let Some(stunnel) = find("stunnel4") else {
        return;
    };
    let setup = Setup::new(true).await;
    let config = block("stunnel")
        .with("accept = 443", &format!("accept = {}", setup.front))
        .with("127.0.0.1:8080", setup.plain())
        .with("/etc/ssl/chat/fullchain.pem", &setup.file("fullchain.pem"))
        .with("/etc/ssl/chat/privkey.pem", &setup.file("privkey.pem"));
    let config = setup.write(
        "stunnel.conf",
        &format!("foreground = yes\npid =\n{config}"),
    );
    let proxy = Program::start(&stunnel, &[&config], setup.dir.path());
    let mut sessions = setup.holds().await;
    proxy.signal(Signal::HUP);
    setup.goes_on(&mut sessions).await;
}

/// Varnish, which has no TLS, behind hitch: the address passes through both.
#[tokio::test]
async fn varnish_behind_hitch() {
    let (Some(hitch), Some(varnish)) = (find("hitch"), find("varnishd")) else {
        return;
    };
    let setup = Setup::new(true).await;
    let (between, dir) = (free_port(), setup.dir.path());
    let vcl = block("varnish").with("\"8080\"", &format!("\"{}\"", setup.plain_port()));
    let vcl = setup.write("chat.vcl", &vcl);
    let listen = format!("127.0.0.1:{between},PROXY");
    let name = setup.file("varnish");
    let args = [
        "-F",
        "-j",
        "none",
        "-n",
        &name,
        "-a",
        &listen,
        "-f",
        &vcl,
        "-s",
        "malloc,8m",
    ];
    let _varnish = Program::start(&varnish, &args, dir);
    let config = block("hitch")
        .with("[*]:443", &format!("[127.0.0.1]:{}", setup.port))
        .with("[127.0.0.1]:8080", &format!("[127.0.0.1]:{between}"))
        .with("/etc/ssl/chat/both.pem", &setup.file("both.pem"));
    let config = setup.write("hitch.conf", &config);
    let _hitch = Program::start(&hitch, &[&format!("--config={config}")], dir);
    setup.holds().await;
    setup.hides_metrics().await;
}
