"use strict";

for (const slider of document.querySelectorAll(".frame input")) {
  slider.addEventListener("input", () => slider.parentElement.style.setProperty("--at", slider.value + "%"));
}

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const text = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text); // where the clipboard is not writable
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

// The films of a page play together.
const films = document.querySelectorAll(".films video");
for (const film of films) {
  const others = [...films].filter((other) => other !== film);
  film.addEventListener("play", () => others.forEach((other) => other.play()));
  film.addEventListener("pause", () => others.forEach((other) => other.pause()));
  film.addEventListener("seeked", () => others.forEach((other) => {
    if (Math.abs(other.currentTime - film.currentTime) > 0.1) other.currentTime = film.currentTime;
  }));
}

// A click on a column header sorts the table by it; a second click reverses the order.
for (const button of document.querySelectorAll("#table th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0];
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const value = (row) => row.cells[head.cellIndex].dataset.value ?? row.cells[head.cellIndex].textContent;
    const order = (a, b) => a === "" || b === "" ? (a === "") - (b === "") : sign * a.localeCompare(b, "en", { numeric: true });
    const numbers = (a, b) => a === "" || b === "" ? (a === "") - (b === "") : sign * (a - b);
    const compare = [...body.rows].every((row) => !isNaN(value(row))) ? numbers : order;
    body.append(...[...body.rows].sort((a, b) => compare(value(a), value(b))));
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  });
}

async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

async function draw() {
  const data = document.getElementById("chart-data");
  if (!data) return null;
  const program = document.createElement("script");
  program.textContent = await unpack(document.getElementById("bokeh").textContent);
  document.head.append(program);
  await Bokeh.embed.embed_item(JSON.parse(data.textContent), document.getElementById("chart"));
  const plot = Bokeh.documents[0].roots()[0];
  const buttons = document.querySelectorAll("[data-start]");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const { start, end } = button.dataset;
      plot.reset.emit();
      if (start) {
        plot.x_range.have_updated_interactively = true; // otherwise it keeps following the data
        plot.x_range.setv({ start: Number(start), end: Number(end) });
      }
      for (const other of buttons) other.setAttribute("aria-pressed", other === button);
    });
  }
  document.body.dataset.drawn = "yes";
  return Bokeh.documents[0].get_model_by_name("rows");
}

// While the run is going, the page polls its server for new rows and a new picture.
async function follow(source) {
  const answer = await fetch("state.json?after=" + (source ? source.data.step.length : 0));
  const { state, rows, picture, line, scales } = await answer.json();
  const shown = document.getElementById("picture");
  if (state === "finished" || (picture && !shown) || (rows && !source) || scales !== Number(document.body.dataset.live)) return location.reload();
  if (rows) {
    if (Object.keys(rows).some((name) => !(name in source.data))) return location.reload(); // a term that appears later
    source.stream(Object.fromEntries(Object.keys(source.data).map((name) => [name, rows[name].map((value) => value ?? NaN)])));
  }
  if (picture && shown.getAttribute("src") !== picture) shown.src = picture;
  const badge = document.getElementById("state");
  badge.textContent = badge.className = state;
  badge.classList.add("badge");
  document.querySelector(".line").lastChild.textContent = " " + line;
  setTimeout(() => followed(source), 1000);
}

const followed = (source) => follow(source).catch(() => {
  document.getElementById("state").textContent = "no longer served";
});

draw().then((source) => { if (document.body.hasAttribute("data-live")) followed(source); });
