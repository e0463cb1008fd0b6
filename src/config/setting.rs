//! A row in the table of settings: its description, its spellings, and the macro that turns rows
//! into [`Config`](super::Config).

/// The environment variable with the path of the settings file, like `--config`.
pub const CONFIG_ENV: &str = "RELAYBOX_CONFIG";

/// The environment variable with the path of a file of declared project tokens, instead of
/// [`Setting::env`].
pub const TOKEN_FILE_ENV: &str = "RELAYBOX_TOKEN_FILE";

/// The prefix of the variables of `send` and `listen`, which are not settings.
pub const CLIENT_ENV_PREFIX: &str = "RELAYBOX_CLIENT_";

/// The prefix of every environment variable of relaybox.
pub const ENV_PREFIX: &str = "RELAYBOX_";

/// One setting, as an operator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The key in `relaybox.toml`.
    pub name: &'static str,
    /// The flag of `relaybox serve`.
    pub flag: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The value's placeholder in help texts.
    pub value: &'static str,
    /// The built-in default, as it would be written; empty: no entries.
    pub default: &'static str,
    /// Whether it is a list: flags repeat, environment variables separate by commas.
    pub list: bool,
    /// When a change takes effect.
    pub takes_effect: TakesEffect,
    /// One line for the operator.
    pub meaning: &'static str,
}

/// When a changed setting takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakesEffect {
    /// On SIGHUP.
    Reload,
    /// At the next start: addresses, files, and memory layout.
    Restart,
}

/// `--history-open` for `history_open`. Called once per setting.
pub(super) fn flag(name: &str) -> &'static str {
    format!("--{}", name.replace('_', "-")).leak()
}

/// `RELAYBOX_HISTORY_OPEN` for `history_open`. Called once per setting.
pub(super) fn env(name: &str) -> &'static str {
    format!("{ENV_PREFIX}{}", name.to_uppercase()).leak()
}

/// Generates the table, [`Config`](super::Config), and the code that reads and compares it, from
/// rows `NAME: TYPE = (KIND(PARSER), VALUE, DEFAULT, TAKES_EFFECT) MEANING;` in the order of the
/// help. KIND is a method of [`Raw`](super::raw::Raw): `one`, or for lists `list` and `per_domain`.
/// The rows in `limits` are the fields of [`LimitOptions`](crate::model::LimitOptions).
macro_rules! settings {
    (
        config { $($a:ident: $a_type:ty = $a_row:tt $a_meaning:literal;)* }
        limits { $($l:ident: $l_type:ty = $l_row:tt $l_meaning:literal;)* }
        config { $($b:ident: $b_type:ty = $b_row:tt $b_meaning:literal;)* }
    ) => {
        static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| vec![
            $(settings!(@setting $a $a_row $a_meaning),)*
            $(settings!(@setting $l $l_row $l_meaning),)*
            $(settings!(@setting $b $b_row $b_meaning),)*
        ]);

        /// All settings, valid.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {
            $(#[doc = $a_meaning] pub $a: $a_type,)*
            $(#[doc = $b_meaning] pub $b: $b_type,)*
            /// The limits of strangers, users and domains.
            pub limits: LimitOptions,
            /// Origins whose scripts may read an open history without a token: `cors_origins` if
            /// set, else none.
            pub history_origins: Vec<OriginPattern>,
        }

        impl Config {
            /// Parses every setting.
            ///
            /// # Errors
            /// One per invalid setting.
            pub(super) fn read(raws: &Raws) -> Result<Self, Vec<ConfigError>> {
                let mut errors = Vec::new();
                $(let $a: Option<$a_type> = settings!(@read raws errors $a $a_row);)*
                $(let $l: Option<$l_type> = settings!(@read raws errors $l $l_row);)*
                $(let $b: Option<$b_type> = settings!(@read raws errors $b $b_row);)*
                let config = || {
                    Some(Self {
                        $($a: $a?,)*
                        $($b: $b?,)*
                        limits: LimitOptions { $($l: $l?,)* },
                        history_origins: Vec::new(),
                    })
                };
                let mut config = config().ok_or(errors)?;
                if raws["cors_origins"].source != Source::Default {
                    config.history_origins.clone_from(&config.cors_origins);
                }
                Ok(config)
            }

            /// Names of the settings that differ in `new` and need a restart.
            pub fn pending_restart(&self, new: &Self) -> Vec<&'static str> {
                let changed = [
                    $(self.$a != new.$a,)*
                    $(self.limits.$l != new.limits.$l,)*
                    $(self.$b != new.$b,)*
                ];
                let changed = SETTINGS.iter().zip(changed).filter(|(_, changed)| *changed);
                let pending = changed.filter(|(setting, _)| setting.takes_effect == Restart);
                pending.map(|(setting, _)| setting.name).collect()
            }
        }
    };
    (@setting $name:ident ($kind:ident $read:tt $(.map $map:tt)?, $value:literal, $default:literal, $effect:ident) $meaning:literal) => {
        Setting {
            name: stringify!($name),
            flag: flag(stringify!($name)),
            env: env(stringify!($name)),
            value: $value,
            default: $default,
            list: settings!(@list $kind),
            takes_effect: $effect,
            meaning: $meaning,
        }
    };
    (@read $raws:ident $errors:ident $name:ident ($kind:ident $read:tt $(.map $map:tt)?, $($help:tt)*)) => {
        $raws[stringify!($name)]
            .$kind $read
            $(.map $map)?
            .map_err(|error| $errors.push(error))
            .ok()
    };
    (@list one) => { false };
    (@list $list:ident) => { true };
}

pub(super) use settings;
