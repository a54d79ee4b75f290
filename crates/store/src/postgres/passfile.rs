//! The password file that psql reads (<https://www.postgresql.org/docs/current/libpq-pgpass.html>): a line
//! `host:port:database:user:password` each, `*` for any, `\` before a colon or backslash that is meant.
//!
//! Invariant: a file that others may read is not used.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Address;

/// The password of the first line that fits.
pub(super) fn look_up(file: &Path, address: &Address) -> Option<String> {
    let about = fs::metadata(file).ok()?;
    if !about.is_file() {
        tracing::warn!(file = %file.display(), "the password file is no plain file and is not used");
        return None;
    }
    if about.permissions().mode() & 0o077 != 0 {
        tracing::warn!(file = %file.display(), "the password file may be read by others and is not used; chmod 0600");
        return None;
    }
    find(&fs::read_to_string(file).ok()?, address)
}

fn find(text: &str, address: &Address) -> Option<String> {
    let host = if address.is_socket() { "localhost" } else { &address.host };
    let port = address.port.to_string();
    let wanted = [host, &port, &address.database, &address.user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = fields(line);
        let password = if fields.len() == 5 { fields.pop()? } else { return None };
        let host_fits = address.is_socket() && fields[0] == address.host;
        let fits = fields.iter().zip(wanted).enumerate();
        let fits = fits
            .into_iter()
            .all(|(at, (field, wanted))| field == "*" || field == wanted || (at == 0 && host_fits));
        fits.then_some(password)
    })
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let last = fields.len() - 1;
        match letter {
            '\\' => fields[last].extend(letters.next()),
            // The password is the rest of the line.
            ':' if fields.len() < 5 => fields.push(String::new()),
            other => fields[last].push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, url: &str) -> Option<String> {
        find(text, &Address::parse(url, &|_| None).unwrap())
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        let text = "# h:1:d:u:no\nother:1:d:u:no\nh:1:d:u:first\n*:*:*:*:any\\:thing:more\n";
        assert_eq!(found(text, "postgres://u@h:1/d").as_deref(), Some("first"));
        assert_eq!(found(text, "postgres://u@h:2/d").as_deref(), Some("any:thing:more"));
        assert_eq!(found("h:1:d:u", "postgres://u@h:1/d"), None);
        assert_eq!(found("localhost:5432:d:u:s", "postgres://u@%2Ftmp/d").as_deref(), Some("s"));
        assert_eq!(found("/tmp:5432:d:u:s", "postgres://u@%2Ftmp/d").as_deref(), Some("s"));
        assert_eq!(found("a\\:b:*:*:*:s", "postgres://u@[a:b]/d").as_deref(), Some("s"));
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "*:*:*:*:s\n").unwrap();
        let address = Address::parse("postgres://u@h/d", &|_| None).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(look_up(file.path(), &address), None);
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(look_up(file.path(), &address).as_deref(), Some("s"));
    }
}
