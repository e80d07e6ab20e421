// Shortens waiting and typing; every page does its work without it. Nothing here stores anything.
"use strict";

// Buttons that only a script can do anything with are in the page as hidden.
for (const button of document.querySelectorAll("[data-copy], [data-print]")) button.hidden = false;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-print]");
  if (!button) return;
  if (button.hasAttribute("data-print")) return window.print();
  // data-copy: id of what holds the text; data-done: what to say afterwards.
  const from = document.getElementById(button.dataset.copy);
  const text = from.value ?? from.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // No permission, or no TLS: selected, so that one key copies it.
    from.focus();
    from.select?.();
    return;
  }
  if (button.dataset.done) button.textContent = button.dataset.done;
});

// A second press on the way changes nothing at the server; this spares the person the doubt.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  // What the form brings may be a file, and then the page stays.
  setTimeout(() => delete form.dataset.sent, 4000);
});
// The back button shows the page as it was: it may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// What is wrong in a form is where reading begins.
document.querySelector(".error-summary")?.focus();

// data-refresh: path of a fragment that replaces the element's content, every data-every seconds, until the answer has no
// header "x-refresh: more" or is no success; then the whole page is loaded once, as a link would.
for (const part of document.querySelectorAll("[data-refresh]")) {
  const every = Math.max(1, Number(part.dataset.every) || 2) * 1000;
  const again = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(part.dataset.refresh, { headers: { accept: "text/html" }, redirect: "error" });
        if (!answer.ok) return;
        const text = await answer.text();
        if (text !== part.innerHTML) part.innerHTML = text;
        if (answer.headers.get("x-refresh") !== "more") return location.reload();
      } catch {
        // Away for a moment: the next turn tries again.
      }
    }
    setTimeout(again, every);
  };
  setTimeout(again, every);
}

// The form to ask with. data-bsn: says at once that a number cannot be right, and groups its digits as 1234 56 789. The
// server checks it all the same.
function checkNumber(input) {
  const digits = input.value.replace(/[ .-]/g, "");
  const says = input.parentElement.querySelector("[data-bsn-says]");
  let wrong = "";
  if (digits !== "" && !/^\d{8,9}$/.test(digits)) {
    wrong = input.dataset.length;
  } else if (digits !== "") {
    const nine = [...digits.padStart(9, "0")].map(Number);
    const sum = nine.reduce((sum, digit, place) => sum + digit * (place === 8 ? -1 : 9 - place), 0);
    if (sum % 11 !== 0) wrong = input.dataset.wrong;
    else input.value = digits.padStart(9, "0").replace(/^(\d{4})(\d{2})(\d{3})$/, "$1 $2 $3");
  }
  says.textContent = wrong;
  says.hidden = wrong === "";
}
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-bsn]")) checkNumber(event.target);
});

// Persons are added and removed in place, so that no number has to be typed again.
const persons = document.querySelector("[data-persons]");
if (persons) {
  const count = document.getElementById("rows");
  const adding = document.querySelector("[data-add]");
  const button = adding.querySelector("button");
  document.querySelector("[data-count]").hidden = count.getAttribute("aria-invalid") !== "true";
  const renumber = () => {
    const all = [...persons.querySelectorAll("[data-person]")];
    all.forEach((person, place) => {
      const n = String(place + 1);
      person.dataset.person = n;
      person.querySelector("[data-n]").textContent = n;
      for (const part of person.querySelectorAll("[id], [name], [for], [aria-describedby]")) {
        for (const name of ["id", "name", "for", "aria-describedby"]) {
          const text = part.getAttribute(name);
          if (text) part.setAttribute(name, text.replace(/\b(number|birth|class|reference)-\d+/g, "$1-" + n));
        }
      }
      person.querySelector("[data-remove]").hidden = all.length === 1;
    });
    count.value = String(all.length);
    adding.hidden = all.length >= Number(button.dataset.most);
  };
  button.addEventListener("click", () => {
    const person = persons.lastElementChild.cloneNode(true);
    // Another name first: two groups of radio buttons of one name would take each other's choice.
    for (const radio of person.querySelectorAll("[type=radio]")) {
      radio.name = "class-0";
      radio.checked = false;
    }
    for (const input of person.querySelectorAll("[type=text]")) {
      input.value = "";
      input.removeAttribute("aria-invalid");
    }
    for (const part of person.querySelectorAll(".field--invalid")) part.classList.remove("field--invalid");
    for (const error of person.querySelectorAll(".field__error:not([data-bsn-says])")) error.remove();
    person.querySelector("[data-bsn-says]").hidden = true;
    persons.append(person);
    renumber();
    person.querySelector("[data-bsn]").focus();
  });
  persons.addEventListener("click", (event) => {
    const remove = event.target.closest("[data-person-remove]");
    if (!remove) return;
    remove.closest("[data-person]").remove();
    renumber();
    persons.lastElementChild.querySelector("[data-bsn]").focus();
  });
  renumber();
  // Browsers keep a page as it was for the back button. No number stays in it, and a form that was sent is opened anew: it
  // would be the same question.
  const form = persons.closest("form");
  let sent = false;
  form.addEventListener("submit", () => { sent = true; });
  window.addEventListener("pagehide", () => {
    for (const input of persons.querySelectorAll("[data-bsn]")) input.value = "";
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && sent) location.reload();
  });
}
