"use strict";

const PEOPLE_A_PAGE = 50;
const element = (id) => document.getElementById(id);
let key = "";
let offset = 0;

// Everything that came from the service or from a person is set as text, never as HTML.
function made(tag, text = "", { className = "", ...attributes } = {}) {
  const node = document.createElement(tag);
  node.textContent = text;
  node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function say(sentence, wrong = false) {
  const status = element("status");
  status.classList.toggle("wrong", wrong);
  status.textContent = sentence;
}

async function ask(address, { method = "GET", body } = {}) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let answer;
  try {
    answer = await fetch(address, { method, body, headers });
  } catch {
    throw new Error("The service does not answer; is it still running?");
  }
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail);
  return told;
}

// Runs a piece of work with its button locked, and says how it ended.
async function working(button, what, work) {
  if (button) button.disabled = true;
  say(what);
  try {
    say(await work());
  } catch (error) {
    say(error.message, true);
  } finally {
    if (button) button.disabled = false;
  }
}

const percent = (part, whole) => `${(100 * part) / whole}%`;
const fixed = (value) => (value === null ? "–" : value.toFixed(3));
const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

function boxOn(frame, box, photo, label, known) {
  const node = made("span", "", { className: known ? "box known" : "box", "aria-hidden": "true" });
  node.style.left = percent(box.left, photo.width);
  node.style.top = percent(box.top, photo.height);
  node.style.width = percent(box.width, photo.width);
  node.style.height = percent(box.height, photo.height);
  if (label) node.append(made("b", label));
  frame.append(node);
}

function picture(file, description) {
  const image = made("img", "", { alt: description });
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  image.src = URL.createObjectURL(file);
  const frame = made("div", "", { className: "frame" });
  frame.append(image);
  return frame;
}

const nameOf = (face) => face.name ?? face.answer;

function faceTable(faces, quality) {
  const table = made("table");
  const head = made("tr");
  for (const title of ["Face", "Who"]) head.append(made("th", title, { scope: "col" }));
  for (const title of ["Score", `Quality (${quality})`]) {
    head.append(made("th", title, { scope: "col", className: "number" }));
  }
  table.append(made("thead"), made("tbody"));
  table.tHead.append(head);
  faces.forEach((face, i) => {
    const row = made("tr");
    row.append(made("td", String(i + 1)));
    row.append(made("td", nameOf(face), { className: face.answer === "known" ? "name known-word" : "name unknown-word" }));
    row.append(made("td", fixed(face.score), { className: "number" }));
    row.append(made("td", fixed(face.quality), { className: "number" }));
    table.tBodies[0].append(row);
  });
  return table;
}

async function showWho(file) {
  const body = new FormData();
  body.append("photo", file);
  const told = await ask("/v1/search", { method: "POST", body });
  const photo = told.photographs[0];
  const names = told.faces.map(nameOf).join(", ");
  const figure = made("figure", "", { className: "photo" });
  const frame = picture(file, names ? `Photograph with ${plural(told.faces.length, "face", "faces")}: ${names}` : "Photograph without a face");
  told.faces.forEach((face, i) => boxOn(frame, face.box, photo, `${i + 1} ${nameOf(face)}`, face.answer === "known"));
  figure.append(frame, made("figcaption", `${file.name}: ${plural(told.faces.length, "face", "faces")}; ${told.point}.`));
  if (told.faces.length) figure.append(faceTable(told.faces, told.quality));
  element("who-results").prepend(figure);
  return told.faces.length;
}

async function lookAt(files) {
  await working(null, `Looking at ${plural(files.length, "photograph", "photographs")} …`, async () => {
    let faces = 0;
    const problems = [];
    for (const file of files) {
      try {
        faces += await showWho(file);
      } catch (error) {
        problems.push(`${file.name}: ${error.message}`);
      }
    }
    if (problems.length) throw new Error(problems.join(" "));
    return `${plural(faces, "face", "faces")} on ${plural(files.length, "photograph", "photographs")}.`;
  });
}

async function enrol(event) {
  event.preventDefault();
  const form = event.target;
  await working(form.querySelector("button"), "Enrolling …", async () => {
    const body = new FormData();
    body.append("name", element("enrol-name").value);
    for (const file of element("enrol-files").files) body.append("photo", file);
    const anyway = element("enrol-duplicate").checked ? "?allow_duplicate=true" : "";
    const told = await ask(`/v1/enrol${anyway}`, { method: "POST", body });
    form.reset();
    element("enrol-files").dispatchEvent(new Event("change"));
    await showPeople().catch(() => {});
    const left = told.left_out.map((one) => `; photograph ${one.photograph + 1} was left out: ${one.why}`).join("");
    return `${told.name}: ${plural(told.images_added, "image", "images")} added, ${told.images_in_all} in all${left}.`;
  });
}

async function verify(event) {
  event.preventDefault();
  const files = [element("verify-first").files[0], element("verify-second").files[0]];
  await working(event.target.querySelector("button"), "Comparing …", async () => {
    const body = new FormData();
    body.append("first", files[0]);
    body.append("second", files[1]);
    const told = await ask("/v1/verify", { method: "POST", body });
    const pair = made("div", "", { className: "pair" });
    files.forEach((file, i) => pair.append(picture(file, `${i ? "Second" : "First"} photograph, ${plural(told.faces_found[i], "face", "faces")}`)));
    const score = told.score === null ? "" : `, score ${fixed(told.score)}`;
    const answer = `${told.decision ?? "no threshold, no answer"}${score}`;
    element("verify-result").replaceChildren(made("p", answer, { className: "answer" }), ...told.notes.map((note) => made("p", note, { className: "hint" })), pair);
    [...pair.children].forEach((frame, i) => {
      const image = frame.firstChild;
      image.addEventListener("load", () => {
        if (told.boxes[i]) boxOn(frame, told.boxes[i], { width: image.naturalWidth, height: image.naturalHeight }, "", told.decision === "same");
      });
    });
    return `${answer}.`;
  });
}

function personRow(person) {
  const row = made("tr");
  const button = made("button", "Delete", { className: "danger", type: "button", "aria-label": `Delete ${person.name}` });
  button.addEventListener("click", () => confirmDeletion(person));
  const cell = made("td", "", { className: "number" });
  cell.append(button);
  row.append(made("th", person.name, { scope: "row", className: "name" }), made("td", String(person.images)), cell);
  return row;
}

async function showPeople() {
  const told = await ask(`/v1/people?offset=${offset}&limit=${PEOPLE_A_PAGE}`);
  element("people-count").textContent = told.total ? `${plural(told.total, "person is", "people are")} enrolled.` : "Nobody is enrolled yet.";
  element("people-table").hidden = !told.total;
  element("people-rows").replaceChildren(...told.people.map(personRow));
  element("people-pages").hidden = told.total <= PEOPLE_A_PAGE;
  element("people-before").disabled = offset === 0;
  element("people-after").disabled = offset + PEOPLE_A_PAGE >= told.total;
}

function turnPage(by) {
  offset = Math.max(0, offset + by);
  showPeople().catch((error) => say(error.message, true));
}

function confirmDeletion(person) {
  const dialog = element("delete");
  element("delete-words").textContent = `${person.name}, with ${plural(person.images, "image", "images")}. This cannot be undone.`;
  dialog.returnValue = "no";
  dialog.onclose = () => {
    if (dialog.returnValue !== "yes") return;
    working(null, "Deleting …", async () => {
      await ask(`/v1/people/${person.person_id}`, { method: "DELETE" });
      await showPeople();
      element("people-title").tabIndex = -1;
      element("people-title").focus();
      return `${person.name} was deleted.`;
    });
  };
  dialog.showModal();
}

// A label with a file input in it: files may be dropped or chosen.
function dropZone(zoneId, inputId, onFiles) {
  const zone = element(zoneId);
  const input = element(inputId);
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("over"); });
  }
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change"));
  });
  input.addEventListener("change", () => onFiles([...input.files]));
}

function namesShownIn(id) {
  const words = element(id).textContent;
  return (files) => { element(id).textContent = files.map((file) => file.name).join(", ") || words; };
}

async function begin() {
  dropZone("who-drop", "who-files", (files) => { if (files.length) lookAt(files); });
  dropZone("enrol-drop", "enrol-files", namesShownIn("enrol-chosen"));
  dropZone("first-drop", "verify-first", namesShownIn("first-chosen"));
  dropZone("second-drop", "verify-second", namesShownIn("second-chosen"));
  element("enrol-form").addEventListener("submit", enrol);
  element("verify-form").addEventListener("submit", verify);
  element("people-before").addEventListener("click", () => turnPage(-PEOPLE_A_PAGE));
  element("people-after").addEventListener("click", () => turnPage(PEOPLE_A_PAGE));
  element("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    key = element("key-value").value.trim();
    working(null, "Trying the key …", async () => { await showPeople(); return "The key is used from now on."; });
  });
  // A file dropped beside a zone would replace the page.
  for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
  try {
    const health = await ask("/health");
    element("key").hidden = !health.keys_needed;
    if (!health.keys_needed) await showPeople();
  } catch (error) {
    say(error.message, true);
  }
}

begin();
