//! `retention.applied`: the retention that was last in force.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::layout;
use crate::model::{Domain, Retention};
use crate::store::api::FileError;
use crate::store::disk::FileSystem;

pub(crate) const FILE: &str = "retention.applied";

/// The retention that was last in force in a data directory, if known.
pub(crate) fn applied(files: &dyn FileSystem, dir: &Path) -> Result<Option<Retention>, FileError> {
    let Some(bytes) = layout::read(files, dir, FILE)? else {
        return Ok(None);
    };
    let retention = decode(&bytes);
    if retention.is_none() {
        tracing::warn!(
            file = FILE,
            "it does not say which retention was in force: everything was kept, as far as is known"
        );
    }
    Ok(retention)
}

pub(crate) fn encode(retention: &Retention) -> Vec<u8> {
    let ms = |kept: Option<Duration>| json!(kept.map(|kept| kept.as_millis() as u64));
    let domains = retention.domains.iter();
    let domains: Map<String, Value> = domains
        .map(|(domain, kept)| (domain.as_str().to_owned(), ms(*kept)))
        .collect();
    let value = json!({"all": ms(retention.all), "domains": domains});
    format!("{value}\n").into_bytes()
}

fn decode(bytes: &[u8]) -> Option<Retention> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let kept = |ms: &Value| match ms {
        Value::Null => Some(None),
        ms => Some(Some(Duration::from_millis(ms.as_u64()?))),
    };
    let domains = value.get("domains")?.as_object()?.iter();
    let domains = domains.map(|(domain, ms)| Some((Domain::parse(domain).ok()?, kept(ms)?)));
    Some(Retention {
        all: kept(value.get("all")?)?,
        domains: domains.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_file_is_read_as_it_was_written_or_not_at_all() {
        let domain = |name| Domain::parse(name).expect("valid");
        let retention = Retention {
            all: Some(Duration::from_secs(60)),
            domains: BTreeMap::from([
                (domain("ever"), None),
                (domain("a=\"b"), Some(Duration::from_millis(1_500))),
            ]),
        };
        let bytes = encode(&retention);
        let golden = r#"{"all":60000,"domains":{"a=\"b":1500,"ever":null}}"#;
        assert_eq!(String::from_utf8_lossy(&bytes).trim_end(), golden);
        assert_eq!(decode(&bytes), Some(retention));
        assert_eq!(
            decode(&encode(&Retention::default())),
            Some(Retention::default())
        );
        for bad in ["", "{}", r#"{"all":-1,"domains":{}}"#, &golden[..30]] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
