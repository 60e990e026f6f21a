(() => {
  "use strict";
  const PER_CM = 33.35641; // cm^-1 per THz
  const NARROW = 640; // px
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const plots = new Map(); // element -> state
  const sources = new Map(); // id of the JSON -> numbers

  const shade = (pair) => pair[dark.matches ? 1 : 0];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faded = (hex, alpha) => {
    const n = parseInt(hex.slice(1), 16);
    return `rgba(${n >> 16},${(n >> 8) & 255},${n & 255},${alpha})`;
  };
  const wavenumbers = (thz) => Float32Array.from(thz, (f) => f * PER_CM);

  function decode(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  }

  function load(id) {
    if (!sources.has(id)) {
      const numbers = JSON.parse(document.getElementById(id).textContent);
      numbers.bandTrace = bandTrace(numbers.bands);
      const dos = numbers.dos;
      dos.frequencies = decode(dos.frequencies);
      dos.total = decode(dos.total);
      dos.elements.forEach((element) => { element.dos = decode(element.dos); });
      sources.set(id, numbers);
    }
    return sources.get(id);
  }

  // All bands in one line, broken by NaN between bands and between segments of the path.
  function bandTrace(bands) {
    const distances = decode(bands.distances);
    const values = decode(bands.frequencies);
    const nBands = values.length / distances.length;
    const length = nBands * (distances.length + bands.segments.length);
    const x = new Float32Array(length), y = new Float32Array(length), band = new Int32Array(length);
    let to = 0;
    for (let b = 0; b < nBands; b += 1) {
      let from = 0;
      for (const count of bands.segments) {
        for (let i = from; i < from + count; i += 1, to += 1) {
          x[to] = distances[i];
          y[to] = values[b * distances.length + i];
          band[to] = b + 1;
        }
        x[to] = NaN; y[to] = NaN; to += 1;
        from += count;
      }
    }
    return { x, y, text: band, customdata: wavenumbers(y), nBands, end: distances[distances.length - 1] };
  }

  // What the screen can show of a density: averages that keep the area of thin peaks.
  function densityWithin(dos, [low, high]) {
    const f = dos.frequencies;
    const first = Math.max(0, f.findIndex((v) => v >= low));
    let last = f.findIndex((v) => v > high);
    if (last < 0) last = f.length;
    const pitch = f[1] - f[0];
    let n = Math.floor((high - low) / 400 / pitch);
    if (!(n >= 8)) n = 1;
    const count = Math.max(0, Math.floor((last - first) / n));
    const averaged = (values) => Float32Array.from({ length: count }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < n; k += 1) sum += values[first + i * n + k];
      return sum / n;
    });
    const y = averaged(f);
    return {
      y, cm: wavenumbers(y), total: averaged(dos.total),
      elements: dos.elements.map((e) => averaged(e.dos)), width: n > 1 ? n * pitch : 0,
    };
  }

  function baseLayout(numbers, narrow) {
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 13, color: css("--text") },
      margin: { l: narrow ? 52 : 64, r: narrow ? 8 : 16, t: 36, b: 56 },
      hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--line"), font: { color: css("--text") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--muted"), activecolor: css("--text") },
      annotations: [], shapes: [],
      dragmode: narrow ? false : "zoom", // a finger scrolls the page
    };
    if (numbers.notice) {
      layout.annotations.push({
        text: `<b>${numbers.notice}</b>`, xref: "paper", yref: "paper", x: 0, y: 1,
        xanchor: "left", yanchor: "bottom", yshift: 8, showarrow: false,
        font: { color: shade(numbers.colours.alarm), size: narrow ? 11 : 13 },
      });
    }
    return layout;
  }

  const axis = (title, more) => ({
    title: { text: title, standoff: 8 }, gridcolor: css("--line"), linecolor: css("--line"),
    zeroline: false, ticks: "outside", tickcolor: css("--line"), ticklen: 4, showline: true, ...more,
  });

  function bandsFigure(numbers, state, narrow) {
    const [low, high] = state.window;
    const dos = densityWithin(numbers.dos, state.window);
    const { x, y, text, customdata, nBands } = numbers.bandTrace;
    const crowded = nBands > 60 && high - low > 0.3 * (numbers.range[1] - numbers.range[0]);
    const traces = [{
      type: "scatter", mode: "lines", x, y, text, customdata, connectgaps: false,
      line: { color: faded(shade(numbers.colours.bands), crowded ? 0.7 : 0.95), width: crowded ? 0.9 : 1.4 },
      hovertemplate: "band %{text}<br>%{y:.4f} THz<br>%{customdata:.2f} cm⁻¹<extra></extra>",
    }];
    const density = (values, name, colour, line) => traces.push({
      type: "scatter", mode: "lines", x: values, y: dos.y, customdata: dos.cm, xaxis: "x2",
      line: { color: colour, ...line }, name,
      hovertemplate: "%{x:.3f} states/THz/cell<br>%{y:.3f} THz<br>%{customdata:.1f} cm⁻¹",
    });
    density(dos.total, "total", shade(numbers.colours.total), { width: 1 });
    traces[1].fill = "tozerox";
    traces[1].fillcolor = faded(shade(numbers.colours.total), 0.08);
    numbers.dos.elements.forEach((element, i) => {
      if (state.hidden.has(i)) return;
      density(dos.elements[i], element.name, shade(element.colour), { width: 1.5 });
    });
    const most = dos.total.reduce((a, b) => Math.max(a, b), 0) || 1;
    const layout = baseLayout(numbers, narrow);
    const ticks = numbers.bands.ticks;
    const over = narrow ? "averaged over<br>" : "averaged over ";
    const width = dos.width ? `<br><span style="font-size:.85em">${over}${dos.width.toPrecision(2)} THz</span>` : "";
    layout.xaxis = axis("Wave vector", {
      domain: [0, narrow ? 0.66 : 0.72], range: state.path || [0, numbers.bandTrace.end],
      tickvals: ticks.map((t) => t[0]), ticktext: ticks.map((t) => t[1]), ticklabelstandoff: 4, ticks: "", tickangle: 0,
    });
    layout.xaxis2 = axis((narrow ? "DOS<br>(states/THz/cell)" : "DOS (states/THz/cell)") + width, {
      domain: [narrow ? 0.7 : 0.75, 1], range: [0, 1.05 * most], fixedrange: true, nticks: narrow ? 3 : 5,
    });
    layout.yaxis = axis("Frequency (THz)", { range: state.window, showgrid: false });
    if (!narrow) {
      // an axis is drawn when something is plotted on it
      traces.push({ type: "scatter", x: [null], y: [null], xaxis: "x2", yaxis: "y2", hoverinfo: "skip" });
      layout.yaxis2 = axis("Wavenumber (cm⁻¹)", {
        range: state.window.map((f) => f * PER_CM), overlaying: "y", side: "right", anchor: "x2",
        fixedrange: true, showgrid: false, tickmode: "auto", color: css("--muted"),
      });
      layout.margin.r = 76;
    }
    layout.margin.b = 56 + (narrow ? 20 : 0) + (width ? 20 : 0) + (narrow && width ? 14 : 0);
    layout.hovermode = "closest";
    if (low < 0 && high > 0) {
      const line = { color: css("--muted"), width: 1 };
      layout.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: 0, y1: 0, line });
    }
    if (numbers.imaginary && low < 0) {
      const alarm = shade(numbers.colours.alarm);
      for (const name of ["x domain", "x2 domain"]) {
        layout.shapes.push({
          type: "rect", xref: name, x0: 0, x1: 1, y0: low, y1: Math.min(0, high),
          fillcolor: faded(alarm, 0.1), line: { width: 0 }, layer: "below",
        });
      }
      layout.annotations.push({
        text: "imaginary, shown negative", xref: "x domain", yref: "y", x: 0.99, y: low,
        xanchor: "right", yanchor: "bottom", showarrow: false, font: { color: alarm, size: 12 },
        bgcolor: faded(css("--back"), 0.75),
      });
    }
    return { traces, layout };
  }

  function thermalFigure(numbers, state, narrow) {
    const { temperatures, free, entropy, capacity, limit } = numbers.thermal;
    const colours = numbers.colours.thermal.map(shade);
    const last = temperatures[temperatures.length - 1] || 1;
    const curve = (values, name, unit, colour, right) => ({
      type: "scatter", mode: "lines", x: temperatures, y: values, name,
      xaxis: right ? "x2" : "x", yaxis: right ? "y2" : "y", line: { color: colour, width: 2.2, simplify: false },
      hovertemplate: `%{y:.3f} ${unit} at %{x} K`,
    });
    const traces = [
      curve(free, "F", "kJ/mol", colours[0], false),
      curve(entropy, "S", "J/K/mol", colours[1], true),
      curve(capacity, "C<sub>V</sub>", "J/K/mol", colours[2], true),
    ];
    const layout = baseLayout(numbers, narrow);
    layout.hovermode = "x";
    layout.margin.r = 28;
    const range = [0, last];
    const left = narrow ? [0, 1] : [0, 0.44], right = narrow ? [0, 1] : [0.56, 1];
    layout.xaxis = axis("Temperature (K)", { domain: left, range, anchor: "y" });
    layout.xaxis2 = axis("Temperature (K)", { domain: right, range, anchor: "y2" });
    layout.yaxis = axis("Free energy <i>F</i> (kJ/mol)", { domain: narrow ? [0.6, 1] : [0, 1] });
    layout.yaxis2 = axis("<i>S</i>, <i>C<sub>V</sub></i> (J/K/mol)", {
      domain: narrow ? [0, 0.4] : [0, 1], anchor: "x2", rangemode: "tozero",
    });
    layout.shapes.push({
      type: "line", xref: "x2", yref: "y2", x0: 0, x1: last, y0: limit, y1: limit,
      line: { color: css("--muted"), width: 1, dash: "dash" },
    });
    const label = (text, at, y, colour, yanchor) => layout.annotations.push({
      text, xref: "x2", yref: "y2", x: last * at, y, xanchor: "right", yanchor, showarrow: false,
      font: { color: colour }, bgcolor: faded(css("--back"), 0.75), borderpad: 1,
    });
    const at = (values, part) => values[Math.round(part * (values.length - 1))];
    label("Dulong-Petit", 0.3, limit, css("--muted"), "bottom");
    label("entropy <i>S</i>", 0.84, at(entropy, 0.85), colours[1], "bottom");
    label("heat capacity <i>C<sub>V</sub></i>", 0.98, at(capacity, 0.6), colours[2], "top");
    return { traces, layout };
  }

  const config = (element, narrow) => ({
    displaylogo: false, displayModeBar: !narrow, doubleClick: false, showTips: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d"]],
    toImageButtonOptions: { format: "svg", filename: element.id },
  });

  function draw(element) {
    const state = plots.get(element);
    const numbers = load(element.dataset.source);
    const narrow = element.clientWidth < NARROW;
    state.whole = numbers.range[1];
    if (!state.window) state.window = numbers.range.slice();
    const make = state.bands ? bandsFigure : thermalFigure;
    const { traces, layout } = make(numbers, state, narrow);
    state.narrow = narrow;
    if (state.drawn) return Plotly.react(element, traces, layout, state.config);
    state.drawn = true;
    state.config = config(element, narrow);
    element.replaceChildren();
    const done = Plotly.newPlot(element, traces, layout, state.config);
    if (state.bands) follow(element, state, numbers);
    element.dataset.drawn = "true";
    return done;
  }

  // Zooming in frequency changes what the density averages over.
  function follow(element, state, numbers) {
    element.on("plotly_relayout", (change) => {
      const pair = (name) => change[`${name}.range`] || (`${name}.range[0]` in change
        ? [change[`${name}.range[0]`], change[`${name}.range[1]`]] : null);
      const window_ = pair("yaxis"), path = pair("xaxis");
      if (path) state.path = path;
      if (window_) { state.window = window_; press(state, null); }
      if (window_) draw(element);
    });
    element.on("plotly_click", ({ points: [point] }) => {
      if (point.curveNumber !== 0) return;
      const near = numbers.bands.ticks.reduce((a, b) => (Math.abs(b[0] - point.x) < Math.abs(a[0] - point.x) ? b : a));
      const detail = { source: element.dataset.source, point: near[2], band: point.data.text[point.pointNumber] };
      document.dispatchEvent(new CustomEvent("mofonon-band", { detail }));
    });
    element.on("plotly_doubleclick", () => { reset(element, state, numbers.range.slice()); });
  }

  function reset(element, state, window_) {
    state.window = window_;
    state.path = null;
    press(state, window_[1]);
    draw(element);
  }

  function press(state, top) {
    for (const button of state.buttons) {
      const own = button.dataset.top === "" ? state.whole : Number(button.dataset.top);
      button.setAttribute("aria-pressed", String(top !== null && own === top));
    }
  }

  function control(element, state) {
    const controls = element.parentElement.querySelector(".controls");
    if (!controls) return;
    controls.hidden = false;
    state.buttons = [...controls.querySelectorAll("button")];
    for (const button of state.buttons) {
      button.addEventListener("click", () => {
        const range = load(element.dataset.source).range;
        reset(element, state, [range[0], button.dataset.top === "" ? range[1] : Number(button.dataset.top)]);
      });
    }
    controls.querySelectorAll("input").forEach((box, index) => {
      box.addEventListener("change", () => {
        if (box.checked) state.hidden.delete(index); else state.hidden.add(index);
        draw(element);
      });
    });
  }

  const redraw = () => plots.forEach((state, element) => { if (state.drawn) draw(element); });
  const seen = new IntersectionObserver((changes) => {
    for (const change of changes) {
      if (change.isIntersecting && !plots.get(change.target).drawn) {
        seen.unobserve(change.target);
        draw(change.target);
      }
    }
  }, { rootMargin: "500px" });
  const resized = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      const state = plots.get(target);
      if (!state.drawn) continue;
      if (state.narrow !== target.clientWidth < NARROW) draw(target);
      Plotly.Plots.resize(target);
    }
  });
  for (const element of document.querySelectorAll(".plot:not(.result)")) {
    const state = { bands: element.classList.contains("bands"), hidden: new Set(), buttons: [] };
    plots.set(element, state);
    if (state.bands) control(element, state);
    seen.observe(element);
    resized.observe(element);
  }
  dark.addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => plots.forEach((state, element) => { if (!state.drawn) draw(element); }));
})();
