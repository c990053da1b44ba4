// The filter form of a page. In: filter definitions, parameters. Out: an element that changes the
// parameters; values set by links are chips that a click removes.

import { fill, h } from "./dom.js";
import { readFilters } from "./filters.js";

const TYPING_PAUSE_MS = 350;

/**
 * @param {import("./filters.js").Filter[]} filters
 * @param {import("./page.js").Frame} frame
 */
export function createFilterbar(filters, frame) {
  const chips = h("span", { class: "chips" });
  let timer = 0;
  const fields = filters.filter(({ link }) => !link).map((filter) => {
    const problem = h("span", { class: "problem hidden", id: `problem-${filter.name}` });
    const input = filter.kind === "choice" ? choice(filter) : text(filter);
    return { filter, input, problem, label: h("label", { title: filter.doc ?? null }, filter.label, input, problem) };
  });
  const form = h("form", { class: "filters", role: "search", "aria-label": "Filters", on: { submit: (/** @type {Event} */ event) => event.preventDefault() } },
    fields.map(({ filter, label }) => (filter.explained ? h("span", { class: "explained" }, label, explanation(filter)) : label)), chips);

  /** What a person must know to read the numbers, one click away. @param {import("./filters.js").Filter} filter */
  function explanation(filter) {
    return h("details", { class: "explanation" }, h("summary", { title: "What is this?", "aria-label": "What is this?" }, "?"), h("p", {}, filter.doc ?? ""));
  }

  /** @param {import("./filters.js").Filter} filter */
  function choice(filter) {
    return h("select", { name: filter.name, on: { change: (/** @type {Event} */ event) => set(filter, /** @type {HTMLSelectElement} */ (event.target).value) } },
      (filter.choices?.() ?? []).map(({ value, label, doc }) => h("option", { value, title: doc || null }, label)));
  }

  /** @param {import("./filters.js").Filter} filter */
  function text(filter) {
    return h("input", {
      name: filter.name, type: "search", placeholder: filter.placeholder ?? "", autocomplete: "off", spellcheck: "false", "aria-describedby": `problem-${filter.name}`,
      on: {
        input: (/** @type {Event} */ event) => {
          clearTimeout(timer);
          timer = window.setTimeout(() => set(filter, /** @type {HTMLInputElement} */ (event.target).value), TYPING_PAUSE_MS);
        },
        change: (/** @type {Event} */ event) => {
          clearTimeout(timer);
          set(filter, /** @type {HTMLInputElement} */ (event.target).value);
        },
      },
    });
  }

  /**
   * @param {import("./filters.js").Filter} filter
   * @param {string} value
   */
  function set(filter, value) {
    frame.set({ [filter.name]: value === (filter.initial ?? "") ? undefined : value });
  }

  /** @param {Record<string, string>} params */
  function show(params) {
    const { problems } = readFilters(filters, params);
    for (const { filter, input, problem } of fields) {
      const value = params[filter.name] ?? filter.initial ?? "";
      if (document.activeElement !== input || input instanceof HTMLSelectElement) input.value = value;
      problem.textContent = problems[filter.name] ?? "";
      problem.classList.toggle("hidden", !problems[filter.name]);
      input.setAttribute("aria-invalid", String(filter.name in problems));
    }
    fill(chips, filters.filter(({ link, name }) => link && params[name]).map(({ name, label }) =>
      h("button", { type: "button", class: "chip", title: "Remove this filter", on: { click: () => frame.set({ [name]: undefined }) } }, `${label}: ${params[name]} ✕`)));
  }

  return { element: form, show };
}
