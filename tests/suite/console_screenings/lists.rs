//! Lists as people send them, good and bad.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use hitmachine_tests::site::{Answered, Site, roles};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{USER, desk, first_rows, holds_none, list, numbers, planned, upload};

/// A spreadsheet of these cells; a cell that begins with `=` is a formula.
fn spreadsheet(rows: &[Vec<String>]) -> Vec<u8> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
    let mut sheet = format!("<worksheet xmlns=\"{MAIN}\"><sheetData>");
    for (row, cells) in rows.iter().enumerate() {
        let row = row + 1;
        write!(sheet, "<row r=\"{row}\">").unwrap();
        for (column, cell) in cells.iter().enumerate() {
            let at = format!("{}{row}", char::from(b'A' + u8::try_from(column).unwrap()));
            match cell.strip_prefix('=') {
                Some(formula) => write!(sheet, "<c r=\"{at}\"><f>{formula}</f><v>1</v></c>").unwrap(),
                None => {
                    write!(sheet, "<c r=\"{at}\" t=\"inlineStr\"><is><t>{cell}</t></is></c>").unwrap();
                }
            }
        }
        sheet.push_str("</row>");
    }
    sheet.push_str("</sheetData></worksheet>");
    let relation = |kind: &str, target: &str| {
        format!(
            "<Relationships xmlns=\"{PACKAGE}/relationships\"><Relationship Id=\"rId1\" Type=\"{OFFICE}/{kind}\" \
             Target=\"{target}\"/></Relationships>"
        )
    };
    let parts = [
        (
            "[Content_Types].xml",
            format!("<Types xmlns=\"{PACKAGE}/content-types\"/>"),
        ),
        ("_rels/.rels", relation("officeDocument", "xl/workbook.xml")),
        (
            "xl/workbook.xml",
            format!(
                "<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\"><sheets><sheet name=\"Lijst\" sheetId=\"1\" r:id=\"rId1\"/>\
                 </sheets></workbook>"
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            relation("worksheet", "worksheets/sheet1.xml"),
        ),
        ("xl/worksheets/sheet1.xml", sheet),
    ];
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn cells(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .map(|line| line.split(';').map(ToOwned::to_owned).collect())
        .collect()
}

/// A page with an error: its status, and that what was typed is still there.
fn refused(answer: &Answered, status: u16, says: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.body.contains(says), "not “{says}”: {}", answer.body);
    assert!(answer.body.contains("<title>Fout: "), "{}", answer.body);
    assert!(answer.body.contains("role=\"alert\""), "{}", answer.body);
    assert!(
        answer.body.contains("value=\"TOP150\""),
        "what was typed is lost: {}",
        answer.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_list_is_said_and_nothing_else_is_lost() {
    let site = Site::open(701);
    let desk = desk(&site).await;
    let visitor = desk.visitor(USER);
    let good = first_rows(&site.world, 5);
    let huge = vec![b'a'; 10 * 1024 * 1024 + 1];
    let data = "H1;999990019;1-1-1980\n";
    let files: [(&str, &[u8], u16, &str); 8] = [
        ("empty.csv", b"", 422, "bestand is leeg"),
        (
            "picture.png",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            422,
            "geen CSV-bestand en geen .xlsx",
        ),
        (
            "letter.pdf",
            b"%PDF-1.7\n1 0 obj",
            422,
            "geen CSV-bestand en geen .xlsx",
        ),
        (
            "old.xls",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            422,
            "oud .xls-bestand",
        ),
        (
            "broken.xlsx",
            b"PK\x03\x04 and no more",
            422,
            "rekenblad is beschadigd",
        ),
        ("notepad.txt", b"\xff\xfeb\0s\0n\0", 422, "UTF-16"),
        (
            "no-header.csv",
            data.as_bytes(),
            422,
            "De eerste rij moet de namen",
        ),
        (
            "huge.csv",
            &huge,
            413,
            "Het bestand is te groot. Er mag hoogstens 10 MB in.",
        ),
    ];
    for (name, bytes, status, says) in files {
        let answer = upload(&visitor, "TOP150", "wait", (name, bytes)).await;
        refused(&answer, status, says);
        assert!(!answer.body.contains("999990019"), "{}", answer.body);
    }
    let csrf = visitor.get("/screenings/new").await.hidden("csrf");
    let fields = [
        ("csrf", csrf.as_str()),
        ("purpose", "screening"),
        ("case", "TOP150"),
    ];
    refused(
        &visitor.upload("/screenings/new", &fields, None).await,
        422,
        "Kies een bestand.",
    );

    // Another field is wrong: the file need not come again, and a number that was typed does not come back.
    let bsn = numbers(&site.world)[0];
    for (case, says) in [(bsn, "Hier staat wat een BSN lijkt."), ("", "Vul de zaak in.")] {
        let answer = upload(&visitor, case, "stop", ("list.csv", good.as_bytes())).await;
        assert_eq!(answer.status, 422);
        assert!(answer.body.contains(says), "{}", answer.body);
        assert!(answer.body.contains("value=\"stop\" checked"), "{}", answer.body);
        holds_none(&site, &answer.body);
        let held = answer.hidden("held");
        let fields = [
            ("csrf", csrf.as_str()),
            ("held", held.as_str()),
            ("purpose", "screening"),
            ("case", "TOP150"),
        ];
        let answer = visitor.upload("/screenings/new", &fields, Some(("", b""))).await;
        assert_eq!(
            answer.header("location"),
            format!("/screenings/new/{held}"),
            "{}",
            answer.body
        );
        assert_eq!(visitor.get(answer.header("location")).await.status, 200);
    }
    // Purposes are those of the covenant, whatever the form says.
    let fields = [
        ("csrf", csrf.as_str()),
        ("purpose", "signalering"),
        ("case", "TOP150"),
    ];
    let answer = visitor
        .upload("/screenings/new", &fields, Some(("a.csv", good.as_bytes())))
        .await;
    refused(&answer, 422, "Kies een doel.");
    assert_eq!(desk.node.screenings_of(USER).await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_told_by_row_and_reason_and_can_be_read_otherwise() {
    let site = Site::open(702);
    let desk = desk(&site).await;
    let visitor = desk.visitor(USER);
    let world = &site.world;
    let (bsn, other, third) = (numbers(world)[0], numbers(world)[1], numbers(world)[2]);

    // Headings of one's own are not known: the person says which is which.
    let odd = format!(
        "gezinsnaam|persoonsnummer|dag\nH1|{bsn}|1-1-1980\nH1|123456789|1-1-1980\nH2|{other}|31-2-1980\n"
    );
    let plan = planned(&visitor, "TOP150", "wait", ("odd.csv", odd.as_bytes())).await;
    let page = visitor.get(&plan).await;
    assert_eq!(page.status, 422);
    assert!(
        page.body.contains("Wij herkennen niet alle kolommen"),
        "{}",
        page.body
    );
    let chosen = [
        ("household", "0"),
        ("identifier", "1"),
        ("age", "date-2"),
        ("reference", ""),
    ];
    let answer = visitor.fill(&plan, &plan, &chosen).await;
    assert_eq!((answer.status, answer.header("location")), (303, plan.as_str()));
    let page = visitor.get(&plan).await;
    assert_eq!(page.status, 200, "{}", page.body);
    for says in [
        "<dt>Rijen gelezen</dt><dd>3</dd>",
        "<dt>Huishoudens</dt><dd>2</dd>",
        "<dt>Personen</dt><dd>1, van wie 0 jonger dan 18 jaar</dd>",
        "<dt>Rijen overgeslagen</dt><dd>2</dd>",
        "persoonsnummer",
        "Begin met vragen",
    ] {
        assert!(page.body.contains(says), "not “{says}”: {}", page.body);
    }
    holds_none(&site, &page.body);
    assert!(!page.body.contains("123456789"), "a bad number is a value too");

    // The number in the place of a name would be shown and kept.
    let swapped = [
        ("household", "1"),
        ("identifier", "1"),
        ("age", "date-2"),
        ("reference", ""),
    ];
    visitor.fill(&plan, &plan, &swapped).await;
    let page = visitor.get(&plan).await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("staat een BSN"), "{}", page.body);
    assert!(!page.body.contains("Begin met vragen"));
    let answer = visitor.fill(&plan, &format!("{plan}/start"), &[]).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    holds_none(&site, &answer.body);

    // A spreadsheet took the zeros away.
    let zeros = |text: &str| text.trim_start_matches('0').to_owned();
    let short = site
        .world
        .population
        .persons()
        .iter()
        .map(|person| zeros(&person.bsn))
        .find(|bsn| bsn.len() < 8);
    if let Some(short) = short {
        let lost =
            format!("huishouden;bsn;geboortedatum;kenmerk\nH1;{short};1-1-1980;a\nH1;{third};1-1-1980;b\n");
        let plan = planned(&visitor, "TOP150", "wait", ("lost.csv", lost.as_bytes())).await;
        let page = visitor.get(&plan).await;
        assert!(
            page.body.contains("Rijen met een te kort BSN: 1."),
            "{}",
            page.body
        );
        let fields = [
            ("household", "0"),
            ("identifier", "1"),
            ("age", "date-2"),
            ("reference", "3"),
            ("numeric", "yes"),
        ];
        visitor.fill(&plan, &plan, &fields).await;
        let page = visitor.get(&plan).await;
        assert!(
            page.body.contains("<dt>Rijen overgeslagen</dt><dd>0</dd>"),
            "{}",
            page.body
        );
        assert!(!page.body.contains("te kort BSN"), "{}", page.body);
    }

    // Another delimiter and encoding than was seen.
    let windows = format!("huishouden;bsn;geboortedatum\nCo\u{eb}hoorn;{bsn};1-1-1980\n");
    let windows: Vec<u8> = windows
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    let plan = planned(&visitor, "TOP150", "wait", ("windows.csv", &windows)).await;
    let page = visitor.get(&plan).await;
    assert!(
        page.body.contains("value=\"windows-1252\" selected"),
        "{}",
        page.body
    );
    let comma = [("delimiter", "comma"), ("encoding", "windows-1252")];
    visitor.fill(&plan, &plan, &comma).await;
    assert!(
        visitor
            .get(&plan)
            .await
            .body
            .contains("Wij herkennen niet alle kolommen")
    );

    // Formulas are named by row, and the rest is read.
    let mut sheet = cells(&first_rows(world, 4));
    sheet[2][1] = "=A1".into();
    let plan = planned(&visitor, "TOP150", "wait", ("list.xlsx", &spreadsheet(&sheet))).await;
    let page = visitor.get(&plan).await;
    assert!(
        page.body.contains("<dt>Rijen overgeslagen</dt><dd>1</dd>"),
        "{}",
        page.body
    );
    assert!(page.body.contains("formule"), "{}", page.body);
    holds_none(&site, &page.body);
    assert!(!page.body.contains("id=\"delimiter\""), "a spreadsheet has none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_belongs_to_one_session_and_comes_from_its_own_page() {
    let site = Site::open(703);
    let desk = desk(&site).await;
    desk.account("functionaris", roles(None, true, false));
    let (visitor, again, other) = (desk.visitor(USER), desk.visitor(USER), desk.visitor("smit"));
    let good = first_rows(&site.world, 5);
    let file = || Some(("list.csv", good.as_bytes()));
    let csrf = visitor.get("/screenings/new").await.hidden("csrf");
    let foreign = other.get("/screenings/new").await.hidden("csrf");
    let fields = |csrf: &'static str| [("csrf", csrf), ("purpose", "screening"), ("case", "TOP150")];

    // Without the session's own mark, with another's, with it only after the file, or from elsewhere.
    for fields in [&fields("")[1..], &fields("00"), &fields(foreign.leak())] {
        assert_eq!(
            visitor.upload("/screenings/new", fields, file()).await.status,
            403
        );
    }
    let late = format!(
        "--b\r\ncontent-disposition: form-data; name=\"list\"; filename=\"a\"\r\n\r\nx\r\n--b\r\n\
         content-disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n--b--\r\n"
    );
    let kind = ("content-type", "multipart/form-data; boundary=b");
    assert_eq!(
        visitor
            .send("POST", "/screenings/new", &[kind], &late)
            .await
            .status,
        403
    );
    let elsewhere = [kind, ("origin", "https://elsewhere.example")];
    assert_eq!(
        visitor
            .send("POST", "/screenings/new", &elsewhere, "--b--\r\n")
            .await
            .status,
        403
    );
    assert_eq!(
        visitor
            .send("POST", "/screenings/new", &[], "csrf=1")
            .await
            .status,
        400
    );
    let stranger = desk
        .stranger()
        .upload("/screenings/new", &fields("00"), file())
        .await;
    assert_eq!(stranger.status, 303);
    assert!(
        stranger
            .header("location")
            .starts_with("/sign-in?next=%2Fscreenings%2Fnew"),
        "{stranger:?}"
    );
    // Without the role there is no such page.
    for path in ["/screenings", "/screenings/new", "/screenings/s0123456789"] {
        assert_eq!(desk.visitor("functionaris").get(path).await.status, 403, "{path}");
    }

    // What one session holds no other has, also not the same person's.
    let plan = planned(&visitor, "TOP150", "wait", ("list.csv", &list(&site.world))).await;
    assert_eq!(visitor.get(&plan).await.status, 200);
    for stranger in [&again, &other] {
        let csrf = stranger.get("/screenings").await;
        let csrf = csrf.hidden("csrf");
        let page = stranger.get(&plan).await;
        assert_eq!(page.status, 404, "{}", page.body);
        for action in ["", "/start", "/cancel"] {
            let answer = stranger
                .post(&format!("{plan}{action}"), &[("csrf", &csrf)])
                .await;
            let left_alone =
                answer.status == 404 || answer.header("location") == "/screenings?done=cancelled";
            assert!(left_alone, "{action}: {}", answer.status);
        }
    }
    assert_eq!(visitor.get(&plan).await.status, 200, "still there");
    let answer = visitor.fill(&plan, &format!("{plan}/cancel"), &[]).await;
    assert_eq!(answer.header("location"), "/screenings?done=cancelled");
    let page = visitor.get(&plan).await;
    assert_eq!(page.status, 404);
    assert!(page.body.contains("Deze lijst is er niet meer"), "{}", page.body);
    assert_eq!(desk.node.screenings_of(USER).await.unwrap().len(), 0);
}
