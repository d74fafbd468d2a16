//! Checks the size of files and functions, and finds expressions that hide a special case.

use crate::source::{File, is_for_tests};
use proc_macro2::{TokenStream, TokenTree};
use syn::Item;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The maximum number of lines of a file, without its tests.
const MAX_LINES: usize = 500;

/// The maximum number of parameters of a function, including `self`.
const MAX_PARAMETERS: usize = 6;

/// Describes everything in a file that is too large, or that hides a special case.
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

/// The functions with too many parameters, each with its line, name and number of parameters.
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

/// Returns the lines in which 1 is subtracted from a number right after its cast to `usize`.
fn one_less(tokens: TokenStream) -> Vec<usize> {
    let mut lines = Vec::new();
    // The tokens in order. The end of a group is a token too, so that `(x as usize) - 1` is also
    // found.
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
