(() => {
  "use strict";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const shade = (pair) => pair[dark.matches ? 1 : 0];
  const AMPLITUDE = 0.5; // A
  const views = [];

  function signedBytes(text) {
    return new Int8Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  }

  function turned(matrix, axis, angle) { // rows of the matrix are the axes of the screen
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    const [a, b] = axis === "y" ? [0, 2] : [1, 2];
    const out = matrix.map((row) => row.slice());
    for (let k = 0; k < 3; k += 1) {
      out[a][k] = c * matrix[a][k] + s * matrix[b][k];
      out[b][k] = -s * matrix[a][k] + c * matrix[b][k];
    }
    return out;
  }

  class View {
    constructor(canvas) {
      this.canvas = canvas;
      this.data = JSON.parse(document.getElementById(canvas.dataset.source).textContent);
      this.matrix = turned(turned([[1, 0, 0], [0, 1, 0], [0, 0, 1]], "y", 0.5), "x", 0.35);
      this.rotating = !still.matches;
      this.mode = null;
      this.visible = false;
      this.frames = 0;
      const cell = this.data.cell;
      this.corners = [];
      for (let n = 0; n < 8; n += 1) {
        this.corners.push([0, 1, 2].map((k) => (n & 1) * cell[k] + ((n >> 1) & 1) * cell[3 + k] + ((n >> 2) & 1) * cell[6 + k]));
      }
      this.centre = [0, 1, 2].map((k) => (cell[k] + cell[3 + k] + cell[6 + k]) / 2);
      this.size = Math.max(...this.corners.map((p) => Math.hypot(...p.map((x, k) => x - this.centre[k])))) + 1;
      this.listen();
      this.controls();
    }

    controls() {
      const box = this.canvas.parentElement.querySelector(".controls");
      box.hidden = false;
      this.button = box.querySelector(".rotate");
      this.button.setAttribute("aria-pressed", String(this.rotating));
      this.button.addEventListener("click", () => this.rotate(!this.rotating));
      [this.point, this.select] = [box.querySelector(".point"), box.querySelector(".mode")];
      if (!this.data.points.length) { this.point.parentElement.hidden = true; this.select.parentElement.hidden = true; return; }
      this.data.points.forEach(({ name }, index) => this.point.append(new Option(name, index)));
      this.point.addEventListener("change", () => { this.list(); this.choose(Number(this.point.value), null); });
      this.select.addEventListener("change", () => this.choose(Number(this.point.value), this.select.value === "" ? null : Number(this.select.value)));
      this.list();
    }

    rotate(on) {
      this.rotating = on;
      this.button.setAttribute("aria-pressed", String(on));
      this.draw();
    }

    list() {
      const { frequencies } = this.data.points[Number(this.point.value)];
      this.select.replaceChildren(new Option("at rest", ""), ...frequencies.map((f, i) => new Option(`${i + 1}: ${f.toFixed(3)} THz`, i)));
    }

    choose(point, mode) {
      const { moves, frequencies } = this.data.points[point];
      if (Number(this.point.value) !== point) { this.point.value = point; this.list(); }
      if (mode !== null && mode >= frequencies.length) mode = null;
      this.select.value = mode === null ? "" : mode;
      const size = 6 * this.data.kinds.length;
      this.mode = mode === null ? null : signedBytes(moves).subarray(mode * size, (mode + 1) * size);
      this.canvas.dataset.mode = mode === null ? "" : `${this.data.points[point].name} ${mode + 1}`;
      this.draw();
    }

    listen() {
      const canvas = this.canvas;
      let from = null;
      canvas.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); this.rotate(false); });
      canvas.addEventListener("pointermove", (event) => {
        if (!from) return;
        this.turn((event.clientX - from[0]) / 120, (event.clientY - from[1]) / 120);
        from = [event.clientX, event.clientY];
      });
      for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { from = null; });
      canvas.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
        if (!step) return;
        event.preventDefault();
        this.rotate(false);
        this.turn(...step);
      });
    }

    turn(x, y) {
      this.matrix = turned(turned(this.matrix, "y", x), "x", y);
      this.draw();
    }

    step(time) {
      if (!this.visible || (!this.rotating && !this.mode)) return;
      if (this.rotating) this.matrix = turned(this.matrix, "y", 0.006);
      this.draw(time);
    }

    draw(time = 0) {
      const { canvas, data, matrix } = this;
      const width = canvas.clientWidth, height = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
      if (!width) return;
      if (canvas.width !== Math.round(width * ratio)) { canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); }
      const context = canvas.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      const scale = Math.min(width, height) / 2 / this.size;
      const place = (p) => {
        const r = p.map((x, k) => x - this.centre[k]);
        const [x, y, z] = matrix.map((row) => row[0] * r[0] + row[1] * r[1] + row[2] * r[2]);
        return [width / 2 + scale * x, height / 2 - scale * y, z];
      };
      const phase = time / 160, real = Math.cos(phase) * AMPLITUDE / 127, imaginary = Math.sin(phase) * AMPLITUDE / 127;
      const atoms = data.kinds.map((_, i) => [0, 1, 2].map((k) => data.positions[3 * i + k]
        + (this.mode ? real * this.mode[6 * i + 2 * k] + imaginary * this.mode[6 * i + 2 * k + 1] : 0)));
      const things = atoms.map((p, i) => ({ at: place(p), kind: data.kinds[i] }));
      data.bonds[0].forEach((i, n) => {
        const end = atoms[i].map((x, k) => x + data.bonds[1][3 * n + k] / 2);
        const [a, b] = [place(atoms[i]), place(end)];
        things.push({ from: a, to: b, at: [0, 0, (a[2] + b[2]) / 2], kind: data.kinds[i] });
      });
      this.box(context, place);
      things.sort((a, b) => a.at[2] - b.at[2]);
      for (const thing of things) {
        const { colour, radius } = data.elements[thing.kind];
        context.globalAlpha = 0.45 + 0.55 * Math.min(1, Math.max(0, (thing.at[2] / this.size + 1) / 1.6));
        if (thing.from) {
          context.strokeStyle = shade(colour);
          context.lineWidth = Math.max(1, 0.14 * scale);
          context.beginPath();
          context.moveTo(thing.from[0], thing.from[1]);
          context.lineTo(thing.to[0], thing.to[1]);
          context.stroke();
        } else {
          context.fillStyle = shade(colour);
          context.beginPath();
          context.arc(thing.at[0], thing.at[1], Math.max(1.5, 0.42 * radius * scale), 0, 2 * Math.PI);
          context.fill();
        }
      }
      context.globalAlpha = 1;
      this.frames += 1;
      canvas.dataset.frames = this.frames;
    }

    box(context, place) {
      context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--muted");
      context.globalAlpha = 0.6;
      context.lineWidth = 1;
      const at = this.corners.map(place);
      context.beginPath();
      for (let n = 0; n < 8; n += 1) {
        for (const bit of [1, 2, 4]) if (!(n & bit)) { context.moveTo(at[n][0], at[n][1]); context.lineTo(at[n | bit][0], at[n | bit][1]); }
      }
      context.stroke();
    }
  }

  const seen = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      let view = views.find((v) => v.canvas === target);
      if (!view && isIntersecting) { view = new View(target); views.push(view); }
      if (view) { view.visible = isIntersecting; view.draw(); }
    }
  }, { rootMargin: "200px" });
  document.querySelectorAll("canvas.view").forEach((canvas) => seen.observe(canvas));
  dark.addEventListener("change", () => views.forEach((view) => view.draw()));
  new ResizeObserver(() => views.forEach((view) => view.draw())).observe(document.body);

  // A click on a band near a named point of the path chooses its mode.
  document.addEventListener("mofonon-band", ({ detail }) => {
    const canvas = document.querySelector(`canvas.view[data-bands="${detail.source}"]`);
    if (!canvas) return;
    let view = views.find((v) => v.canvas === canvas);
    if (!view) { view = new View(canvas); view.visible = true; views.push(view); }
    const point = view.data.points.findIndex(({ name }) => name === detail.point);
    if (point >= 0) view.choose(point, detail.band - 1);
  });

  const tick = (time) => { views.forEach((view) => view.step(time)); window.requestAnimationFrame(tick); };
  window.requestAnimationFrame(tick);
})();
