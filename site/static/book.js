"use strict";

// Names and roles. The theme gives some buttons a hidden name that differs from what
// they show, which voice control cannot call; and its sidebar belongs to no landmark.
function mendNames() {
  const named = "details.hide > summary, .search-button-field, .theme-switch-button";
  for (const element of document.querySelectorAll(named)) {
    element.removeAttribute("aria-label");
  }
  for (const sidebar of document.querySelectorAll(".bd-sidebar-primary")) {
    sidebar.setAttribute("role", "complementary");
    sidebar.setAttribute("aria-label", "Book");
  }
}

// Table cells above row names are empty, so they head nothing; the entries of the
// bibliography are items of the list that they stand in.
function mendTablesAndLists() {
  for (const head of document.querySelectorAll("th:empty")) {
    head.replaceWith(document.createElement("td"));
  }
  for (const entry of document.querySelectorAll(".citation-list > .citation")) {
    entry.setAttribute("role", "listitem");
  }
}

// Formulas wider than the column scroll inside themselves, by keyboard as well.
function markWideFormulas() {
  const formulas = ".bd-article span.math, .bd-article mjx-container[display]";
  for (const formula of document.querySelectorAll(formulas)) {
    const wide = formula.scrollWidth > formula.clientWidth + 8;
    formula.classList.toggle("wide", wide);
    if (wide) {
      formula.setAttribute("tabindex", "0");
    } else {
      formula.removeAttribute("tabindex");
    }
  }
}

mendNames();
mendTablesAndLists();
if (window.MathJax?.startup) {
  // The height of the text changes with the window and with whatever is unfolded.
  const observer = new ResizeObserver(markWideFormulas);
  const article = document.querySelector(".bd-article");
  window.MathJax.startup.promise.then(() => observer.observe(article));
}
