//! Spreadsheets: as they come, and with one part of a whole one in the place of the input.
//!
//! The first byte of an input says which part the rest is; above those, the rest is the file itself.

use std::io::{Cursor, Write as _};

use hitmachine_node::source::upload;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{list, says_no_value};

/// The parts of a small list, by their names.
pub const PARTS: [(&str, &str); 7] = [
    (
        "xl/worksheets/sheet1.xml",
        "<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>\
         <row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"s\"><v>1</v></c><c r=\"C1\" t=\"s\"><v>2</v></c></row>\
         <row r=\"2\"><c r=\"A2\" t=\"inlineStr\"><is><t>H1</t></is></c><c r=\"B2\"><v>999990019</v></c><c r=\"C2\" s=\"1\"><v>40000</v></c></row>\
         <row r=\"3\"><c r=\"A3\" t=\"str\"><v>H1</v></c><c r=\"B3\" t=\"s\"><v>3</v></c><c r=\"C3\" t=\"d\"><v>1980-01-01</v></c></row>\
         </sheetData><mergeCells count=\"1\"><mergeCell ref=\"A5:A6\"/></mergeCells></worksheet>",
    ),
    (
        "xl/sharedStrings.xml",
        "<sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" count=\"4\" uniqueCount=\"4\">\
         <si><t>huishouden</t></si><si><t>bsn</t></si><si><r><t>geboorte</t></r><r><t>datum</t></r></si><si><t>999990020</t></si></sst>",
    ),
    (
        "xl/workbook.xml",
        "<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" \
         xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\">\
         <sheets><sheet name=\"Blad1\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>",
    ),
    (
        "xl/_rels/workbook.xml.rels",
        "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
         <Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" Target=\"worksheets/sheet1.xml\"/>\
         </Relationships>",
    ),
    (
        "_rels/.rels",
        "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
         <Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"xl/workbook.xml\"/>\
         </Relationships>",
    ),
    (
        "xl/styles.xml",
        "<styleSheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><numFmts count=\"1\">\
         <numFmt numFmtId=\"164\" formatCode=\"dd-mm-yyyy\"/></numFmts><cellXfs count=\"2\"><xf numFmtId=\"0\"/>\
         <xf numFmtId=\"164\"/></cellXfs></styleSheet>",
    ),
    (
        "[Content_Types].xml",
        "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>",
    ),
];

/// The target.
pub fn check(input: &[u8]) {
    let Some((which, rest)) = input.split_first() else {
        return;
    };
    let built;
    let file = if let Some((name, _)) = PARTS.get(usize::from(*which)) {
        built = with(name, rest);
        &built
    } else {
        rest
    };
    let written = match upload::look(file, None, None) {
        Ok(written) => written,
        Err(error) => return says_no_value(&error),
    };
    if let Some(columns) = list::columns(&written, *which) {
        let _ = list::households(file, &written, columns);
    }
}

/// A whole spreadsheet but for one part.
pub fn with(changed: &str, bytes: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, text) in PARTS {
        archive.start_file(name, stored).unwrap();
        archive
            .write_all(if name == changed { bytes } else { text.as_bytes() })
            .unwrap();
    }
    archive.finish().unwrap().into_inner()
}
