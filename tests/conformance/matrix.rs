//! A table with a word in each cell.

/// Prints a table. The first line has `corner`, as the heading of the rows' names, and the columns'
/// names. Then each row has a line with its name and its cells.
pub fn print(corner: &str, columns: &[String], rows: &[(String, Vec<String>)]) {
    let first = rows.iter().map(|(name, _)| name.len()).chain([corner.len()]).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().map(|(_, cells)| cells[column].chars().count());
        cells.chain([columns[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |name: &str, cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("  {cell:width$}"));
        let line = format!("{name:first$}{}", cells.collect::<String>());
        println!("{}", line.trim_end());
    };
    println!();
    line(corner, columns);
    for (name, cells) in rows {
        line(name, cells);
    }
}
