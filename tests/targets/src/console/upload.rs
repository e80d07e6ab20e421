//! Forms with a file in them: nothing is taken before the session's own mark was seen, and what is taken is what was
//! sent.

use hitmachine_console::fuzz::upload;

const KIND: &str = "multipart/form-data; boundary=edge";
const MARK: &str = "0a1b2c3d";

/// The target.
pub fn check(input: &[u8]) {
    // As it comes; and as a file in a form that is whole but for it.
    if let Ok(taken) = upload(KIND, input, MARK) {
        let holds =
            |part: &[u8]| input.windows(part.len().max(1)).any(|window| window == part) || part.is_empty();
        assert!(
            holds(MARK.as_bytes()),
            "somebody who does not know the session's mark"
        );
        assert!(taken.fields.len() <= 16);
        assert!(
            taken
                .fields
                .iter()
                .all(|(_, value)| holds(value.as_bytes()) && value.len() <= 4096)
        );
        assert!(taken.file.is_none_or(|file| holds(&file)));
    }
    if input.windows(6).any(|window| window == b"--edge") {
        return;
    }
    let form = [form_with(MARK).as_bytes(), input, b"\r\n--edge--\r\n"].concat();
    let taken = upload(KIND, &form, MARK).expect("a whole form");
    assert_eq!(taken.fields, [("purpose".to_owned(), "screening".to_owned())]);
    assert_eq!(taken.file.as_deref(), Some(input));
    let of_other = [form_with("00000000").as_bytes(), input, b"\r\n--edge--\r\n"].concat();
    assert_eq!(upload(KIND, &of_other, MARK).unwrap_err(), "not_from_here");
}

fn form_with(mark: &str) -> String {
    format!(
        "--edge\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{mark}\r\n\
         --edge\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nscreening\r\n\
         --edge\r\nContent-Disposition: form-data; name=\"list\"; filename=\"lijst.csv\"\r\n\
         Content-Type: text/csv\r\n\r\n"
    )
}
