//! Name constraints of a CA issued here (RFC 5280, 4.2.1.10): only the names of its certificates. A stolen key is thus
//! of no use for other names.

use std::net::IpAddr;

use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::x509;

/// Constraints that permit these names and addresses, including subdomains, and nothing else.
pub(super) fn permitting(names: &[String]) -> NameConstraints {
    let permitted = names.iter().map(|name| match name.parse::<IpAddr>() {
        Ok(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits))
        }
        Err(_) => GeneralSubtree::DnsName(base(name).to_ascii_lowercase()),
    });
    NameConstraints {
        permitted_subtrees: permitted.collect(),
        excluded_subtrees: Vec::new(),
    }
}

/// Whether a CA has any name constraints.
pub(super) fn are_in(ca: &X509Certificate<'_>) -> bool {
    ca.name_constraints().is_ok_and(|found| found.is_some())
}

/// Whether a CA issued here may sign for all these names and addresses.
pub(super) fn permit(ca: &X509Certificate<'_>, names: &[String]) -> bool {
    let Ok(Some(constraints)) = ca.name_constraints() else {
        return true;
    };
    let permitted = constraints.value.permitted_subtrees.as_deref();
    let permitted = permitted.unwrap_or_default();
    names.iter().all(|name| {
        permitted
            .iter()
            .any(|subtree| holds(&subtree.base, name.as_str()))
    })
}

/// The names of a CA's constraints, and those of `names` outside them.
pub(super) fn extended(ca: &X509Certificate<'_>, names: &[String]) -> Vec<String> {
    let constraints = ca.name_constraints().ok().flatten();
    let permitted = constraints.and_then(|found| found.value.permitted_subtrees.as_deref());
    let Some(permitted) = permitted else {
        return names.to_owned();
    };
    let mut all: Vec<_> = permitted
        .iter()
        .filter_map(|subtree| name(&subtree.base))
        .collect();
    let is_beyond = |name: &&String| !permit(ca, std::slice::from_ref(*name));
    all.extend(names.iter().filter(is_beyond).cloned());
    all
}

/// The name or single address of a subtree.
fn name(subtree: &GeneralName<'_>) -> Option<String> {
    match subtree {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(network) => {
            let (first, mask) = network.split_at(network.len() / 2);
            if mask.iter().any(|byte| *byte != 0xff) {
                return None;
            }
            x509::address(first).map(|address| address.to_string())
        }
        _ => None,
    }
}

fn holds(subtree: &GeneralName<'_>, name: &str) -> bool {
    match (subtree, name.parse::<IpAddr>()) {
        (GeneralName::IPAddress(network), Ok(IpAddr::V4(address))) => {
            is_in(network, &address.octets())
        }
        (GeneralName::IPAddress(network), Ok(IpAddr::V6(address))) => {
            is_in(network, &address.octets())
        }
        (GeneralName::DNSName(above), Err(_)) => {
            let (name, above) = (base(name).to_ascii_lowercase(), above.to_ascii_lowercase());
            let below = name.strip_suffix(&above);
            below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
        }
        _ => false,
    }
}

/// Whether an address is in a network, encoded as an address followed by its mask.
fn is_in(network: &[u8], address: &[u8]) -> bool {
    let (first, mask) = network.split_at(network.len() / 2);
    let bytes = first.iter().zip(mask).zip(address);
    first.len() == address.len()
        && bytes.fold(true, |is_in, ((first, mask), byte)| {
            is_in && first & mask == byte & mask
        })
}

/// A name without its leading `*`.
fn base(name: &str) -> &str {
    name.strip_prefix("*.").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use x509_parser::prelude::FromDer as _;

    use super::*;

    #[test]
    fn a_ca_may_sign_for_its_names_and_what_is_below_them() {
        let owned = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let names = owned(&[
            "localhost",
            "Chat.Example",
            "*.shop.example",
            "192.0.2.7",
            "2001:db8::7",
        ]);
        params.name_constraints = Some(permitting(&names));
        let ca = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, ca) = X509Certificate::from_der(ca.der()).unwrap();
        assert!(are_in(&ca) && permit(&ca, &names));
        for inside in [
            "chat.example",
            "a.b.chat.example",
            "*.chat.example",
            "shop.example",
        ] {
            assert!(permit(&ca, &owned(&[inside])), "{inside}");
        }
        for outside in [
            "example",
            "xchat.example",
            "192.0.2.8",
            "2001:db8::8",
            "::ffff:192.0.2.7",
            "*.example",
        ] {
            assert!(!permit(&ca, &owned(&["localhost", outside])), "{outside}");
        }

        let more = owned(&[
            "app.chat.example",
            "192.0.2.7",
            "new.example",
            "2001:db8::8",
        ]);
        let all = [
            "localhost",
            "chat.example",
            "shop.example",
            "192.0.2.7",
            "2001:db8::7",
            "new.example",
            "2001:db8::8",
        ];
        assert_eq!(extended(&ca, &more), owned(&all));

        params.name_constraints = None;
        let free = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, free) = X509Certificate::from_der(free.der()).unwrap();
        assert_eq!(extended(&free, &more), more);
        assert!(!are_in(&free) && permit(&free, &owned(&["any.example", "192.0.2.9"])));
    }
}
