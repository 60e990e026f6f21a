(() => {
  "use strict";
  // Draws the figures of a results page; their data and layout are JSON beside them.
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function themed(layout) {
    const text = getComputedStyle(document.body).color;
    const grid = dark.matches ? "#3a414b" : "#d5d9df";
    const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, automargin: true };
    const full = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: text, family: css("--font") || "system-ui, sans-serif", size: 13 },
      margin: { l: 70, r: 20, t: 20, b: 55 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      hovermode: "closest",
      modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)" },
      ...layout,
    };
    for (const name of Object.keys(full)) {
      if (/^[xy]axis\d*$/.test(name)) full[name] = { ...axis, ...full[name] };
    }
    return full;
  }

  function draw(element) {
    const figure = JSON.parse(document.getElementById(element.dataset.source).textContent);
    for (const trace of figure.data) {
      if (trace.ink) {
        const colour = trace.ink[dark.matches ? 1 : 0];
        trace.line = { ...trace.line, color: colour };
        trace.marker = { ...trace.marker, color: colour };
        if (trace.error_y) trace.error_y = { ...trace.error_y, color: colour };
        delete trace.ink;
      }
    }
    const options = { responsive: true, displaylogo: false };
    Plotly.react(element, figure.data, themed(figure.layout), options).then(() => {
      const waiting = element.querySelector(".waiting");
      if (waiting) waiting.remove();
      element.dataset.drawn = "yes";
    });
  }

  const plots = [...document.querySelectorAll(".plot.result")];
  plots.forEach(draw);
  dark.addEventListener("change", () => plots.forEach(draw));
})();
