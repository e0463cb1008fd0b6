//! Each proxy as docs/PROXIES.md configures it; only places are others, and what a test changes.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::program::{Adapted as _, Program, block, find};
use super::{Setup, free_port};

/// A proxy of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxy {
    Nginx,
    Haproxy,
    /// In TCP mode.
    HaproxyTcp,
    Apache,
    Caddy,
    Traefik,
    Lighttpd,
    /// Behind hitch.
    Varnish,
    Squid,
    Hitch,
    Stunnel,
}

impl Proxy {
    pub(crate) const ALL: [Self; 11] = [
        Self::Nginx,
        Self::Haproxy,
        Self::HaproxyTcp,
        Self::Apache,
        Self::Caddy,
        Self::Traefik,
        Self::Lighttpd,
        Self::Varnish,
        Self::Squid,
        Self::Hitch,
        Self::Stunnel,
    ];

    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy | Self::HaproxyTcp => "haproxy",
            Self::Apache => "apache2",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
            Self::Lighttpd => "lighttpd",
            Self::Varnish => "varnishd",
            Self::Squid => "squid",
            Self::Hitch => "hitch",
            Self::Stunnel => "stunnel4",
        }
    }

    /// The program, where it is installed with what it needs; what is skipped without it is said.
    pub(crate) fn installed(self) -> Option<PathBuf> {
        if self == Self::Varnish {
            find("hitch")?;
        }
        find(self.program())
    }

    pub(crate) fn reads_http(self) -> bool {
        !matches!(self, Self::HaproxyTcp | Self::Hitch | Self::Stunnel)
    }

    /// Whether TLS is the server's.
    pub(crate) fn leaves_tls(self) -> bool {
        self == Self::HaproxyTcp
    }

    pub(crate) fn is_over_tls(self) -> bool {
        self != Self::Squid
    }
}

/// What stands in a configuration, and what is to stand there.
pub(crate) type Change<'a> = (&'a str, &'a str);

impl Setup {
    /// Starts the program of a proxy on its configuration with these changes.
    pub(crate) fn start(&self, proxy: Proxy, program: &Path, changes: &[Change<'_>]) -> Program {
        let dir = self.dir.path();
        let config = |text: String| {
            let changed = changes
                .iter()
                .fold(text, |text, (from, to)| text.with(from, to));
            self.write("proxy.conf", &changed)
        };
        match proxy {
            Proxy::Nginx => {
                let config = config(self.nginx());
                Program::start(program, &["-c", &config, "-e", "stderr"], dir)
            }
            Proxy::Haproxy => {
                // In this order: a port such as 44385 begins like the one that is replaced.
                let places = [(":443", &*self.front), ("127.0.0.1:8080", self.plain())];
                let config = config(self.block("haproxy", &places));
                // The master starts a new worker for each configuration, and the old one ends with its sessions.
                Program::start(program, &["-W", "-f", &config], dir)
            }
            Proxy::HaproxyTcp => {
                let server = &*self.server.address;
                let places = [(":443", &*self.front), ("127.0.0.1:8443", server)];
                let config = config(self.block("haproxy-tcp", &places));
                Program::start(program, &["-W", "-f", &config], dir)
            }
            Proxy::Apache => {
                let config = config(self.apache());
                Program::start(program, &["-DFOREGROUND", "-f", &config], dir)
            }
            Proxy::Caddy => {
                let config = config(self.caddy());
                let args = ["run", "--config", &config, "--adapter", "caddyfile"];
                Program::start(program, &args, dir)
            }
            Proxy::Traefik => {
                let places = [
                    ("chat.example.com", "localhost"),
                    ("127.0.0.1:8080", self.plain()),
                ];
                let rules = self.write("chat.yml", &self.block("traefik-dynamic", &places));
                let places = [
                    (":443", self.front.as_str()),
                    ("/etc/traefik/chat.yml", &rules),
                ];
                let config = config(self.block("traefik", &places));
                // By its name it knows how to read it.
                let named = self.file("traefik.yml");
                std::fs::rename(config, &named).unwrap();
                Program::start(program, &[&format!("--configFile={named}")], dir)
            }
            Proxy::Lighttpd => {
                let port = format!("server.bind = \"127.0.0.1\"\nserver.port = {}", self.port);
                let to = format!("\"port\" => {}", self.plain_port());
                let places = [
                    ("server.port = 443", port.as_str()),
                    ("/var/www/html", &self.file("")),
                    ("\"port\" => 8080", &to),
                ];
                let config = config(self.block("lighttpd", &places));
                Program::start(program, &["-D", "-f", &config], dir)
            }
            Proxy::Varnish => {
                let to = format!("\"{}\"", self.plain_port());
                let config = config(self.block("varnish", &[("\"8080\"", &to)]));
                let between = free_port();
                let listen = format!("127.0.0.1:{between},PROXY");
                let name = self.file("varnish");
                let args = [
                    "-F",
                    "-j",
                    "none",
                    "-n",
                    &name,
                    "-a",
                    &listen,
                    "-f",
                    &config,
                    "-s",
                    "malloc,8m",
                ];
                let varnish = Program::start(program, &args, dir);
                let hitch = find("hitch").unwrap();
                varnish.behind(self.hitch(&hitch, &between, &[]))
            }
            Proxy::Squid => {
                let log = self.file("access.log");
                let here = format!(
                    "pid_filename none\ncache_log /dev/stderr\naccess_log stdio:{log}\nvisible_hostname localhost\n\
                     shutdown_lifetime 0 seconds\nnetdb_filename none\npinger_enable off\n"
                );
                let listen = format!("http_port {}", self.front);
                // In this order: a port such as 38080 holds the one that is replaced.
                let places = [
                    ("8080", self.plain_port()),
                    ("http_port 80", listen.as_str()),
                ];
                let config = config(format!("{here}{}", self.block("squid", &places)));
                Program::start(program, &["-N", "-f", &config], dir)
            }
            Proxy::Hitch => self.hitch(program, self.plain_port(), changes),
            Proxy::Stunnel => {
                let accept = format!("accept = {}", self.front);
                let places = [
                    ("accept = 443", accept.as_str()),
                    ("127.0.0.1:8080", self.plain()),
                ];
                let text = self.block("stunnel", &places);
                let config = config(format!("foreground = yes\npid =\n{text}"));
                Program::start(program, &[&config], dir)
            }
        }
    }

    /// Tells Varnish something while it runs.
    pub(crate) fn varnishadm(&self, command: &[&str]) {
        let name = self.file("varnish");
        let told = Command::new("varnishadm")
            .args(["-n", &name])
            .args(command)
            .output();
        let told = told.unwrap();
        assert!(told.status.success(), "{told:?}");
    }

    /// A block of the document with these places, and those of the certificate.
    pub(crate) fn block(&self, word: &str, places: &[Change<'_>]) -> String {
        let certificate = ["fullchain.pem", "privkey.pem", "both.pem"];
        let text = certificate.iter().fold(block(word), |text, name| {
            text.replace(&format!("/etc/ssl/chat/{name}"), &self.file(name))
        });
        places
            .iter()
            .fold(text, |text, (from, to)| text.with(from, to))
    }

    /// With a log of accesses for whatever sets no other, as packages have it.
    fn nginx(&self) -> String {
        let listen = format!("listen {} ssl", self.front);
        let places = [
            ("listen 443 ssl", listen.as_str()),
            ("127.0.0.1:8080", self.plain()),
            ("/var/log/nginx/error.log", "/dev/stderr"),
        ];
        let server = self.block("nginx", &places);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path {};\n", self.file(name)))
            .concat();
        let [pid, log] = ["nginx.pid", "access.log"].map(|name| self.file(name));
        format!(
            "daemon off;\npid {pid};\nevents {{}}\nhttp {{\n    access_log {log};\n{temporary}{server}}}\n"
        )
    }

    fn apache(&self) -> String {
        let log = self.file("chat.log");
        let places = [
            ("*:443", self.front.as_str()),
            ("/var/log/apache2/chat.log", &log),
            ("127.0.0.1:8080", self.plain()),
        ];
        let chat = self.block("apache", &places);
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
        let (dir, front) = (self.file(""), &self.front);
        format!(
            "{modules}ServerRoot {dir}\nServerName localhost\nDocumentRoot {dir}\nPidFile {dir}pid\n\
             Mutex file:{dir}\nUser nobody\nGroup nogroup\nErrorLog /dev/stderr\nListen {front}\n{chat}"
        )
    }

    fn caddy(&self) -> String {
        let [chain, key] = ["fullchain.pem", "privkey.pem"].map(|name| self.file(name));
        let admin = &self.admin;
        let here =
            format!("{{\n    admin {admin}\n    auto_https disable_redirects\n    log default");
        // In place of the certificate that it gets by itself.
        let site = format!("https://localhost:{} {{\n    tls {chain} {key}", self.port);
        let places = [
            ("chat.example.com {", site.as_str()),
            ("127.0.0.1:8080", self.plain()),
            ("{\n    log default", &here),
        ];
        self.block("caddyfile", &places)
    }

    fn hitch(&self, program: &Path, to: &str, changes: &[Change<'_>]) -> Program {
        let [front, to] = [&self.port, to].map(|port| format!("[127.0.0.1]:{port}"));
        let places = [("[*]:443", front.as_str()), ("[127.0.0.1]:8080", &to)];
        let text = self.block("hitch", &places);
        let text = changes
            .iter()
            .fold(text, |text, (from, to)| text.with(from, to));
        let config = self.write("hitch.conf", &text);
        Program::start(program, &[&format!("--config={config}")], self.dir.path())
    }
}
