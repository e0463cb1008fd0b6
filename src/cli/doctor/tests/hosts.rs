//! Findings about the addresses of host names.

use super::*;

/// Findings for a host name with these addresses.
fn told(listen: &str, addresses: &[(&str, bool)]) -> Vec<(State, String)> {
    let address = |(ip, is_own): &(&str, bool)| Address {
        ip: ip.parse().unwrap(),
        is_own: *is_own,
    };
    let mut facts = healthy();
    facts.hosts = vec![Host {
        name: "chat.example".to_owned(),
        addresses: Ok(addresses.iter().map(address).collect()),
    }];
    let config = config(&format!("listen = '{listen}'\nplain = '127.0.0.1:80'"));
    let findings = judge(&config, &facts).0.into_iter();
    let findings = findings.filter(|finding| finding.check == Check::HostAddresses);
    findings
        .map(|finding| (finding.state, finding.says))
        .collect()
}

#[test]
fn a_name_leads_to_what_is_listened_on() {
    use State::{Ok, Warning};
    const V4: (&str, bool) = ("192.0.2.7", true);
    const V6: (&str, bool) = ("2001:db8::2", true);
    const NAT: (&str, bool) = ("203.0.113.9", false);
    const NAT6: (&str, bool) = ("2001:db8:1::9", false);
    const LOCAL: (&str, bool) = ("127.0.1.1", true);
    const LOCAL6: (&str, bool) = ("::1", true);
    let ipv4 = "chat.example leads to 192.0.2.7, which ";
    let not_here = "chat.example (--host) leads to 2001:db8::2, and 0.0.0.0:8443 does not listen";
    let advice = "--listen '[::]:8443'";
    let elsewhere = "leads to 203.0.113.9 and 2001:db8:1::9, which this machine does not have";
    type Led<'a> = &'a [(&'a str, bool)];
    type Told<'a> = &'a [(State, &'a str)];
    let cases: [(&str, Led<'_>, Told<'_>); 9] = [
        (
            "[::]:8443",
            &[V4, V6],
            &[(Ok, "192.0.2.7 and 2001:db8::2, which [::]:8443")],
        ),
        (
            "0.0.0.0:8443",
            &[V4, V6],
            &[(Warning, not_here), (Ok, ipv4)],
        ),
        (
            "192.0.2.7:8443",
            &[V4, V6],
            &[(Warning, advice), (Ok, ipv4)],
        ),
        ("[2001:db8::2]:8443", &[V4], &[(Warning, advice)]),
        ("[::ffff:192.0.2.7]:8443", &[V4], &[(Ok, ipv4)]),
        ("0.0.0.0:8443", &[NAT, NAT6], &[(Ok, elsewhere)]),
        (
            "[::]:8443",
            &[V4, NAT],
            &[(Ok, ipv4), (Ok, "leads to 203.0.113.9, which this")],
        ),
        // Debian lists the machine's own name in /etc/hosts like this.
        ("192.0.2.7:8443", &[LOCAL, LOCAL6], &[]),
        (
            "0.0.0.0:8443",
            &[LOCAL, LOCAL6],
            &[(Ok, "leads to 127.0.1.1, which 0.0.0.0:8443")],
        ),
    ];
    for (listen, addresses, expected) in cases {
        let told = told(listen, addresses);
        let states: Vec<_> = told.iter().map(|(state, _)| *state).collect();
        let wanted: Vec<_> = expected.iter().map(|(state, _)| *state).collect();
        assert_eq!(states, wanted, "{listen}: {told:?}");
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
            State::Ok,
            "no address of chat.example (--host) is known here: no answer within 5 s",
        ),
    )]);
}
