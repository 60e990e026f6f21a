(() => {
  "use strict";
  const PAGE = 100; // rows
  const EVERY = 5000; // ms between questions to the server
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const $ = (id) => document.getElementById(id);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let data = JSON.parse($("data").textContent);
  const view = { sort: -1, down: false, page: 0 };

  const element = (name, text, more) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    return Object.assign(made, more);
  };
  const shown = (value, digits) => {
    if (value === null || value === undefined) return "–";
    return typeof value === "number" && digits !== null ? value.toFixed(digits) : String(value);
  };
  const column = (key) => data.columns.findIndex((c) => c[0] === key);

  function progress() {
    $("made").textContent = `${data.rows.length} structure${data.rows.length === 1 ? "" : "s"}, ${document.body.dataset.live === "yes" ? "live, " : ""}${data.made}`;
    const used = (state) => ["done", "failed"].includes(state) || Object.values(data.progress).some((count) => count[state]);
    const states = ["failed", "blocked", "running", "waiting", "done"].filter(used);
    $("progress").tHead.rows[0].replaceChildren(...["stage", ...states].map((name) => element("th", name, { scope: "col" })));
    $("progress").tBodies[0].replaceChildren(...Object.entries(data.progress).map(([stage, count]) => {
      const row = element("tr");
      row.append(element("th", stage, { scope: "row" }), ...states.map((state) => element("td", count[state] || 0, { className: state === "failed" && count[state] ? "alarm-text" : "" })));
      return row;
    }));
    const failed = Object.entries(data.why);
    $("failures").hidden = !failed.length;
    $("failures").querySelector("ul").replaceChildren(...failed.slice(0, PAGE).map(([index, [why, remedy]]) => {
      const item = element("li");
      item.append(element("strong", data.rows[index][0]), `: ${why}${remedy ? ` (${remedy})` : ""}`);
      return item;
    }));
  }

  // Words of the filter must all occur; "bulk_modulus > 10" is a condition on a number.
  function accepts(text) {
    const conditions = [];
    const rest = text.replace(/([\w.]+)\s*(<=|>=|<|>|=)\s*(-?[\d.]+(?:e-?\d+)?)/gi, (whole, key, operator, number) => {
      const at = column(key);
      if (at < 0) return whole;
      const limit = Number(number);
      const compare = { "<": (v) => v < limit, "<=": (v) => v <= limit, ">": (v) => v > limit, ">=": (v) => v >= limit, "=": (v) => v === limit };
      conditions.push((row) => typeof row[at] === "number" && compare[operator](row[at]));
      return " ";
    });
    const words = rest.toLowerCase().split(/\s+/).filter(Boolean);
    return (row) => conditions.every((condition) => condition(row)) && words.every((word) => row.some((value) => typeof value === "string" && value.toLowerCase().includes(word)));
  }

  function chosen() {
    const fits = accepts($("filter").value), state = $("state").value, at = column("state");
    const found = data.rows.map((_, index) => index).filter((i) => (!state || data.rows[i][at] === state) && fits(data.rows[i]));
    if (view.sort < 0) return found;
    const order = view.down ? -1 : 1, key = view.sort;
    return found.sort((a, b) => {
      const x = data.rows[a][key], y = data.rows[b][key];
      if (x === null || y === null) return (x === null) - (y === null); // what is not there comes last
      return order * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true }));
    });
  }

  function head() {
    $("structures").tHead.rows[0].replaceChildren(...data.columns.map(([, title], index) => {
      const cell = element("th", undefined, { scope: "col" });
      const button = element("button", title, { type: "button" });
      button.addEventListener("click", () => {
        view.down = view.sort === index && !view.down;
        view.sort = index;
        view.page = 0;
        table();
      });
      cell.append(button);
      return cell;
    }));
  }

  function table() {
    const found = chosen(), pages = Math.max(1, Math.ceil(found.length / PAGE));
    view.page = Math.min(view.page, pages - 1);
    $("count").textContent = `${found.length} of ${data.rows.length}`;
    [...$("structures").tHead.rows[0].cells].forEach((cell, index) => {
      cell.setAttribute("aria-sort", index !== view.sort ? "none" : view.down ? "descending" : "ascending");
    });
    const state = column("state"), lowest = column("min_frequency"), imaginary = column("imaginary_modes");
    $("structures").tBodies[0].replaceChildren(...found.slice(view.page * PAGE, (view.page + 1) * PAGE).map((i) => {
      const values = data.rows[i], row = element("tr", undefined, { className: values[state] });
      values.forEach((value, index) => {
        const digits = data.columns[index][2];
        const cell = element(index ? "td" : "th", undefined, index ? {} : { scope: "row" });
        if (!index && data.links[i]) cell.append(element("a", value, { href: data.links[i] }));
        else cell.textContent = shown(value, digits);
        if (digits !== null) cell.classList.add("number");
        if (index === lowest && values[imaginary] > 0) cell.classList.add("bad");
        row.append(cell);
      });
      return row;
    }));
    document.querySelector(".pages").replaceChildren(...(pages < 2 ? [] : Array.from({ length: pages }, (_, index) => {
      const button = element("button", index + 1, { type: "button" });
      button.setAttribute("aria-pressed", String(index === view.page));
      button.setAttribute("aria-label", `Page ${index + 1}`);
      button.addEventListener("click", () => { view.page = index; table(); });
      return button;
    })));
  }

  function axes() {
    const numeric = data.columns.filter((c) => c[2] !== null);
    for (const [id, key] of [["plot-x", "bulk_modulus"], ["plot-y", "min_frequency"]]) {
      $(id).replaceChildren(...numeric.map(([name, title]) => element("option", title, { value: name, selected: name === key })));
      $(id).addEventListener("change", scatter);
    }
    const filled = numeric.filter(([name]) => data.rows.some((row) => row[column(name)] !== null)).map((c) => c[0]);
    if (!filled.includes("bulk_modulus")) $("plot-x").value = filled.includes("volume") ? "volume" : "atoms";
  }

  function scatter() {
    const x = column($("plot-x").value), y = column($("plot-y").value);
    const rows = data.rows.filter((row) => row[x] !== null && row[y] !== null);
    const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
    const axis = (index) => ({ title: { text: data.columns[index][1] }, gridcolor: css("--line"), linecolor: css("--line"), zeroline: false });
    const trace = {
      type: "scatter", mode: "markers",
      x: rows.map((row) => row[x]), y: rows.map((row) => row[y]), text: rows.map((row) => escaped(row[0])),
      marker: { size: 7, color: dark.matches ? "#8fb8f0" : "#27548f", opacity: 0.7 }, hovertemplate: "%{text}<br>%{x}, %{y}<extra></extra>",
    };
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: css("--text") },
      margin: { l: 64, r: 16, t: 16, b: 56 }, xaxis: axis(x), yaxis: axis(y),
    };
    Plotly.react($("scatter"), [trace], layout, { displaylogo: false, responsive: true, displayModeBar: false });
    $("scatter").dataset.drawn = "true";
  }

  async function news() {
    try {
      const answer = await fetch("api/overview.json", { cache: "no-store" });
      if (answer.ok) { data = await answer.json(); progress(); table(); if (window.Plotly) scatter(); }
      else $("made").textContent = `the server answered ${answer.status}`;
    } catch { $("made").textContent = "the server does not answer"; }
    window.setTimeout(news, EVERY);
  }

  // the table is there before plotly, most of the page, is read
  head(); progress(); table(); axes();
  window.addEventListener("load", scatter);
  $("filter").addEventListener("input", () => { view.page = 0; table(); });
  $("state").addEventListener("change", () => { view.page = 0; table(); });
  dark.addEventListener("change", scatter);
  if (document.body.dataset.live === "yes") window.setTimeout(news, EVERY);
})();
