//! The size of files and functions, and spellings that hide a special case.

use crate::source::{File, is_for_tests};
use proc_macro2::{TokenStream, TokenTree};
use syn::Item;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Lines of a file, its tests aside.
const MAX_LINES: usize = 500;

/// Parameters of a function, `self` included.
const MAX_PARAMETERS: usize = 6;

/// Describes what is too large in a file, or is written as it must not be.
pub fn complaints(file: &File) -> Vec<String> {
    let path = file.path.display();
    let mut found = Vec::new();
    let lines = lines_without_tests(file);
    if lines > MAX_LINES {
        found.push(format!("{path}: {lines} lines without tests; at most {MAX_LINES}"));
    }
    let mut functions = Functions { large: Vec::new() };
    functions.visit_file(&file.syntax);
    for (line, name, parameters) in functions.large {
        found.push(format!(
            "{path}:{line}: {name} has {parameters} parameters; at most {MAX_PARAMETERS}"
        ));
    }
    let tokens: TokenStream = file.text.parse().expect("the file has been parsed before");
    for line in one_less(tokens) {
        found.push(format!("{path}:{line}: `as usize - 1`"));
    }
    found
}

fn lines_without_tests(file: &File) -> usize {
    if file.is_test {
        return 0;
    }
    let mut lines = file.text.lines().count();
    for item in &file.syntax.items {
        if let Item::Mod(tests) = item
            && is_for_tests(&tests.attrs)
        {
            let span = tests.span();
            lines -= span.end().line - span.start().line + 1;
        }
    }
    lines
}

/// Functions with too many parameters: line, name, number.
struct Functions {
    large: Vec<(usize, String, usize)>,
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        let parameters = signature.inputs.len();
        if parameters > MAX_PARAMETERS {
            let line = signature.ident.span().start().line;
            self.large.push((line, signature.ident.to_string(), parameters));
        }
        visit::visit_signature(self, signature);
    }
}

/// The lines where one is taken from a number that was made a `usize` in the same breath.
fn one_less(tokens: TokenStream) -> Vec<usize> {
    let mut lines = Vec::new();
    // Tokens in a row, with the end of a group as one of them: `(x as usize) - 1` is the same.
    let mut row: Vec<(String, usize)> = Vec::new();
    flatten(tokens, &mut row);
    for (at, (text, line)) in row.iter().enumerate() {
        if text != "as" || row.get(at + 1).is_none_or(|(text, _)| text != "usize") {
            continue;
        }
        let mut after = row[at + 2..].iter().map(|(text, _)| text.as_str());
        let mut after = after.by_ref().skip_while(|text| *text == ")");
        let is_minus = after.next() == Some("-");
        let is_one = after.next().is_some_and(|text| ["1", "1usize", "1_usize"].contains(&text));
        if is_minus && is_one {
            lines.push(*line);
        }
    }
    lines
}

fn flatten(tokens: TokenStream, row: &mut Vec<(String, usize)>) {
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Group(group) => {
                row.push(("(".to_owned(), line));
                flatten(group.stream(), row);
                row.push((")".to_owned(), line));
            }
            token => row.push((token.to_string(), line)),
        }
    }
}
