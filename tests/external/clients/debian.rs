//! What docs/CLIENTS.md says of libraries that Debian 12 has.

use super::language::Language;
use super::libraries::{Row, SHOWN, lines_work, listener, query, row_is_as_said, scene};
use super::peer::{Peer, TEXT};
use super::program::{PATIENCE, Program};
use super::tools;
use crate::support::{Login, until_within};

/// A library with its row, whose version is that of the first package.
struct Library {
    row: Row,
    packages: &'static [&'static str],
    language: Language,
}

const GORILLA: Library = Library {
    row: Row("Go gorilla/websocket 1.5.0", "gorilla", SHOWN),
    packages: &["golang-github-gorilla-websocket-dev", "golang-go"],
    language: go(include_str!("probes/gorilla.go")),
};

const NHOOYR: Library = Library {
    row: Row("Go nhooyr.io/websocket 1.8.7", "nhooyr", SHOWN),
    packages: &["golang-nhooyr-websocket-dev", "golang-go"],
    language: go(include_str!("probes/nhooyr.go")),
};

const BEAST: Library = Library {
    row: Row("Boost.Beast 1.74", "beast", SHOWN),
    packages: &["libboost-dev", "g++"],
    language: Language::Compiled {
        by: &[
            "g++",
            "-std=c++17",
            "-pthread",
            "-o",
            "program",
            "beast.cpp",
        ],
        file: "beast.cpp",
        probe: include_str!("probes/beast.cpp"),
    },
};

const WEBSOCKETPP: Library = Library {
    row: Row("websocketpp 0.8.2", "websocketpp", SHOWN),
    packages: &["libwebsocketpp-dev", "libboost-dev", "g++"],
    language: Language::Compiled {
        by: &[
            "g++",
            "-std=c++17",
            "-pthread",
            "-o",
            "program",
            "websocketpp.cpp",
        ],
        file: "websocketpp.cpp",
        probe: include_str!("probes/websocketpp.cpp"),
    },
};

const LIBWEBSOCKETS: Library = Library {
    row: Row("libwebsockets 4.1.6", "libwebsockets", SHOWN),
    packages: &["libwebsockets-dev", "g++"],
    language: Language::Compiled {
        by: &["gcc", "-o", "program", "libwebsockets.c", "-lwebsockets"],
        file: "libwebsockets.c",
        probe: include_str!("probes/libwebsockets.c"),
    },
};

const FLOW_CONTROL: Library = Library {
    row: Row("libwebsockets, flow control 4.1.6", "flow_control", SHOWN),
    ..LIBWEBSOCKETS
};

const LUA_HTTP: Library = Library {
    row: Row("lua-http 0.4", "lua_http", SHOWN),
    packages: &["lua-http", "lua5.1", "lua-cjson"],
    language: interpreted(&["lua5.1"], "probe.lua", include_str!("probes/probe.lua")),
};

const QT: Library = Library {
    row: Row("Qt 5.15.8", "qt", SHOWN),
    packages: &["libqt5websockets5", "python3-pyqt5.qtwebsockets"],
    language: PYTHON,
};

const LIBSOUP: Library = Library {
    row: Row("libsoup 3.2.3", "libsoup", SHOWN),
    packages: &["gir1.2-soup-3.0", "python3-gi"],
    language: PYTHON,
};

const MOJOLICIOUS: Library = Library {
    row: Row("Mojolicious 9.31", "mojolicious", SHOWN),
    packages: &["libmojolicious-perl", "libio-socket-ssl-perl"],
    language: PERL,
};

const ANYEVENT: Library = Library {
    row: Row("AnyEvent::WebSocket::Client 0.54", "anyevent", SHOWN),
    packages: &["libanyevent-websocket-client-perl"],
    language: PERL,
};

const FAYE: Library = Library {
    row: Row("Ruby faye-websocket 0.11.0", "faye_websocket", SHOWN),
    packages: &["ruby-faye-websocket", "ruby"],
    language: interpreted(
        &["/usr/bin/ruby"],
        "probe.rb",
        include_str!("probes/probe.rb"),
    ),
};

const TCLLIB: Library = Library {
    row: Row("tcllib websocket 1.21", "tcllib", SHOWN),
    packages: &["tcllib", "tcl"],
    language: interpreted(&["tclsh"], "probe.tcl", include_str!("probes/probe.tcl")),
};

const EMACS: Library = Library {
    row: Row("Emacs websocket.el 1.13", "websocket_el", "without a code"),
    packages: &["elpa-websocket", "emacs-nox"],
    language: interpreted(
        &["emacs", "--script"],
        "probe.el",
        include_str!("probes/probe.el"),
    ),
};

const PERL: Language = interpreted(
    &["/usr/bin/perl"],
    "probe.pl",
    include_str!("probes/probe.pl"),
);

/// Not one of another place, which has not Debian's packages.
const PYTHON: Language = interpreted(
    &["/usr/bin/python3"],
    "probe.py",
    include_str!("probes/probe.py"),
);

const fn interpreted(
    by: &'static [&'static str],
    file: &'static str,
    probe: &'static str,
) -> Language {
    Language::Interpreted { by, file, probe }
}

const fn go(probe: &'static str) -> Language {
    Language::Compiled {
        by: &[
            "env",
            "GO111MODULE=off",
            "GOPATH=/usr/share/gocode",
            "go",
            "build",
            "-o",
            "program",
            "client.go",
        ],
        file: "client.go",
        probe,
    }
}

impl Library {
    fn is_installed(&self) -> bool {
        let (_, version) = self.row.0.rsplit_once(' ').unwrap();
        tools::debian(self.packages, version)
    }
}

macro_rules! as_said {
    ($($test:ident: $library:expr;)+) => {$(
        #[tokio::test]
        async fn $test() {
            if $library.is_installed() {
                row_is_as_said(&$library.language, &$library.row).await;
            }
        }
    )+};
}

as_said! {
    gorilla_is_as_said: GORILLA;
    nhooyr_is_as_said: NHOOYR;
    beast_is_as_said: BEAST;
    websocketpp_is_as_said: WEBSOCKETPP;
    libwebsockets_is_as_said: LIBWEBSOCKETS;
    libwebsockets_under_flow_control_is_as_said: FLOW_CONTROL;
    lua_http_is_as_said: LUA_HTTP;
    qt_is_as_said: QT;
    libsoup_is_as_said: LIBSOUP;
    mojolicious_is_as_said: MOJOLICIOUS;
    anyevent_is_as_said: ANYEVENT;
    faye_for_ruby_is_as_said: FAYE;
    tcllib_is_as_said: TCLLIB;
    emacs_is_as_said: EMACS;
}

/// Waits for a line with these words.
async fn says(program: &Program, words: &str) {
    until_within(PATIENCE, words, async || {
        let printed = program.stdout();
        printed
            .iter()
            .any(|line| line.contains(words))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn anyevent_is_told_1002_when_it_says_goodbye() {
    if !ANYEVENT.is_installed() {
        return;
    }
    let (server, token) = scene().await;
    let dir = tempfile::tempdir().unwrap();
    let url = format!(
        "ws://{}{}&token={token}",
        server.plain.as_ref().unwrap(),
        query()
    );
    let program = ANYEVENT
        .language
        .probe(dir.path(), ANYEVENT.row.1, &url, "goodbye");
    let mut author = server.login(&Login::new("u1")).await;
    author.say_acked("u2", "hello").await;
    says(&program.unwrap(), "closed 1002 ").await;
}

#[tokio::test]
async fn emacs_enters_a_handler_that_waits_again() {
    if !EMACS.is_installed() {
        return;
    }
    let (listener, url) = listener().await;
    let dir = tempfile::tempdir().unwrap();
    let program = EMACS
        .language
        .probe(dir.path(), EMACS.row.1, &url, "waiting")
        .unwrap();
    let mut peer = Peer::accept(&listener).await;
    peer.send(TEXT, b"m1").await;
    program.prints("waiting").await;
    peer.send(TEXT, b"m2").await;
    peer.send(TEXT, b"m3").await;
    program.prints("message m1").await;
    assert_eq!(
        program.stdout(),
        ["waiting", "message m2", "message m3", "message m1"]
    );
}

#[tokio::test]
async fn emacs_refuses_the_answer_to_a_token_as_subprotocol() {
    if !EMACS.is_installed() {
        return;
    }
    let (server, token) = scene().await;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("ws://{}{}", server.plain.as_ref().unwrap(), query());
    let program = EMACS.language.probe(dir.path(), EMACS.row.1, &url, &token);
    says(&program.unwrap(), "missing protocol").await;
}

macro_rules! lines_work {
    ($($test:ident: $library:expr, $fence:literal, $around:expr;)+) => {$(
        #[tokio::test]
        async fn $test() {
            if $library.is_installed() {
                lines_work(&$library.language, $fence, $around).await;
            }
        }
    )+};
}

lines_work! {
    the_lines_for_go_work: GORILLA, "go", [
        "package main; import (\"fmt\"; \"log\"; \"net/http\"; \"os\"; \"github.com/gorilla/websocket\")\n\
         func main() { url, token := os.Getenv(\"URL\"), os.Getenv(\"TOKEN\")\n",
        "}",
    ];
    the_lines_for_perl_work: MOJOLICIOUS, "perl", ["my ($url, $token) = @ENV{qw(URL TOKEN)}; $| = 1;\n", ""];
    the_lines_for_ruby_work: FAYE, "ruby", ["url, token = ENV['URL'], ENV['TOKEN']; $stdout.sync = true\n", ""];
    the_lines_for_lua_work: LUA_HTTP, "lua", [
        "local url, token = os.getenv 'URL', os.getenv 'TOKEN'; io.stdout:setvbuf 'line'\n",
        "",
    ];
}
