//! Settings from the configuration file and the environment, used as defaults for the command line.

use std::{env, ffi::OsString, path::PathBuf, process};

use anyhow::{Context, anyhow, bail};
use clap::{
    Arg, ArgAction, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};
use toml::{Table, Value};

use crate::{commands::conflict, failure, text};

/// Name of the configuration file.
const FILE: &str = "diarize.toml";

/// Options that every command reads from the top of the file.
const SHARED: [&str; 13] = [
    "model",
    "device",
    "precision",
    "threads",
    "quiet",
    "verbose",
    "channel",
    "track",
    "time",
    "keep-damaged",
    "num-speakers",
    "min-speakers",
    "max-speakers",
];

/// The command line with defaults from the environment (`DIARIZE_MODEL`) and the configuration file, and the
/// names of the sources used. The environment takes precedence over the file.
///
/// The long names of the default command's options are keys at the top of the file. The options of another
/// command are in a table with that command's name.
///
/// # Errors
/// If the file cannot be read, is not TOML or contains a key that is not an option.
pub fn configured(command: Command, arguments: &[OsString]) -> anyhow::Result<(Command, Vec<String>)> {
    let mut sources = Vec::new();
    let Some(path) = file(arguments) else {
        let command = with_defaults(command, &Table::new(), arguments, &mut sources);
        return Ok((with_subcommand_defaults(command, &Table::new(), arguments, &mut sources), sources));
    };
    let text = text::read(&path, "settings")?;
    let table = table(&text).with_context(|| format!("{} is not TOML", path.display()))?;
    check(&command, &table).with_context(|| path.display().to_string())?;
    sources.push(path.display().to_string());
    let command = with_defaults(command, &table, arguments, &mut sources);
    Ok((with_subcommand_defaults(command, &table, arguments, &mut sources), sources))
}

/// The file that the user named; else the one in the current directory; else the one in the user's
/// configuration directory.
fn file(arguments: &[OsString]) -> Option<PathBuf> {
    let mut words = arguments.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = set("DIARIZE_CONFIG") {
        return Some(path.into());
    }
    let home = set("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".config")));
    let users = home.map(|home| home.join("diarize").join(FILE));
    [Some(FILE.into()), users].into_iter().flatten().find(|path: &PathBuf| path.is_file())
}

/// The settings in the text of a file. Keys are written like options: `num_speakers` is `num-speakers`.
fn table(text: &str) -> anyhow::Result<Table> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().map_or("", |span| &text[..span.start]);
        anyhow!("line {}: {}", before.matches('\n').count() + 1, error.message().replace('\n', ", "))
    })?;
    like_options(table)
}

fn like_options(table: Table) -> anyhow::Result<Table> {
    let mut settings = Table::new();
    for (key, value) in table {
        let value = match value {
            Value::Table(own) => Value::Table(like_options(own)?),
            value => value,
        };
        let name = key.replace('_', "-");
        if settings.insert(name.clone(), value).is_some() {
            bail!("{name} is given twice: remove one");
        }
    }
    Ok(settings)
}

/// Checks that every key is an option, or a command with its options.
fn check(command: &Command, table: &Table) -> anyhow::Result<()> {
    for (key, value) in table {
        match (value, command.find_subcommand(key)) {
            (Value::Table(own), Some(command)) => check(command, own).with_context(|| format!("[{key}]"))?,
            _ if !names(command).any(|name| name == key) => match value {
                Value::Table(_) if command.has_subcommands() => {
                    bail!("there is no command `{key}`: `diarize --help` lists the commands")
                }
                _ => bail!("there is no option --{key}{}", hint(command, key)),
            },
            (Value::Table(_) | Value::Datetime(_), _) => {
                bail!("the value of {key} is a table or a date, which no option takes")
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where an option with this name is, or what a mistyped one was to be.
fn hint(command: &Command, key: &str) -> String {
    let commands = command.get_subcommands();
    let with_option = commands.filter(|command| names(command).any(|name| name == key));
    let tables: Vec<String> = with_option.map(|command| format!("[{}]", command.get_name())).collect();
    match similar(key, names(command)) {
        _ if !tables.is_empty() => format!(" at the top of the file: put it below {}", tables.join(" or ")),
        Some(name) => format!(": did you mean {name}?"),
        None => format!(
            ": `diarize {}--help` lists the options",
            match command.get_name() {
                "diarize" => String::new(),
                name => format!("{name} "),
            }
        ),
    }
}

/// The long names of the options that can have settings.
fn names(command: &Command) -> impl Iterator<Item = &str> {
    options(command).filter_map(Arg::get_long)
}

/// The name that a mistyped word is most similar to.
pub fn similar<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let rated = names.map(|name| (strsim::jaro_winkler(word, name), name));
    rated.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// The options that can have settings.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| argument.get_long().is_some() && !argument.is_exclusive_set())
}

/// Gives each subcommand the defaults of its own table.
fn with_subcommand_defaults(
    mut command: Command,
    table: &Table,
    arguments: &[OsString],
    sources: &mut Vec<String>,
) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let shared = table.iter().filter(|(key, _)| SHARED.contains(&key.as_str()));
        let own = table.get(&name).and_then(Value::as_table).into_iter().flatten();
        let table: Table = shared.chain(own).map(|(key, value)| (key.clone(), value.clone())).collect();
        // The settings of commands that are not run are no sources.
        let mut others = Vec::new();
        let sources = if arguments.iter().any(|word| *word == *name) { &mut *sources } else { &mut others };
        command = command.mut_subcommand(name, |command| with_defaults(command, &table, arguments, sources));
    }
    command
}

/// Gives the options of one command defaults from the environment or the table. An option that conflicts with
/// one on the command line gets no default.
fn with_defaults(
    mut command: Command,
    table: &Table,
    arguments: &[OsString],
    sources: &mut Vec<String>,
) -> Command {
    let given = |option: &Arg| {
        let long = format!("--{}", option.get_long().unwrap_or_default());
        let short = option.get_short().map(|short| format!("-{short}"));
        arguments
            .iter()
            .filter_map(|word| word.to_str())
            .any(|word| word.split('=').next() == Some(&long) || short.as_deref() == Some(word))
    };
    let mut defaults = Vec::new();
    for option in options(&command) {
        let long = option.get_long().unwrap_or_default();
        let variable = format!("DIARIZE_{}", long.replace('-', "_").to_uppercase());
        let from_environment = env::var(&variable).ok().filter(|value| !value.is_empty());
        if command.get_arg_conflicts_with(option).into_iter().any(given) {
            continue;
        }
        let values = match (from_environment, table.get(long)) {
            (Some(value), _) => {
                if !sources.contains(&variable) {
                    sources.push(variable);
                }
                vec![value]
            }
            (None, Some(value)) => words(value),
            (None, None) => continue,
        };
        defaults.push((option.get_id().clone(), values));
    }
    for (id, values) in defaults {
        command = command.mut_arg(id, |option| {
            let flag = matches!(option.get_action(), ArgAction::SetTrue);
            let values = values.into_iter().map(|value| match value.as_str() {
                "1" | "yes" | "on" if flag => "true".to_owned(),
                "0" | "no" | "off" if flag => "false".to_owned(),
                _ => value,
            });
            // Leaking is fine: the command line is read once and lives as long as the process.
            option.default_values(values.map(|value| &*value.leak())).required(false)
        });
    }
    command
}

/// A value from the file as words of a command line.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(words).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

/// The command line in which `-1` after an option is its value, so that the error says which values are valid.
fn with_negative_numbers(command: Command) -> Command {
    let takes_value = |option: &Arg| option.get_long().is_some() && option.get_action().takes_values();
    let command = command.mut_args(|option| {
        let negative = takes_value(&option);
        if negative { option.allow_negative_numbers(true) } else { option }
    });
    command.mut_subcommands(with_negative_numbers)
}

/// Reads a command line, whose first word is the program, and returns the names of the sources of other settings.
///
/// # Errors
/// If the configuration file is unreadable or invalid, as for [`configured`]. If clap refuses the command line, the program ends.
pub fn parse<T: clap::CommandFactory + clap::FromArgMatches>(
    arguments: &[OsString],
) -> anyhow::Result<(T, Vec<String>)> {
    let command = with_negative_numbers(T::command());
    let (mut command, sources) = configured(command, arguments.get(1..).unwrap_or_default())
        .map_err(|error| conflict(failure::sentence(&error)))?;
    let parsed = command.try_get_matches_from_mut(arguments);
    let parsed = parsed.and_then(|matches| T::from_arg_matches(&matches).map_err(|e| e.format(&mut command)));
    Ok((parsed.unwrap_or_else(|error| exit(&error, elsewhere(&error, &command), &sources)), sources))
}

/// Which commands have an option that the program without a command lacks.
fn elsewhere(error: &clap::Error, program: &Command) -> Option<String> {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(option))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return None;
    };
    let name = option.strip_prefix("--")?;
    let commands = program.get_subcommands().filter(|command| names(command).any(|known| known == name));
    let commands: Vec<String> = commands.map(|command| format!("`diarize {}`", command.get_name())).collect();
    (!commands.is_empty()).then(|| format!("{option} is an option of {}.", commands.join(" and ")))
}

/// Prints a usage error, with a hint and the sources of settings, and ends the program.
pub fn exit(error: &clap::Error, hint: Option<String>, sources: &[String]) -> ! {
    let _ = error.print();
    if let Some(hint) = hint {
        failure::tell(format_args!("\n{hint}"));
    }
    if error.use_stderr() {
        tell_sources(sources);
    }
    process::exit(error.exit_code())
}

/// Says where settings came from, because one of them may be the reason of a usage error.
pub fn tell_sources(sources: &[String]) {
    if !sources.is_empty() {
        failure::tell(format_args!("\nSettings were also taken from: {}", sources.join(", ")));
    }
}
