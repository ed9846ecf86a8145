// Collects the web vitals of one document. It runs before the page's own scripts and adds no work to the page but copying
// the entries that the browser makes anyway (Performance Timeline, Event Timing, Layout Instability, Long Tasks).
(() => {
  if (window.top !== window || window.__perflab) return;
  const seen = { lcp: [], events: [], shifts: [], tasks: [], frames: [] };
  const observers = [];
  const observe = (type, into, options = {}) => {
    if (!PerformanceObserver.supportedEntryTypes.includes(type)) return;
    const keep = (list) => seen[into].push(...(list.getEntries ? list.getEntries() : list));
    const observer = new PerformanceObserver(keep);
    observer.observe({ type, buffered: true, ...options });
    observers.push([observer, keep]);
  };
  // The page may replace what is used at the end.
  const { performance, document, requestAnimationFrame, setTimeout, Promise, Map, Math } = window;
  const now = performance.now.bind(performance);
  observe("largest-contentful-paint", "lcp");
  observe("layout-shift", "shifts");
  observe("longtask", "tasks");
  observe("long-animation-frame", "frames");
  observe("event", "events", { durationThreshold: 16 });
  observe("first-input", "events");

  const taken = () => observers.forEach(([observer, keep]) => keep(observer.takeRecords()));

  // An element as people find it: up to its id, at most four levels.
  const named = (node) => {
    const parts = [];
    for (let at = node; at && at.nodeType === 1 && parts.length < 4; at = at.parentElement) {
      const tag = at.localName;
      const classes = [...at.classList].slice(0, 2).map((name) => `.${name}`).join("");
      parts.unshift(at.id ? `${tag}#${at.id}` : tag + classes);
      if (at.id) break;
    }
    return parts.join(">").slice(0, 160);
  };

  const script = (from, to) => {
    // The script that ran longest in frames that overlap this time.
    const scripts = seen.frames.filter((f) => f.startTime < to && f.startTime + f.duration > from).flatMap((f) => f.scripts);
    const longest = scripts.reduce((most, each) => (!most || each.duration > most.duration ? each : most), null);
    return longest && { url: longest.sourceURL, name: longest.sourceFunctionName, invoker: longest.invoker, ms: longest.duration };
  };

  const largest = (navigation) => {
    const entry = seen.lcp.at(-1);
    if (!entry) return null;
    const ttfb = navigation ? navigation.responseStart : 0;
    const resource = entry.url && performance.getEntriesByType("resource").filter((each) => each.name === entry.url).at(-1);
    const asked = Math.max(ttfb, resource ? resource.requestStart || resource.startTime : 0);
    const arrived = Math.min(entry.startTime, Math.max(asked, resource ? resource.responseEnd : 0));
    return {
      value: entry.startTime, element: named(entry.element) || entry.id || "", url: entry.url || "",
      parts: { resource_delay: asked - ttfb, resource_load: arrived - asked, render_delay: entry.startTime - arrived },
    };
  };

  // The largest session of shifts: gaps below 1 s, 5 s at most.
  const shifted = () => {
    let [worst, sum, first, last] = [0, 0, 0, 0];
    let [cause, own] = [null, null];
    for (const entry of seen.shifts.filter((each) => !each.hadRecentInput).sort((a, b) => a.startTime - b.startTime)) {
      if (sum && entry.startTime - last < 1000 && entry.startTime - first < 5000) {
        sum += entry.value;
      } else {
        [sum, first, own] = [entry.value, entry.startTime, null];
      }
      last = entry.startTime;
      if (!own || entry.value > own.value) own = entry;
      if (sum > worst) [worst, cause] = [sum, own];
    }
    const area = ({ previousRect: a, currentRect: b }) => Math.max(a.width * a.height, b.width * b.height);
    const sources = cause ? [...cause.sources].sort((a, b) => area(b) - area(a)) : [];
    return { value: worst, element: sources.length ? named(sources[0].node) : "" };
  };

  // The slowest interaction; with 50 or more, one slow one in 50 is left out (as INP is defined).
  const interaction = () => {
    const slowest = new Map();
    for (const entry of seen.events.filter((each) => each.interactionId || each.entryType === "first-input")) {
      const key = entry.interactionId || "first";
      if (!slowest.has(key) || entry.duration > slowest.get(key).duration) slowest.set(key, entry);
    }
    // A first input of a kind that has no interaction id (a hover) is none.
    const ranked = [...slowest.values()].filter((each) => each.interactionId || /key|pointer|click|mouse/.test(each.name));
    ranked.sort((a, b) => b.duration - a.duration);
    const entry = ranked[Math.min(ranked.length - 1, Math.floor(ranked.length / 50))];
    if (!entry) return null;
    // Durations are multiples of 8 ms: of a quick one it may be less than the time until its handler ended.
    const value = Math.max(entry.duration, entry.processingEnd - entry.startTime);
    const end = entry.startTime + value;
    // All events of the frame that showed it: the handlers of one may delay the other.
    const together = seen.events.filter(
      (each) =>
        each === entry || (Math.abs(each.startTime + each.duration - end) <= 8 && each.processingStart < end && each.processingEnd > entry.startTime)
    );
    const busiest = together.reduce((a, b) => (b.processingEnd - b.processingStart > a.processingEnd - a.processingStart ? b : a), entry);
    const begun = Math.min(end, Math.max(entry.startTime, Math.min(...together.map((each) => each.processingStart))));
    const ended = Math.min(end, Math.max(begun, ...together.map((each) => each.processingEnd)));
    return {
      value, element: named(busiest.target || entry.target), type: busiest.name, script: script(begun, ended),
      parts: { input_delay: begun - entry.startTime, processing: ended - begun, presentation: end - ended },
    };
  };

  // Of the load only: what an interaction takes is its INP.
  const blocked = (fcp, until) => {
    const long = seen.tasks.filter((each) => each.startTime + each.duration > fcp && each.duration > 50 && each.startTime < until);
    const most = long.reduce((a, b) => (!a || b.duration > a.duration ? b : a), null);
    const value = long.reduce((sum, each) => sum + Math.min(each.duration - 50, each.startTime + each.duration - fcp), 0);
    return { value, tasks: long.length, script: most && script(most.startTime, most.startTime + most.duration) };
  };

  const images = () =>
    [...document.images].slice(0, 500).map((image) => {
      const box = image.getBoundingClientRect();
      return {
        url: image.currentSrc, width: Math.round(box.width), height: Math.round(box.height),
        natural_width: image.naturalWidth, natural_height: image.naturalHeight, lazy: image.loading === "lazy",
        visible: box.top < innerHeight && box.bottom > 0 && box.left < innerWidth && box.right > 0,
      };
    });

  window.__perflab = {
    origin: performance.timeOrigin,
    loaded: location.href,
    now,

    // Once what is loaded is on the screen.
    async painted() {
      const decoded = [...document.images].filter((each) => each.complete && each.naturalWidth).map((each) => each.decode().catch(() => null));
      await Promise.race([Promise.all(decoded), new Promise((done) => setTimeout(done, 2000))]);
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0))));
      this.shown ??= now();
    },

    // Once an interaction that started after this time has been shown; quick ones (below 16 ms) leave no entry.
    async answered(since) {
      for (let left = 12; left > 0; left -= 1) {
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0))));
        taken();
        if (seen.events.some((each) => each.startTime >= since && each.interactionId)) return true;
      }
      return false;
    },

    collected() {
      taken();
      const navigation = performance.getEntriesByType("navigation")[0];
      const paint = performance.getEntriesByName("first-contentful-paint")[0];
      return {
        ttfb: navigation ? navigation.responseStart : null, fcp: paint ? paint.startTime : null, lcp: largest(navigation),
        cls: shifted(), inp: interaction(), tbt: paint ? blocked(paint.startTime, this.shown) : null, images: images(),
        blocking: performance.getEntriesByType("resource").filter((each) => each.renderBlockingStatus === "blocking").map((each) => each.name),
      };
    },
  };
})();
