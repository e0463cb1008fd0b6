use super::*;
use crate::config::limits::{SECOND, YEAR};

#[test]
fn sizes_take_units() {
    let size = size::<u64>(1..=4 << 30);
    for (text, bytes) in [
        ("1", 1),
        ("262144", 262_144),
        ("256KiB", 262_144),
        ("256 kib", 262_144),
        ("256K", 262_144),
        ("1_000", 1000),
        ("2kB", 2000),
        ("3MiB", 3 << 20),
        ("4GiB", 4 << 30),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for text in [
        "",
        "0",
        "-1",
        "KiB",
        "1.5MiB",
        "5GiB",
        "1x",
        "99999999999GiB",
    ] {
        assert_eq!(size(text), Err("from 1 to 4GiB".to_owned()), "{text}");
    }
}

#[test]
fn durations_are_bounded() {
    let duration = duration(100..=3_600_000);
    assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
    for text in ["0s", "25", "2h", "99ms", "soon"] {
        let expected = duration(text).err();
        assert!(
            expected.is_some_and(|e| e.ends_with("from 100ms to 1h")),
            "{text}"
        );
    }
}

#[test]
fn a_retention_is_of_all_or_of_one_domain() {
    let days = |n: u64| Some(Duration::from_secs(n * 86_400));
    let domain = |name| Domain::parse(name).ok();
    let retention = |text| domain_value(text, &retention(SECOND..=100 * YEAR));
    assert_eq!(retention("30days"), Ok((None, days(30))));
    assert_eq!(retention("shop=1day"), Ok((domain("shop"), days(1))));
    assert_eq!(retention("shop=off"), Ok((domain("shop"), None)));
    for text in [
        "",
        "30",
        "shop=",
        "=1day",
        "1ms",
        "200years",
        "shop=ever",
        "a=1s=2s",
        "a=1s,b=2s",
    ] {
        assert!(retention(text).is_err(), "{text}");
    }
}

#[test]
fn a_retention_in_m_is_refused_with_both_meanings() {
    let retention = |text| domain_value(text, &retention(SECOND..=100 * YEAR));
    for (text, minutes, months) in [
        ("6m", "6min", "6months"),
        ("6M", "6min", "6months"),
        (" 12 m ", "12min", "12months"),
        ("shop=3m", "3min", "3months"),
        ("1year 6m", "6min", "6months"),
        ("1day6M", "6min", "6months"),
    ] {
        let refused = retention(text).expect_err(text);
        let both = [minutes, months].map(|meaning| refused.contains(meaning));
        assert_eq!(both, [true, true], "{text}: {refused}");
    }
    for (text, seconds) in [
        ("6min", 360),
        ("6mins", 360),
        ("6minutes", 360),
        ("6months", 6 * 2_630_016),
        ("1month 1min", 2_630_076),
    ] {
        let kept = Some(Duration::from_secs(seconds));
        assert_eq!(retention(text), Ok((None, kept)), "{text}");
    }
}

#[test]
fn addresses_and_hosts() {
    assert!(address("localhost:1").is_ok_and(|a| a.ip().is_loopback()));
    assert!(address("[::]:0").is_ok());
    for text in [
        "8443",
        ":8443",
        "localhost",
        "0.0.0.0:99999",
        "example.com:1",
    ] {
        assert!(address(text).is_err(), "{text}");
    }
    assert_eq!(or_off(address)("off"), Ok(None));
    for text in [
        "a",
        "chat.example.com",
        "*.example.com",
        "10.0.0.1",
        "::1",
        "xn--a_b-c",
    ] {
        assert_eq!(host(text), Ok(text.to_owned()));
    }
    for text in [
        "",
        "a..b",
        "a.",
        "-a",
        "a:1",
        "https://a",
        "ü.de",
        "a b",
        "*",
        "[::1]",
    ] {
        assert!(host(text).is_err(), "{text}");
    }
    for (text, expected) in [
        ("[2001:db8::2]", "2001:db8::2"),
        ("[::1]", "::1"),
        ("b\u{fc}cher.example", "xn--bcher-kva.example"),
        ("B\u{dc}CHER.example", "xn--bcher-kva.example"),
        // Composed or not.
        ("bu\u{308}cher.example", "xn--bcher-kva.example"),
        ("*.\u{4f60}\u{597d}.example", "*.xn--6qq79v.example"),
        ("Chat.Example", "Chat.Example"),
        ("my_host", "my_host"),
        ("192.0.2.7", "192.0.2.7"),
    ] {
        assert_eq!(server_name(text).as_deref(), Ok(expected), "{text}");
    }
    for text in [
        "",
        "[192.0.2.7]",
        "[a]",
        "[::1]:8443",
        "https://b\u{fc}cher.example",
        "b\u{fc}cher.example:8443",
        "b\u{fc}cher..example",
        "\u{202e}.example",
    ] {
        assert!(server_name(text).is_err(), "{text}");
    }
}

#[test]
fn rates_and_networks() {
    let parsed = |text| rate(text).map(|rate| (rate.count.get(), rate.per.as_secs()));
    assert_eq!(parsed("100/s"), Ok((100, 1)));
    assert_eq!(parsed("6_000 / min"), Ok((6000, 60)));
    assert_eq!(parsed("1/h"), Ok((1, 3600)));
    for text in ["0/s", "100", "/s", "1/day", "-1/s", "1000001/s", ""] {
        assert!(rate(text).is_err(), "{text}");
    }
    assert_eq!(or_off(rate)("off"), Ok(None));
    let bytes = |text| byte_rate(text).map(|rate| (rate.count.get(), rate.per.as_secs()));
    assert_eq!(bytes("64MiB/min"), Ok((64 << 20, 60)));
    assert_eq!(bytes("1_000 kB / s"), Ok((1_000_000, 1)));
    for text in [
        "64MiB",
        "1KiB/day",
        "1023/s",
        "-1MiB/s",
        "/s",
        "2000000GiB/s",
    ] {
        assert!(byte_rate(text).is_err(), "{text}");
    }
    for (text, expected) in [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("::1", "::1/128"),
        ("192.0.2.1", "192.0.2.1/32"),
    ] {
        let network = network(text).map(|network| network.to_string());
        assert_eq!(network.as_deref(), Ok(expected));
    }
    assert!(network("10.0.0.0/33").is_err() && network("localhost").is_err());
}
