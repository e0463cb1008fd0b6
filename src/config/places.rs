//! Directories, and the socket of the command line.

use std::path::PathBuf;

use super::parse::Parsed;

pub(super) fn directory(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        return Err("a directory".to_owned());
    }
    Ok(PathBuf::from(text))
}

pub(super) fn socket(text: &str) -> Parsed<Option<PathBuf>> {
    match text {
        "auto" => Ok(None),
        text if text.ends_with('/') => Err("the path of a socket, or auto".to_owned()),
        text => directory(text)
            .map(Some)
            .map_err(|_| "the path of a socket, or auto".to_owned()),
    }
}
