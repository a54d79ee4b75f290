//! The words of command lines as bash gives them: all four kinds of quotes, continued lines, comments.
//!
//! Deliberately absent: expansion. `$NAME` stays what it is, and is said in the notes of who uses it.

use std::iter::Peekable;
use std::str::Chars;

/// The commands of `text`, each as its words; redirections are left out.
pub(crate) fn commands(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut shell = Shell {
        rest: text.chars().peekable(),
        commands: Vec::new(),
        words: Vec::new(),
        word: None,
        skip: false,
    };
    while let Some(c) = shell.rest.next() {
        shell.on(c)?;
    }
    shell.end_command();
    Ok(shell.commands)
}

struct Shell<'a> {
    rest: Peekable<Chars<'a>>,
    commands: Vec<Vec<String>>,
    words: Vec<String>,
    /// The word under way; quotes make one that may be empty.
    word: Option<String>,
    /// The next word is where a redirection goes.
    skip: bool,
}

impl Shell<'_> {
    fn on(&mut self, c: char) -> Result<(), String> {
        match c {
            '\'' => {
                let quoted = self.until('\'')?;
                self.push_str(&quoted);
            }
            '"' => self.double()?,
            '$' if self.rest.peek() == Some(&'\'') => {
                self.rest.next();
                self.ansi()?;
            }
            '$' if self.rest.peek() == Some(&'"') => {}
            '\\' => match self.rest.next() {
                Some('\n') | None => {}
                Some('\r') if self.rest.peek() == Some(&'\n') => {
                    self.rest.next();
                }
                Some(c) => self.push(c),
            },
            '#' if self.word.is_none() => while self.rest.next_if(|c| *c != '\n').is_some() {},
            '\n' | ';' | '|' | '&' => self.end_command(),
            '<' | '>' => {
                // The number before it is the descriptor's.
                if self.word.as_ref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
                    self.word = None;
                }
                self.end_word();
                while self.rest.next_if(|c| matches!(c, '>' | '<' | '&')).is_some() {}
                self.skip = true;
            }
            c if c.is_whitespace() => self.end_word(),
            c => self.push(c),
        }
        Ok(())
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn push_str(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take()
            && !std::mem::take(&mut self.skip)
        {
            self.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.skip = false;
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            self.commands.push(words);
        }
    }

    fn until(&mut self, end: char) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some(c) if c == end => return Ok(text),
                Some(c) => text.push(c),
                None => return Err(format!("a quote {end} has no end")),
            }
        }
    }

    fn double(&mut self) -> Result<(), String> {
        self.push_str("");
        loop {
            match self.rest.next() {
                Some('"') => return Ok(()),
                Some('\\') => match self.rest.next() {
                    Some('\n') => {}
                    Some(c @ ('"' | '\\' | '$' | '`')) => self.push(c),
                    Some(c) => {
                        self.push('\\');
                        self.push(c);
                    }
                    None => return Err("a quote \" has no end".to_owned()),
                },
                Some(c) => self.push(c),
                None => return Err("a quote \" has no end".to_owned()),
            }
        }
    }

    /// `$'…'` (bash manual, 3.1.2.4), which browsers write where a body has an apostrophe or is not ASCII.
    fn ansi(&mut self) -> Result<(), String> {
        self.push_str("");
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            let c = self.rest.next().ok_or("a quote $' has no end")?;
            match c {
                '\'' => break,
                '\\' => self.escape(&mut bytes)?,
                c => bytes.extend(c.to_string().bytes()),
            }
        }
        self.push_str(&String::from_utf8_lossy(&bytes));
        Ok(())
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let c = self.rest.next().ok_or("a quote $' has no end")?;
        let byte = match c {
            'a' => 7,
            'b' => 8,
            'e' | 'E' => 27,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            'x' => self.digits(16, 2, 0).to_le_bytes()[0],
            'u' | 'U' => {
                let mut code = self.digits(16, if c == 'u' { 4 } else { 8 }, 0);
                // Browsers write what is beyond 16 bits as two.
                if (0xd800..0xdc00).contains(&code) {
                    let mut ahead = self.rest.clone();
                    if ahead.next() == Some('\\') && ahead.next() == Some('u') {
                        self.rest = ahead;
                        let low = self.digits(16, 4, 0);
                        code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
                    }
                }
                bytes.extend(char::from_u32(code).unwrap_or('\u{fffd}').to_string().bytes());
                return Ok(());
            }
            '0'..='7' => self.digits(8, 2, c.to_digit(8).unwrap_or(0)).to_le_bytes()[0],
            other => {
                // Of `\'`, `\"`, `\\` and `\?` the character stays; of all else the backslash, too.
                if !matches!(other, '\'' | '"' | '\\' | '?') {
                    bytes.push(b'\\');
                }
                bytes.extend(other.to_string().bytes());
                return Ok(());
            }
        };
        bytes.push(byte);
        Ok(())
    }

    fn digits(&mut self, radix: u32, most: usize, first: u32) -> u32 {
        let mut value = first;
        for _ in 0..most {
            match self.rest.next_if(|c| c.is_digit(radix)).and_then(|c| c.to_digit(radix)) {
                Some(digit) => value = value.wrapping_mul(radix).wrapping_add(digit),
                None => break,
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_bash() {
        for (text, words) in [
            (r"a b\ c  'd e' f'g'h", vec!["a", "b c", "d e", "fgh"]),
            (r#"x "a \"b\" \$c \n" '' "" "#, vec!["x", r#"a "b" $c \n"#, "", ""]),
            (r"$'it\'s \u00fc\x41\101\n' $'\ud83d\ude00'", vec!["it's üAA\n", "😀"]),
            ("a \\\n  b # c\n", vec!["a", "b"]),
            ("a http://x/?b=1#c > /dev/null 2>&1", vec!["a", "http://x/?b=1#c"]),
        ] {
            assert_eq!(commands(text).unwrap(), [words], "{text}");
        }
        assert_eq!(commands("a 1; b && c\nd").unwrap().len(), 4);
        assert!(commands("a 'b").is_err() && commands("$'").is_err() && commands("\"\\").is_err());
    }
}
