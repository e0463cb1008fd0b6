//! What the text of a module says of names: those that it defines, imports and writes.
//!
//! Read from tokens and not from a syntax tree, since half of the code stands in macros, which a tree keeps as tokens.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// What one module says, its children apart.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// What it defines at its top level.
    pub(crate) items: BTreeSet<String>,
    /// Those of its items that are used without being named, once imported.
    pub(crate) traits: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    /// Every path in its code, single names as well.
    pub(crate) paths: BTreeSet<Vec<String>>,
}

#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Inline(TokenStream),
    /// In a file of its own, where `#[path]` says or else where the language does.
    File(Option<String>),
}

/// One leaf of a `use`.
#[derive(Debug, PartialEq)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    /// What it is called here; `None`: everything that the path holds.
    pub(crate) name: Option<String>,
    pub(crate) is_public: bool,
}

/// Reads the tokens of one module: its own names, and the modules that it declares.
pub(crate) fn read(tokens: TokenStream) -> (Names, Vec<Child>) {
    let (mut names, mut children) = (Names::default(), Vec::new());
    let tokens: Vec<_> = tokens.into_iter().collect();
    walk(&tokens, true, &mut names, &mut children);
    (names, children)
}

fn walk(tokens: &[TokenTree], is_top: bool, names: &mut Names, children: &mut Vec<Child>) {
    let mut at = 0;
    let mut file = None;
    while let Some(token) = tokens.get(at) {
        let behind = &tokens[at + 1..];
        at += match token {
            TokenTree::Ident(word) if word == "use" && !is_at(behind, 0, '<') => {
                let end = behind.iter().position(|token| is(token, ';'));
                let end = end.unwrap_or(behind.len());
                let is_public = is_public(&tokens[..at]);
                leaves(&behind[..end], &[], &mut |path, name| {
                    names.imports.push(Import {
                        path,
                        name,
                        is_public,
                    });
                });
                end + 1
            }
            TokenTree::Ident(word) if word == "mod" && is_top => {
                children.extend(child(behind, file.take()));
                3
            }
            TokenTree::Ident(word) => {
                if is_top {
                    define(&word.to_string(), behind, names);
                }
                path(tokens, at, names)
            }
            TokenTree::Group(group) => {
                file = path_attribute(group).or(file);
                let inner: Vec<_> = group.stream().into_iter().collect();
                // `thread_local! { static … }` defines what is in it.
                let is_macro = at > 0 && is(&tokens[at - 1], '!');
                walk(&inner, is_top && is_macro, names, children);
                1
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => 1,
        };
    }
}

fn is(token: &TokenTree, punct: char) -> bool {
    matches!(token, TokenTree::Punct(found) if found.as_char() == punct)
}

fn is_at(tokens: &[TokenTree], at: usize, punct: char) -> bool {
    tokens.get(at).is_some_and(|token| is(token, punct))
}

fn is_joint(token: &TokenTree, punct: char) -> bool {
    is(token, punct)
        && matches!(token, TokenTree::Punct(found) if found.spacing() == Spacing::Joint)
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    tokens.get(at).is_some_and(|token| is_joint(token, ':')) && is_at(tokens, at + 1, ':')
}

fn word_at(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at) {
        Some(TokenTree::Ident(word)) => Some(word.to_string().trim_start_matches("r#").to_owned()),
        _ => None,
    }
}

/// Whether what comes next has `pub` before it, restricted or not.
fn is_public(before: &[TokenTree]) -> bool {
    let before = match before {
        [rest @ .., TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => rest,
        all => all,
    };
    matches!(before.last(), Some(TokenTree::Ident(word)) if word == "pub")
}

/// The file that `#[path = "…"]` names.
fn path_attribute(group: &Group) -> Option<String> {
    let inner: Vec<_> = group.stream().into_iter().collect();
    match (word_at(&inner, 0)?.as_str(), inner.as_slice()) {
        ("path", [_, equals, TokenTree::Literal(file)]) if is(equals, '=') => {
            Some(file.to_string().trim_matches('"').to_owned())
        }
        _ => None,
    }
}

/// The module that is declared behind the word `mod`.
fn child(behind: &[TokenTree], file: Option<String>) -> Option<Child> {
    let name = word_at(behind, 0)?;
    let body = match behind.get(1) {
        Some(TokenTree::Group(group)) => Body::Inline(group.stream()),
        _ => Body::File(file),
    };
    Some(Child { name, body })
}

/// Notes the item that a keyword defines.
fn define(keyword: &str, behind: &[TokenTree], names: &mut Names) {
    let name = match keyword {
        "struct" | "enum" | "union" | "trait" | "type" | "fn" => word_at(behind, 0),
        "const" | "static" => word_at(behind, 0).filter(|word| word != "fn" && word != "mut"),
        "mut" => word_at(behind, 0),
        "macro_rules" => word_at(behind, 1),
        _ => None,
    };
    if keyword == "trait" {
        names.traits.extend(name.clone());
    }
    names.items.extend(name);
}

/// Notes the path that begins here, and says how many tokens it takes.
fn path(tokens: &[TokenTree], start: usize, names: &mut Names) -> usize {
    let mut at = start;
    let mut path = Vec::new();
    while let Some(word) = word_at(tokens, at) {
        path.push(word);
        at += 1;
        if !(is_path_separator(tokens, at) && word_at(tokens, at + 2).is_some()) {
            break;
        }
        at += 2;
    }
    // `name: …` declares a field, a parameter or a bound.
    let is_declared = path.len() == 1 && is_at(tokens, at, ':') && !is_path_separator(tokens, at);
    if !is_declared && !is_inner(&tokens[..start]) {
        names.paths.insert(path);
    }
    at - start
}

/// Whether what comes next belongs to something else: a field, a method, a lifetime, the rest of a path.
fn is_inner(before: &[TokenTree]) -> bool {
    let [.., earlier, last] = before else {
        return before.last().is_some_and(|token| is(token, '\''));
    };
    let is_field = is(last, '.') && !is_joint(earlier, '.');
    let is_rest = is(last, ':') && is_joint(earlier, ':');
    let is_defined = matches!(last, TokenTree::Ident(word) if word == "fn");
    is_field || is_rest || is_defined || is(last, '\'')
}

/// Gives every leaf of a use tree, with the name that it gets.
fn leaves(
    tree: &[TokenTree],
    above: &[String],
    give: &mut impl FnMut(Vec<String>, Option<String>),
) {
    let mut path = above.to_vec();
    let mut at = 0;
    while let Some(token) = tree.get(at) {
        match token {
            TokenTree::Ident(word) if word == "as" => {
                return give(path, word_at(tree, at + 1));
            }
            // `{self}` is what the braces stand behind.
            TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
            TokenTree::Ident(_) => path.extend(word_at(tree, at)),
            TokenTree::Group(group) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                for branch in inner.split(|token| is(token, ',')) {
                    if !branch.is_empty() {
                        leaves(branch, &path, give);
                    }
                }
                return;
            }
            token if is(token, '*') => return give(path, None),
            _ => {}
        }
        at += 1;
    }
    let name = path.last().cloned();
    give(path, name);
}
