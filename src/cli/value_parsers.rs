//! Parsers of names on the command line, so that bad ones are refused early.

use crate::model::{Domain, Resource, UserId};

pub(super) fn domain_name(text: &str) -> Result<String, String> {
    let domain = Domain::parse(text).map_err(|e| format!("a domain's name {e}"))?;
    Ok(domain.as_str().to_owned())
}

pub(super) fn user_id(text: &str) -> Result<String, String> {
    UserId::parse(text).map_err(|error| format!("an id {error}"))?;
    Ok(text.to_owned())
}

pub(super) fn resource(text: &str) -> Result<String, String> {
    Resource::parse(text).map_err(|error| format!("a resource {error}"))?;
    Ok(text.to_owned())
}
