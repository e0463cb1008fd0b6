//! The modules of a crate: where each name is defined, and so which file uses which.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenStream;

use crate::names::{self, Body, Names};

/// How many imports are followed from a name to its definition.
const HOPS_MAX: usize = 8;

/// From the root; the root's own is empty.
type ModulePath = Vec<String>;

/// Files and what each uses of others: `(user, used)` → items.
pub(crate) type Uses = BTreeMap<(String, String), BTreeSet<String>>;

pub(crate) struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

struct Module {
    file: String,
    names: Names,
}

#[derive(Clone, Debug, PartialEq)]
enum Target {
    Module(ModulePath),
    Item { module: ModulePath, name: String },
}

impl Target {
    fn is_item(&self) -> bool {
        matches!(self, Self::Item { .. })
    }
}

impl Crate {
    /// Reads a crate from its root file on, along its `mod` lines.
    pub(crate) fn read(root: &str, text: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut modules = BTreeMap::new();
        let dir = parent(root);
        read_file(Vec::new(), root, dir, text, &mut modules);
        Self { modules }
    }

    /// Every file that belongs to it.
    pub(crate) fn files(&self) -> BTreeSet<&str> {
        self.modules
            .values()
            .map(|module| module.file.as_str())
            .collect()
    }

    /// Which file uses which: `mod` lines and public names for what lies below are no use.
    pub(crate) fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for (path, module) in &self.modules {
            for target in self.used_by(path, &module.names) {
                let Target::Item { module: of, name } = target else {
                    continue;
                };
                let used = &self.modules[&of].file;
                if *used != module.file {
                    let edge = (module.file.clone(), used.clone());
                    uses.entry(edge).or_default().insert(name);
                }
            }
        }
        uses
    }

    fn used_by<'a>(
        &'a self,
        path: &'a ModulePath,
        names: &'a Names,
    ) -> impl Iterator<Item = Target> + 'a {
        let imported = names.imports.iter().flat_map(move |import| {
            let mut targets = match import.name {
                Some(_) => Vec::from_iter(self.resolve(path, &import.path, true, 0)),
                None => self.traits(path, &import.path),
            };
            let is_below = |target: &Target| matches!(target, Target::Item { module, .. } if module.starts_with(path));
            targets.retain(|target| !(import.is_public && is_below(target)));
            targets
        });
        let written = names.paths.iter();
        imported.chain(written.filter_map(move |written| self.resolve(path, written, true, 0)))
    }

    /// The traits that `use path::*` brings: their methods are called without a name.
    fn traits(&self, from: &ModulePath, path: &[String]) -> Vec<Target> {
        let Some(Target::Module(module)) = self.resolve(from, path, false, 0) else {
            return Vec::new();
        };
        let traits = self.modules[&module].names.traits.iter();
        traits
            .map(|name| Target::Item {
                module: module.clone(),
                name: name.clone(),
            })
            .collect()
    }

    /// What a path means in the module `from`; `None` for other crates and local names. Its last name may be a
    /// module's and an item's at once: `as_item` says which is meant.
    fn resolve(
        &self,
        from: &ModulePath,
        path: &[String],
        as_item: bool,
        hops: usize,
    ) -> Option<Target> {
        let mut target = Target::Module(from.clone());
        for (at, name) in path.iter().enumerate() {
            let Target::Module(mut module) = target else {
                // A variant or an associated item.
                break;
            };
            target = match name.as_str() {
                "crate" => Target::Module(Vec::new()),
                "self" => Target::Module(module),
                "super" => {
                    module.pop()?;
                    Target::Module(module)
                }
                name => {
                    let is_last = at + 1 == path.len();
                    match self.lookup(&module, name, as_item && is_last, hops) {
                        Some(target) => target,
                        None if at == 0 => return None,
                        // A macro has defined it.
                        None => Target::Item {
                            name: name.to_owned(),
                            module,
                        },
                    }
                }
            };
        }
        Some(target)
    }

    fn lookup(&self, path: &ModulePath, name: &str, as_item: bool, hops: usize) -> Option<Target> {
        if hops > HOPS_MAX {
            return None;
        }
        let names = &self.modules.get(path)?.names;
        let own = names.items.contains(name).then(|| Target::Item {
            module: path.clone(),
            name: name.to_owned(),
        });
        let mut below = path.clone();
        below.push(name.to_owned());
        let child = self.modules.contains_key(&below);
        let imports = names.imports.iter();
        let imported = imports
            .filter(|import| import.name.as_deref() == Some(name))
            .filter_map(|import| self.resolve(path, &import.path, as_item, hops + 1));
        let named: Vec<_> = own
            .into_iter()
            .chain(imported)
            .chain(child.then_some(Target::Module(below)))
            .collect();
        if let Some(first) = named.first() {
            let fitting = named.iter().find(|target| target.is_item() == as_item);
            return fitting.or(Some(first)).cloned();
        }
        let globs = names.imports.iter().filter(|import| import.name.is_none());
        globs
            .filter_map(|glob| self.resolve(path, &glob.path, false, hops + 1))
            .find_map(|target| match target {
                Target::Module(module) if module != *path => {
                    self.lookup(&module, name, as_item, hops + 1)
                }
                _ => None,
            })
    }
}

fn read_file(
    path: ModulePath,
    file: &str,
    dir: String,
    text: &dyn Fn(&str) -> Option<String>,
    modules: &mut BTreeMap<ModulePath, Module>,
) {
    let source = text(file).unwrap_or_else(|| panic!("{file} is not there"));
    let tokens: TokenStream = source
        .parse()
        .unwrap_or_else(|error| panic!("{file}: {error}"));
    read_tokens(path, file, dir, tokens, text, modules);
}

/// `dir` is where the files of its children lie.
fn read_tokens(
    path: ModulePath,
    file: &str,
    dir: String,
    tokens: TokenStream,
    text: &dyn Fn(&str) -> Option<String>,
    modules: &mut BTreeMap<ModulePath, Module>,
) {
    let (names, children) = names::read(tokens);
    for child in children {
        let mut below = path.clone();
        below.push(child.name.clone());
        let nested = format!("{dir}{}/", child.name);
        match child.body {
            Body::Inline(tokens) => read_tokens(below, file, nested, tokens, text, modules),
            Body::File(Some(given)) => {
                let given = normal(&format!("{}{given}", parent(file)));
                let dir = parent(&given);
                read_file(below, &given, dir, text, modules);
            }
            Body::File(None) => {
                let flat = format!("{dir}{}.rs", child.name);
                let found = match text(&flat) {
                    Some(_) => flat,
                    None => format!("{nested}mod.rs"),
                };
                read_file(below, &found, nested, text, modules);
            }
        }
    }
    let file = file.to_owned();
    modules.insert(path, Module { file, names });
}

/// The directory of a file, with a slash at its end; empty at the top.
fn parent(file: &str) -> String {
    file.rfind('/')
        .map_or(String::new(), |slash| file[..=slash].to_owned())
}

/// A path without `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
