// What a reader does with a view that the kernel draws: point at values, select a part, sort and filter a table.
// The kernel sends finished HTML (`value`) and the places of its values (`points`); nothing is computed or fetched here.
function made(tag, name, parent) {
  const element = document.createElement(tag);
  element.className = name;
  parent.append(element);
  return element;
}

function nearest(values, x) {
  let best = -1;
  for (let i = 0; i < values.length; i++) {
    if (best < 0 || Math.abs(values[i] - x) < Math.abs(values[best] - x)) best = i;
  }
  return best;
}

function render({ model, el }) {
  const root = made("div", "perflab-surface", el);
  const filter = made("input", "perflab-filter", root); // moves to above the table, if there is one
  filter.type = "search";
  filter.placeholder = "Filter rows";
  filter.setAttribute("aria-label", "Filter rows");
  const stage = made("div", "perflab-stage", root);
  const content = made("div", "perflab-content", stage);
  const line = made("div", "perflab-cursor", stage);
  const brush = made("div", "perflab-brush", stage);
  const tip = made("div", "perflab-tip", stage);
  tip.setAttribute("role", "status");
  let cursor = null; // in units of the picture, so that it survives a redraw
  let level = null; // the lower end of a selection made by keyboard
  let from = null; // where a selection began: [x, y] in units of the picture

  const points = () => model.get("points");
  const chart = () => content.querySelector("svg.perflab-chart");
  const scale = () => chart().getBoundingClientRect().width / points().width;
  const paneAt = (y) => {
    const panes = points().panes;
    return Math.max(0, panes.findIndex((pane) => y <= pane.bottom + 13));
  };
  const within = (x) => Math.min(points().right, Math.max(points().left, x));

  function place(element, left, top, width, height) {
    const svg = chart().getBoundingClientRect();
    const origin = stage.getBoundingClientRect();
    const k = scale();
    Object.assign(element.style, {
      left: `${svg.left - origin.left + left * k}px`,
      top: `${svg.top - origin.top + top * k}px`,
      width: `${width * k}px`,
      height: `${height * k}px`,
      display: "block",
    });
  }

  function point() {
    const known = points();
    if (cursor === null || !chart() || !known.panes) {
      line.style.display = tip.style.display = "none";
      return;
    }
    const last = known.panes[known.panes.length - 1];
    place(line, cursor, known.panes[0].top, 0, last.bottom - known.panes[0].top);
    tip.replaceChildren();
    const share = (cursor - known.left) / (known.right - known.left);
    const span = known.x[1] - known.x[0];
    const at = known.x[0] + share * span;
    made("strong", "", tip).textContent = `${known.xLabel}: ${at.toFixed(span < 20 ? 2 : span < 200 ? 1 : 0)}`;
    for (const pane of known.panes) {
      for (const series of pane.series) {
        const i = nearest(series.x, cursor);
        if (i < 0 || Math.abs(series.x[i] - cursor) > Math.max(24, (known.right - known.left) / 12)) continue;
        const row = made("div", "", tip);
        made("span", "perflab-swatch", row).style.background = series.colour;
        row.append(`${pane.label}${series.label ? ` (${series.label})` : ""}: ${series.t[i]}`);
      }
    }
    const k = scale();
    const right = cursor > (known.left + known.right) / 2;
    place(tip, right ? known.left : cursor + 8, known.panes[0].top, 0, 0);
    Object.assign(tip.style, { width: "max-content", height: "auto" });
    if (right) tip.style.left = `${parseFloat(line.style.left) - tip.offsetWidth - 8 * k}px`;
  }

  function drawn(to) {
    const pane = points().panes[paneAt(from[1])];
    const [x, y] = [within(to[0]), Math.min(pane.bottom, Math.max(pane.top, to[1]))];
    const tall = pane.banded && Math.abs(y - from[1]) > (pane.bottom - pane.top) * 0.08;
    const box = {
      left: Math.min(x, from[0]),
      right: Math.max(x, from[0]),
      top: tall ? Math.min(y, from[1]) : pane.top,
      bottom: tall ? Math.max(y, from[1]) : pane.bottom,
    };
    place(brush, box.left, box.top, box.right - box.left, box.bottom - box.top);
    return [pane, box, tall];
  }

  function choose(to) {
    const [pane, box, tall] = drawn(to);
    const wide = points().right - points().left;
    brush.style.display = "none";
    const share = (x) => (x - points().left) / wide;
    const up = (y) => (pane.bottom - y) / (pane.bottom - pane.top);
    if (box.right - box.left > 3) {
      const number = points().panes.indexOf(pane);
      const y = tall ? [up(box.bottom), up(box.top)] : [0, 1];
      // With the time, the same selection counts again.
      model.set("brush", [number, share(box.left), share(box.right), ...y, Date.now()]);
      model.save_changes();
    }
    from = level = null;
  }

  function where(event) {
    const rect = chart().getBoundingClientRect();
    return [(event.clientX - rect.left) / scale(), (event.clientY - rect.top) / scale()];
  }

  const onChart = (event) => chart() && chart().contains(event.target);
  content.addEventListener("pointerdown", (event) => {
    if (!onChart(event) || event.button !== 0 || !model.get("brushable")) return;
    const [x, y] = where(event);
    from = [within(x), y];
    content.setPointerCapture(event.pointerId);
    event.preventDefault();
    chart().focus({ preventScroll: true });
  });
  content.addEventListener("pointermove", (event) => {
    if (!chart() || (!onChart(event) && !from)) return;
    const [x, y] = where(event);
    cursor = within(x);
    point();
    if (from) drawn([x, y]);
  });
  content.addEventListener("pointerup", (event) => from && choose(where(event)));
  content.addEventListener("pointercancel", () => {
    from = null;
    brush.style.display = "none";
  });
  content.addEventListener("pointerleave", () => {
    if (from) return;
    cursor = null;
    point();
  });

  content.addEventListener("keydown", (event) => {
    const header = event.target.closest("th");
    if (header && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      sort(header);
    }
    if (!onChart(event)) return;
    const known = points();
    const step = (known.right - known.left) / 60;
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      event.preventDefault();
      event.stopPropagation(); // JupyterLab would move to another cell
      if (cursor === null) cursor = known.left;
      const begun = cursor;
      cursor = within(cursor + (event.key === "ArrowRight" ? step : -step));
      if (event.shiftKey && model.get("brushable")) {
        from = from || [begun, known.panes[0].top + 1];
        drawn([cursor, from[1]]);
      }
      point();
    } else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && event.shiftKey && from) {
      // The span gets a band: from here to the top of the pane, the slowest requests.
      event.preventDefault();
      event.stopPropagation();
      const pane = known.panes.find((one) => one.banded);
      if (!pane) return;
      const tenth = (pane.bottom - pane.top) / 10;
      if (level === null) level = pane.top;
      level = Math.min(pane.bottom, Math.max(pane.top, level + (event.key === "ArrowUp" ? -tenth : tenth)));
      from[1] = pane.top + 1;
      drawn([cursor, level]);
    } else if (event.key === "Enter" && from) {
      event.preventDefault();
      event.stopPropagation();
      choose([cursor, level === null ? from[1] : level]);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      from = cursor = level = null;
      brush.style.display = "none";
      point();
      model.set("brush", []);
      model.save_changes();
    }
  });

  function sort(header) {
    const column = [...header.parentElement.children].indexOf(header);
    const [now, down] = model.get("order");
    model.set("order", [column, now === column ? !down : false]);
    model.save_changes();
  }
  content.addEventListener("click", (event) => {
    const header = event.target.closest("th");
    if (header && model.get("sortable")) sort(header);
  });
  let typing = 0;
  filter.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      model.set("only", filter.value);
      model.save_changes();
    }, 200);
  });

  function draw() {
    const typed = document.activeElement === filter;
    const focused = !typed && content.contains(document.activeElement);
    const column = focused && document.activeElement.closest("th");
    const place = column ? [...column.parentElement.children].indexOf(column) : -1;
    content.innerHTML = model.get("value");
    const table = content.querySelector("table");
    if (table && (model.get("sortable") || filter.value)) table.parentElement.before(filter);
    else filter.remove();
    if (typed) filter.focus({ preventScroll: true });
    if (model.get("sortable")) {
      const [sorted, down] = model.get("order");
      [...content.querySelectorAll("thead th")].forEach((header, number) => {
        header.tabIndex = 0;
        header.classList.add("perflab-sortable");
        header.setAttribute("aria-sort", number !== sorted ? "none" : down ? "descending" : "ascending");
        header.title = "Sort by this column";
        if (number === place) header.focus({ preventScroll: true });
      });
    }
    const svg = chart();
    if (svg) {
      svg.setAttribute("tabindex", "0");
      if (focused && place < 0) svg.focus({ preventScroll: true });
    }
    point();
  }

  const fit = new ResizeObserver(() => {
    const width = Math.floor(stage.clientWidth / 20) * 20;
    if (width > 0 && width !== model.get("width")) {
      model.set("width", width);
      model.save_changes();
    }
  });
  fit.observe(stage);
  model.on("change:value", draw);
  draw();
  return () => fit.disconnect();
}

export default { render };
