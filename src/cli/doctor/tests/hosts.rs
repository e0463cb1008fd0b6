//! Findings about the addresses of the server's names.

use super::*;

const BOTH: &[&str] = &["192.0.2.7", "2001:db8::2", "2001:db8::3"];

/// What is said of a name with these addresses.
fn told(settings: &str, has_ipv6: bool, addresses: &[&str]) -> Vec<(State, String)> {
    let mut facts = healthy();
    facts.has_ipv6 = has_ipv6;
    facts.hosts = vec![Host {
        name: "chat.example".to_owned(),
        addresses: Ok(addresses.iter().map(|ip| ip.parse().unwrap()).collect()),
    }];
    let findings = judge(&config(settings), &facts).0.into_iter();
    let findings = findings.filter(|finding| finding.check == Check::HostAddresses);
    findings
        .map(|finding| (finding.state, finding.says))
        .collect()
}

#[test]
fn a_name_leads_to_what_is_listened_for_in_both_families() {
    use State::{Ok, Warning};
    let ipv4 = "leads to 192.0.2.7 (IPv4)";
    let not_ipv6 = "leads to 2001:db8::2, and 0.0.0.0:8443 is not reached by IPv6";
    let not_ipv4 = "leads to 192.0.2.7, and [2001:db8::2]:8443 is not reached by IPv4";
    type Told<'a> = &'a [(State, &'a str)];
    let cases: [(&str, bool, &[&str], Told<'_>); 9] = [
        (
            "",
            true,
            BOTH,
            &[(
                Ok,
                "192.0.2.7 (IPv4) and 2001:db8::2 (IPv6), which [::]:8443",
            )],
        ),
        (
            "",
            true,
            &["2001:db8::2"],
            &[(Ok, "leads to 2001:db8::2 (IPv6), which")],
        ),
        (
            "",
            false,
            BOTH,
            &[(Warning, "that this machine has IPv6"), (Ok, ipv4)],
        ),
        ("", false, &["192.0.2.7"], &[(Ok, ipv4)]),
        (
            "listen = '0.0.0.0:8443'",
            true,
            BOTH,
            &[(Warning, not_ipv6), (Ok, ipv4)],
        ),
        (
            "listen = '127.0.0.1:8443'",
            true,
            &["::1"],
            &[(Warning, "--listen '[::]:8443'")],
        ),
        (
            "listen = '[2001:db8::2]:8443'",
            true,
            BOTH,
            &[(Warning, not_ipv4), (Ok, "2001:db8::2 (IPv6)")],
        ),
        (
            "listen = 'off'\nplain = '0.0.0.0:80'",
            true,
            BOTH,
            &[(Warning, "--plain '[::]:80'"), (Ok, ipv4)],
        ),
        // Those are the proxy's.
        ("listen = 'off'\nplain = '127.0.0.1:80'", true, BOTH, &[]),
    ];
    for (settings, has_ipv6, addresses, expected) in cases {
        let told = told(settings, has_ipv6, addresses);
        let states: Vec<_> = told.iter().map(|(state, _)| *state).collect();
        let wanted: Vec<_> = expected.iter().map(|(state, _)| *state).collect();
        assert_eq!(states, wanted, "{settings}: {told:?}");
        for ((_, says), (_, words)) in told.iter().zip(expected) {
            assert!(says.contains(words), "no {words:?} in {says:?}");
        }
    }
}

#[test]
fn a_name_that_is_not_found_is_told_of() {
    hold(&[(
        "",
        |f| {
            f.hosts = vec![Host {
                name: "chat.example".to_owned(),
                addresses: Err("no answer within 5 s".to_owned()),
            }];
        },
        (
            Check::HostAddresses,
            State::Warning,
            "no address of chat.example (--host): no answer within 5 s; clients",
        ),
    )]);
}
