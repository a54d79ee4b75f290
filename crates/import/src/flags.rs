//! Options of a command line, by the table of the tool that has them.

/// An option: its names, and whether a value follows.
pub(crate) type Flag = (&'static [&'static str], bool);

/// How the tool reads its command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `-sX POST`, `-n100`, `--long value`, `--long=value`.
    Getopt,
    /// `-rate=50`, `-rate 50`, `--rate 50`.
    Go,
}

/// One thing of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// An option by its first name; the value is empty where it takes none.
    Option(&'static str, String),
    /// What is no option.
    Word(String),
    /// An option that the table does not have.
    Unknown(String),
    /// An option whose value is missing.
    Lacking(&'static str),
}

/// What `words` say, without the name of the tool.
pub(crate) fn given(words: &[String], table: &[Flag], style: Style) -> Vec<Given> {
    let find = |name: &str| {
        table.iter().find(|(names, _)| names.contains(&name)).map(|(names, takes)| (names[0], *takes))
    };
    let mut words = words.iter();
    let mut given = Vec::new();
    while let Some(word) = words.next() {
        let dashes = word.bytes().take_while(|byte| *byte == b'-').count();
        let body = &word[dashes..];
        if dashes == 0 || body.is_empty() {
            given.push(Given::Word(word.clone()));
            continue;
        }
        if dashes >= 2 || style == Style::Go {
            let (name, value) =
                body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value)));
            given.push(match find(name) {
                // Without its value, which may be a secret.
                None => Given::Unknown(word.split('=').next().unwrap_or_default().to_owned()),
                Some((name, true)) => match value.map(str::to_owned).or_else(|| words.next().cloned()) {
                    Some(value) => Given::Option(name, value),
                    None => Given::Lacking(name),
                },
                Some((name, false)) => Given::Option(name, value.unwrap_or_default().to_owned()),
            });
            continue;
        }
        let mut rest = body;
        while let Some(c) = rest.chars().next() {
            let (short, after) = rest.split_at(c.len_utf8());
            rest = after;
            match find(short) {
                None => given.push(Given::Unknown(format!("-{short}"))),
                Some((name, false)) => given.push(Given::Option(name, String::new())),
                Some((name, true)) => {
                    let value = if after.is_empty() { words.next().cloned() } else { Some(after.to_owned()) };
                    given.push(value.map_or(Given::Lacking(name), |value| Given::Option(name, value)));
                    break;
                }
            }
        }
    }
    given
}

/// The one command of `text` or of `words`, without the tool's name; `None` when it is of another tool.
pub(crate) fn command(text: &str, words: &[String], tools: &[&str]) -> Result<Vec<String>, crate::Error> {
    let lines = match words.is_empty() {
        false => vec![words.to_vec()],
        true => crate::shell::commands(text).map_err(crate::Error::Usage)?,
    };
    let is_tool = |word: &String| tools.contains(&word.rsplit('/').next().unwrap_or(word));
    let mut found =
        lines.iter().filter_map(|line| line.iter().position(is_tool).map(|at| line[at + 1..].to_vec()));
    match found.next() {
        Some(command) => Ok(command),
        // Behind `--` the name may be left out.
        None if !words.is_empty() => Ok(words.to_vec()),
        None => Err(crate::Error::Nothing(format!("no command line of {} in it", tools.join(" or ")))),
    }
}

/// `Name: value` as a pair.
pub(crate) fn header(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once(':')?;
    Some((name.trim().to_owned(), crate::draft::literal(value.trim())))
}
