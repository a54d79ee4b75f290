//! Faults of a plan as a compiler shows them: the line, what is meant in it, the code, and how to mend it.

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report, SourceSpan,
};
use plan::Diagnostic;

use crate::output::WIDTH;

/// All faults, each with its line of the file whose text `text` gives.
pub fn shown<'t>(diagnostics: &[Diagnostic], text: impl Fn(&str) -> Option<&'t str>, color: bool) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false);
    let mut said = String::new();
    for diagnostic in diagnostics {
        let text = text(&diagnostic.file);
        let spanned = text.and_then(|text| Some((text, span(diagnostic, text)?)));
        match spanned.map(|(text, span)| report(diagnostic, text, span)) {
            Some(report) if handler.render_report(&mut said, report.as_ref()).is_ok() => said.push('\n'),
            _ => said.extend([diagnostic.to_string(), "\n".to_owned()]),
        }
    }
    let count = diagnostics.len();
    let faults = if count == 1 { "1 fault".to_owned() } else { format!("{count} faults") };
    said.push_str(&format!("{faults}; `swell explain CODE` says more"));
    said
}

fn report(diagnostic: &Diagnostic, text: &str, span: SourceSpan) -> Report {
    let mut shown = MietteDiagnostic::new(&diagnostic.message).with_code(diagnostic.code);
    shown = shown.with_label(LabeledSpan::new_with_span(None, span));
    if let Some(help) = &diagnostic.help {
        shown = shown.with_help(help);
    }
    Report::new(shown).with_source_code(NamedSource::new(&diagnostic.file, harmless(text)))
}

/// `text` with every byte at its place, and nothing in it that a terminal would obey.
fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        '\r' => ' ',
        c if c.is_ascii_control() => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The bytes of `text` that a fault is about; `None` when it is of a form, or of another text.
fn span(diagnostic: &Diagnostic, text: &str) -> Option<SourceSpan> {
    let before: usize = text.split_inclusive('\n').take(diagnostic.line.checked_sub(1)?).map(str::len).sum();
    let line = text.get(before..)?.lines().next()?;
    let start =
        line.char_indices().map(|(at, _)| at).chain([line.len()]).nth(diagnostic.column.checked_sub(1)?)?;
    // Long texts are told shortened.
    let meant = diagnostic.text.trim_end_matches('…');
    let is_there = line[start..].starts_with(meant);
    let length = if is_there { meant.len() } else { line.len() - start };
    Some((before + start, length).into())
}
