//! Settings as flags, generated from the table in `config`. Values are passed as text; `config`
//! validates them.

use std::env::vars_os;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::Failure;
use crate::admin::Site;
use crate::config::{
    CONFIG_ENV, ENV_PREFIX, Env, Flags, Loaded, Setting, Sources, TOKEN_FILE_ENV, settings,
};

/// `--config` and the flags of settings, as given.
#[derive(Clone)]
pub(super) struct SettingArgs<const ALL: bool> {
    config: Option<PathBuf>,
    flags: Flags,
}

/// Every setting, for `serve`.
pub(super) type AllSettings = SettingArgs<true>;

/// The data directory and its server's socket, for commands that work on either.
pub(super) type DataSettings = SettingArgs<false>;

impl<const ALL: bool> SettingArgs<ALL> {
    fn sources(&self) -> Result<Sources, Failure> {
        Ok(Sources {
            flags: self.flags.clone(),
            env: environment(vars_os())?,
            named: self.config.clone(),
        })
    }
}

impl AllSettings {
    /// Loads all settings from all sources. The process's open-file limit bounds some.
    pub(super) fn load(&self, open_files_max: Option<u64>) -> Result<Loaded, Failure> {
        Ok(self.sources()?.load(open_files_max)?)
    }
}

impl DataSettings {
    /// Loads all settings from all sources, for work on a stopped server's data.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        Ok(self.sources()?.load_stopped()?)
    }

    /// The data directory and its socket; the other settings need not be valid.
    pub(super) fn site(&self) -> Result<Site, Failure> {
        let (data, socket) = self.sources()?.load_data()?;
        Ok(Site::new(data, socket))
    }
}

/// The environment variables of relaybox, as text.
fn environment(vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Env, Failure> {
    let mut env = Env::new();
    for (name, text) in vars {
        let Ok(name) = name.into_string() else {
            continue;
        };
        if !name.starts_with(ENV_PREFIX) {
            continue;
        }
        let is_known = [CONFIG_ENV, TOKEN_FILE_ENV].contains(&&*name)
            || settings().iter().any(|known| known.env == name);
        let text = match text.into_string() {
            Ok(text) => text,
            // Ignored; not even its name is printed.
            Err(_) if !is_known => String::new(),
            Err(_) => return Err(Failure::Usage(format!("the value of {name} is not UTF-8"))),
        };
        env.insert(name, text);
    }
    Ok(env)
}

impl<const ALL: bool> Args for SettingArgs<ALL> {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!(
                "Settings file [default: relaybox.toml in the data directory] [env: {CONFIG_ENV}]"
            ));
        command.arg(config).args(included(ALL).map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn included(all: bool) -> impl Iterator<Item = &'static Setting> {
    let of_data = |setting: &&Setting| matches!(setting.name, "data" | "socket");
    settings()
        .iter()
        .filter(move |setting| all || of_data(setting))
}

fn arg(setting: &Setting) -> Arg {
    let default = match setting.default {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    let help = format!("{}{default} [env: {}]", setting.meaning, setting.env);
    let arg = Arg::new(setting.name)
        .long(setting.flag.trim_start_matches('-'))
        .value_name(setting.value)
        .allow_hyphen_values(false)
        .help(help);
    if setting.list {
        return arg.action(ArgAction::Append);
    }
    if setting.value == "BOOL" {
        // A bare `--history-open` means `true`.
        return arg.num_args(0..=1).default_missing_value("true");
    }
    arg
}

impl<const ALL: bool> FromArgMatches for SettingArgs<ALL> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Flags::new();
        for setting in included(ALL) {
            if let Some(values) = matches.get_many::<String>(setting.name) {
                flags.insert(setting.name, values.cloned().collect());
            }
        }
        Ok(Self {
            config: matches.get_one::<PathBuf>("config").cloned(),
            flags,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn only_our_variables_count_and_they_must_be_text() {
        let bad = OsString::from_vec(vec![0xff]);
        let vars = |name: &str| [(OsString::from(name), bad.clone())].into_iter();
        assert!(environment(vars("PATH")).is_ok_and(|env| env.is_empty()));
        assert!(environment(vars("RELAYBOX_HUSH")).is_ok_and(|env| env.len() == 1));
        let Err(Failure::Usage(sentence)) = environment(vars("RELAYBOX_LOG")) else {
            panic!("that is no text");
        };
        assert_eq!(sentence, "the value of RELAYBOX_LOG is not UTF-8");
    }
}
