//! Findings about addresses and the machine.

use super::*;

#[test]
fn addresses_are_judged() {
    use Check::{
        HistoryOpen, Listen, Metrics, MetricsPort, Plain, PlainPort, Port as TlsPort,
        Server as OfServer, Settings,
    };
    use State::{Ok, Problem, Warning};
    fn stopped(facts: &mut Facts, listen: Port) {
        facts.server = ServerStatus::None;
        tls(facts).port = listen;
    }
    fn taken(facts: &mut Facts, kind: ErrorKind) {
        stopped(facts, Port::Taken(kind.into()));
    }
    hold(&[
        (
            "",
            |f| f.warnings.push("odd".to_owned()),
            (Settings, Warning, "odd"),
        ),
        (
            "",
            |f| f.server = ServerStatus::Unreachable("no way".to_owned()),
            (OfServer, Problem, "no way"),
        ),
        (
            "",
            |f| {
                f.server = ServerStatus::Running {
                    process: Some(42),
                    domains: 2,
                    not_writable: Some("the quota is used up".to_owned()),
                }
            },
            (OfServer, Problem, "is sent: the quota is used up"),
        ),
        (
            "",
            |f| stopped(f, Port::Free),
            (TlsPort, Ok, "[::]:8443 is free"),
        ),
        (
            "",
            |f| tls(f).port = Port::Free,
            (TlsPort, Warning, "other settings"),
        ),
        (
            "",
            |f| tls(f).port = Port::Other("noise".to_owned()),
            (TlsPort, Problem, "talked to at [::]:8443: noise"),
        ),
        (
            "listen = '0.0.0.0:0'",
            |f| stopped(f, Port::Any),
            (TlsPort, Warning, "port 0"),
        ),
        (
            "",
            |f| taken(f, ErrorKind::AddrInUse),
            (TlsPort, Problem, "another program has it"),
        ),
        (
            "",
            |f| taken(f, ErrorKind::PermissionDenied),
            (TlsPort, Problem, "CAP_NET_BIND_SERVICE"),
        ),
        (
            "",
            |f| taken(f, ErrorKind::AddrNotAvailable),
            (TlsPort, Problem, "does not have that"),
        ),
        (
            "",
            |f| taken(f, ErrorKind::OutOfMemory),
            (TlsPort, Problem, "out of memory"),
        ),
        (
            "listen = '127.0.0.1:8443'",
            |_| {},
            (Listen, Warning, "--listen '[::]:8443'"),
        ),
        (
            "listen = '[::1]:8443'",
            |_| {},
            (Listen, Warning, "only programs on this machine"),
        ),
        (
            "listen = '127.0.0.1:8443'\nplain = '127.0.0.1:80'",
            |f| f.plain = Some(Port::Answers),
            (Listen, Ok, "a proxy"),
        ),
        (
            "plain = '127.0.0.1:80'",
            |f| f.plain = Some(Port::Taken(ErrorKind::AddrInUse.into())),
            (PlainPort, Problem, "another port with --plain"),
        ),
        (
            "metrics_listen = '127.0.0.1:80'",
            |f| f.metrics = Some(Port::Taken(ErrorKind::AddrInUse.into())),
            (MetricsPort, Problem, "another port with --metrics-listen"),
        ),
        (
            "",
            |_| {},
            (
                Metrics,
                Ok,
                "messages, no names), as is the default: --metrics-listen 127.0.0.1:9090",
            ),
        ),
        (
            "listen = '127.0.0.1:8443'\nplain = '[::1]:80'",
            |_| {},
            (Metrics, Ok, "through a proxy that passes it on"),
        ),
        (
            "metrics_listen = '192.0.2.7:9090'",
            |_| {},
            (Metrics, Ok, "reaches 192.0.2.7:9090 reads /metrics"),
        ),
        (
            "metrics_listen = '127.0.0.1:9090'",
            |_| {},
            (Metrics, Ok, "only programs on this machine read"),
        ),
        (
            "plain = '0.0.0.0:80'",
            |_| {},
            (Plain, Warning, "--plain 127.0.0.1:80"),
        ),
        (
            "plain = '192.0.2.7:80'",
            |_| {},
            (Plain, Warning, "unencrypted"),
        ),
        (
            "plain = '[::1]:80'",
            |_| {},
            (Plain, Ok, "does not leave this machine"),
        ),
        (
            "history_open = true",
            |_| {},
            (HistoryOpen, Warning, "reaches [::]:8443"),
        ),
        (
            "history_open = true",
            |_| {},
            (HistoryOpen, Warning, "no web page of another origin does"),
        ),
        (
            "history_open = true\ncors_origins = ['https://a.example']",
            |_| {},
            (HistoryOpen, Warning, "so do web pages of cors_origins"),
        ),
        (
            "history_open = true\nlisten = '127.0.0.1:1'\nplain = '127.0.0.1:2'",
            |_| {},
            (HistoryOpen, Ok, "no web page of another origin does"),
        ),
        (
            "history_open = true\nlisten = '127.0.0.1:1'\nplain = '127.0.0.1:2'\ncors_origins = '*'",
            |_| {},
            (HistoryOpen, Warning, "so does every web page"),
        ),
    ]);
}

#[test]
fn the_machine_is_judged() {
    use Check::{Clock, OpenFiles as Files};
    use State::{Ok, Problem, Warning};
    fn limit(facts: &mut Facts, limit: u64) {
        facts.open_files.limit = Some(limit);
    }
    fn behind(facts: &mut Facts, seconds: u64) {
        facts.store.as_mut().unwrap().as_mut().unwrap().newest.0 =
            facts.now_us + seconds * 1_000_000;
    }
    hold(&[
        (
            "",
            |f| f.is_synchronised = false,
            (Clock, Ok, "is not known here"),
        ),
        ("", |f| behind(f, 60), (Clock, Ok, "set from the network")),
        ("", |f| behind(f, 3661), (Clock, Warning, "1h 1m 1s behind")),
        (
            "",
            |f| {
                let store = f.store.as_mut().unwrap().as_mut().unwrap();
                let (ahead_s, left) = (90_000, std::time::Duration::from_secs(60));
                store.clock_hold = Some(crate::store::ClockHold { ahead_s, left });
            },
            (Clock, Warning, "nothing is dropped or erased by age"),
        ),
        ("", |f| f.open_files.limit = None, (Files, Ok, "no limit")),
        ("", |f| limit(f, 51_256), (Files, Ok, "enough for 51,000")),
        ("", |f| limit(f, 51_255), (Files, Warning, "to 51,256")),
        ("", |f| limit(f, 256), (Files, Problem, "next to nothing")),
        (
            "",
            |f| (f.open_files.of_server, f.open_files.limit) = (false, Some(1024)),
            (Files, Warning, "is not known"),
        ),
    ]);
    let mut facts = healthy();
    facts.now_us = 0;
    let findings = judge(&config(""), &facts).0;
    let clock = findings.iter().find(|found| found.check == Clock).unwrap();
    assert_eq!(clock.state, Problem, "{clock:?}");
}
