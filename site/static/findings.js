"use strict";

// A box above the list of findings that shows those with all of its words. Without
// this script the page is the whole list.
const NAME = "Show findings with these words";

function makeForm() {
  const form = document.createElement("form");
  form.className = "findings-filter";
  form.setAttribute("role", "search");
  form.innerHTML = `<label for="filter"></label>
    <input id="filter" type="search" autocomplete="off">
    <output for="filter"></output>`;
  form.querySelector("label").textContent = NAME;
  form.addEventListener("submit", (event) => event.preventDefault());
  return form;
}

// A chapter's findings, each with the text that is searched, which includes the title;
// and its parts on the page: its section and its lines in the tables of contents.
function readChapter(list) {
  const section = list.closest("section");
  const title = section.querySelector("h2").textContent;
  const links = document.querySelectorAll(`.toc-entry > a[href="#${section.id}"]`);
  const items = [...list.children].map((item) => ({
    item,
    text: `${title} ${item.textContent}`.toLowerCase(),
  }));
  return { items, parts: [section, ...[...links].map((link) => link.parentElement)] };
}

// Shows what fits and returns how many findings do.
function filterChapter({ items, parts }, words) {
  let shown = 0;
  for (const { item, text } of items) {
    item.hidden = !words.every((word) => text.includes(word));
    shown += item.hidden ? 0 : 1;
  }
  for (const part of parts) part.hidden = shown === 0;
  return shown;
}

function addFilter(summary) {
  const form = makeForm();
  const [input, output] = form.querySelectorAll("input, output");
  const chapters = [...document.querySelectorAll("ul.findings")].map(readChapter);
  const total = chapters.reduce((sum, { items }) => sum + items.length, 0);
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = chapters.reduce((sum, c) => sum + filterChapter(c, words), 0);
    output.textContent = `${shown} of ${total} findings`;
  };
  input.addEventListener("input", filter);
  summary.after(form);
  filter();
}

addFilter(document.querySelector(".findings-summary"));
