"use strict";
(() => {
  const { nodes, edges } = JSON.parse(document.getElementById("data").textContent);
  const canvas = document.getElementById("canvas");
  const facts = document.getElementById("facts");
  const MOST = innerWidth < 560 ? 24 : 60; // nodes that are shown at first
  const MANY = 200;
  const LINE = 16, TOP = 22, SIDE = 12, WIDEST = 34; // of a box: pixels a line, above and beside it; letters a line
  const SVG = "http://www.w3.org/2000/svg";

  const element = (name, attributes, parent) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    if (parent) parent.append(made);
    return made;
  };
  const cut = (text) => (text.length > WIDEST ? `${text.slice(0, WIDEST - 1)}…` : text);

  // The tree of modules: a path for each; one with a single child and nothing else is that child.
  const modules = new Map([["", { path: "", label: "", parent: null, children: [], own: [] }]]);
  const module = (path) => {
    if (!modules.has(path)) {
      const parent = module(path.includes(".") ? path.slice(0, path.lastIndexOf(".")) : "");
      modules.set(path, { path, label: path, parent, children: [], own: [] });
      parent.children.push(modules.get(path));
    }
    return modules.get(path);
  };
  nodes.forEach((node, index) => module(node.group).own.push(index));
  const size = (group) => group.own.length + group.children.reduce((sum, child) => sum + size(child), 0);
  const closes = (group) => group.path !== "" && size(group) > 1 && (group.own.length > 0 || group.children.length > 1);
  const opened = new Set();

  const outermost = (index) => { // the closed module that stands for a node; null where the node itself is seen
    let found = null;
    for (let group = module(nodes[index].group); group; group = group.parent) {
      if (closes(group) && !opened.has(group.path)) found = group;
    }
    return found;
  };
  const key = (index) => { const group = outermost(index); return group ? `m:${group.path}` : `n:${index}`; };
  const countSeen = () => new Set(nodes.map((_, index) => key(index))).size;

  const depth = (group) => group.path.split(".").length;
  const openFew = () => {
    opened.clear();
    for (let more = true; more;) {
      more = false;
      const closed = [...new Set(nodes.map((_, index) => outermost(index)).filter(Boolean))];
      for (const group of closed.sort((a, b) => depth(a) - depth(b) || size(a) - size(b))) {
        opened.add(group.path);
        if (countSeen() <= MOST) { more = true; break; }
        opened.delete(group.path);
      }
    }
  };

  const describe = (id) => {
    if (id.startsWith("m:")) {
      const group = modules.get(id.slice(2));
      const inside = nodes.filter((node, index) => key(index) === id);
      const count = (kind, word) => {
        const found = inside.filter((node) => node.kind === kind).length;
        return found ? `${found} ${word}${found > 1 ? "s" : ""}` : "";
      };
      const kinds = [count("product", "product"), count("spike", "spike tensor"), count("state", "state")];
      return { kind: "module", title: group.path, lines: [`${inside.length} nodes`, ...kinds.filter(Boolean)] };
    }
    const node = nodes[Number(id.slice(2))];
    const lines = [...node.lines];
    if (node.kind === "next") lines.unshift("next state");
    if (node.kind === "spike") lines.unshift("spikes");
    if (node.kind === "state" || node.kind === "input" || node.kind === "output") lines.unshift(node.kind);
    return { kind: node.kind, title: node.name, lines };
  };

  let shown = [], view = { x: 0, y: 0, scale: 1 }, extent = { width: 1, height: 1 };
  const svg = element("svg", { "aria-hidden": "false" }, canvas);
  const layer = element("g", {}, svg);
  const place = () => layer.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);

  const draw = (focus) => {
    const graph = new dagre.graphlib.Graph({ compound: true });
    graph.setGraph({ rankdir: "TB", nodesep: 26, ranksep: 34, marginx: 16, marginy: 16 });
    const seen = new Map();
    if (countSeen() > MANY) graph.graph().ranker = "longest-path"; // the usual one takes seconds
    nodes.forEach((_, index) => {
      const id = key(index);
      if (seen.has(id)) return;
      const box = describe(id);
      const texts = [box.title, ...box.lines].map(cut);
      const width = Math.max(70, ...texts.map((text, row) => text.length * (row ? 6.3 : 7.6))) + 2 * SIDE;
      seen.set(id, { ...box, id, texts });
      graph.setNode(id, { width, height: TOP + LINE * (texts.length - 1) + 12 });
    });
    const frames = new Map();
    const frame = (group) => { // the frame of an open module, inside those around it
      if (!group || group.path === "" || !closes(group)) return group && group.parent ? frame(group.parent) : null;
      const id = `f:${group.path}`;
      if (!frames.has(id)) {
        frames.set(id, group.path);
        graph.setNode(id, {});
        const around = frame(group.parent);
        if (around) graph.setParent(id, around);
      }
      return id;
    };
    for (const id of seen.keys()) {
      const group = id.startsWith("m:") ? modules.get(id.slice(2)).parent : module(nodes[Number(id.slice(2))].group);
      const around = frame(group);
      if (around) graph.setParent(id, around);
    }
    const flows = new Map();
    for (const [from, to] of edges) {
      const [a, b] = [key(from), key(to)];
      if (a === b) continue;
      const kind = nodes[from].kind === "spike" ? "spikes" : nodes[from].kind === "state" || nodes[to].kind === "next" ? "states" : "";
      flows.set(`${a}\n${b}`, kind || flows.get(`${a}\n${b}`) || "");
      graph.setEdge(a, b, {});
    }
    dagre.layout(graph);
    layer.replaceChildren();
    for (const [id, path] of frames) frameBox(graph.node(id), path);
    for (const { v, w } of graph.edges()) edgeLine(graph.edge({ v, w }).points, flows.get(`${v}\n${w}`));
    for (const [id, path] of frames) frameName(graph.node(id), path);
    shown = [...seen.values()].map((box) => ({ ...box, at: graph.node(box.id) }));
    shown.sort((a, b) => a.at.y - b.at.y || a.at.x - b.at.x);
    shown.forEach(nodeBox);
    extent = graph.graph();
    const target = shown.find((box) => box.id === focus) || shown.find((box) => focus && box.id.startsWith("n:") && nodes[Number(box.id.slice(2))].group.startsWith(focus.slice(2)));
    (target || shown[0]).node.setAttribute("tabindex", "0");
    return target;
  };

  const frameBox = (at, path) => {
    const group = element("g", { class: "frame node" }, layer);
    element("rect", { class: "box", x: at.x - at.width / 2, y: at.y - at.height / 2, width: at.width, height: at.height, rx: 8 }, group);
    group.addEventListener("click", () => { if (!moved) toggle(`m:${path}`); });
  };
  const frameName = (at, path) => { // above edges, which may cross it
    const text = element("text", { class: "small frame-name", x: at.x - at.width / 2 + 8, y: at.y - at.height / 2 + 13 }, layer);
    text.textContent = `${path} −`;
    text.addEventListener("click", () => { if (!moved) toggle(`m:${path}`); });
  };

  const edgeLine = (points, kind) => {
    const [head, ...rest] = points;
    let line = `M${head.x.toFixed(1)},${head.y.toFixed(1)}`;
    rest.forEach((point, index) => {
      const next = rest[index + 1];
      line += next
        ? `Q${point.x.toFixed(1)},${point.y.toFixed(1)} ${((point.x + next.x) / 2).toFixed(1)},${((point.y + next.y) / 2).toFixed(1)}`
        : `L${point.x.toFixed(1)},${point.y.toFixed(1)}`;
    });
    element("path", { class: `edge ${kind}`, d: line }, layer);
    const [before, end] = points.slice(-2);
    const angle = (Math.atan2(end.y - before.y, end.x - before.x) * 180) / Math.PI;
    element("path", { class: `tip ${kind}`, d: "M0,0l-8,-3.5v7Z", transform: `translate(${end.x.toFixed(1)} ${end.y.toFixed(1)}) rotate(${angle.toFixed(1)})` }, layer);
  };

  const nodeBox = (box) => {
    const { at } = box;
    const group = element("g", { class: `node k-${box.kind}`, role: "button", tabindex: "-1" }, layer);
    if (box.kind === "module") group.setAttribute("aria-expanded", "false");
    const round = box.kind === "input" || box.kind === "output" ? 16 : 5;
    element("rect", { class: "box", x: at.x - at.width / 2, y: at.y - at.height / 2, width: at.width, height: at.height, rx: round }, group);
    box.texts.forEach((words, row) => {
      const y = at.y - at.height / 2 + TOP - 3 + row * LINE;
      const text = element("text", { class: row ? "small" : "title", x: at.x, y, "text-anchor": "middle" }, group);
      text.textContent = words;
    });
    group.addEventListener("click", () => { if (!moved) choose(box); });
    group.addEventListener("focus", () => bring(box));
    group.addEventListener("keydown", (event) => onKey(event, box));
    box.node = group;
  };

  const toggle = (id) => {
    const path = id.slice(2);
    if (opened.has(path)) opened.delete(path); else opened.add(path);
    const target = draw(id);
    if (target) { look(target); target.node.focus({ preventScroll: true }); }
  };

  const closeAround = (box) => { // the innermost open module that a node or a closed module is in
    const own = box.kind === "module" ? modules.get(box.id.slice(2)).parent : module(nodes[Number(box.id.slice(2))].group);
    for (let group = own; group; group = group.parent) {
      if (opened.has(group.path) && closes(group)) { toggle(`m:${group.path}`); return; }
    }
  };

  const choose = (box) => {
    if (box.kind === "module") { toggle(box.id); return; }
    for (const other of shown) other.node.classList.toggle("chosen", other === box);
    const node = nodes[Number(box.id.slice(2))];
    facts.replaceChildren();
    const title = document.createElement("h3");
    title.textContent = node.name;
    const list = document.createElement("dl");
    for (const [name, text] of [["kind", node.kind], ["module", node.module || "–"], ...node.lines.map((line) => ["", line]), ...node.facts]) {
      const term = document.createElement("dt"), said = document.createElement("dd");
      term.textContent = name;
      said.textContent = text;
      list.append(term, said);
    }
    facts.append(title, list);
  };

  const steer = (box) => { // the one node that Tab reaches
    for (const other of shown) other.node.setAttribute("tabindex", other === box ? "0" : "-1");
    box.node.focus({ preventScroll: true });
  };
  const onKey = (event, box) => {
    const index = shown.indexOf(box);
    const go = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (go) steer(shown[(index + go + shown.length) % shown.length]);
    else if (event.key === "Backspace") closeAround(box);
    else if (event.key === "Enter" || event.key === " ") choose(box);
    else if (event.key === "+") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else return;
    event.preventDefault();
  };

  const middle = () => ({ x: canvas.clientWidth / 2, y: canvas.clientHeight / 2 });
  const zoom = (factor, at = middle()) => {
    const scale = Math.min(3, Math.max(0.05, view.scale * factor));
    view = { x: at.x - ((at.x - view.x) * scale) / view.scale, y: at.y - ((at.y - view.y) * scale) / view.scale, scale };
    place();
  };
  const look = ({ at }) => { // bring a node to the middle
    view.x = canvas.clientWidth / 2 - at.x * view.scale;
    view.y = canvas.clientHeight / 2 - at.y * view.scale;
    place();
  };
  const bring = (box) => { // move only where the node is outside
    const x = box.at.x * view.scale + view.x, y = box.at.y * view.scale + view.y;
    if (x < 20 || y < 20 || x > canvas.clientWidth - 20 || y > canvas.clientHeight - 20) look(box);
  };
  const fit = (least) => { // the whole picture, or its width, or as much of it as can be read: no smaller than about `least`
    const across = canvas.clientWidth / extent.width, whole = Math.min(across, canvas.clientHeight / extent.height, 1.1);
    view.scale = Math.max(whole, Math.min(least, Math.max(across, least / 1.3)));
    const free = canvas.clientWidth - extent.width * view.scale;
    const first = canvas.clientWidth / 2 - shown[0].at.x * view.scale; // has the first node in the middle
    view.x = free > 0 ? free / 2 : Math.min(0, Math.max(free, first));
    view.y = Math.max(0, (canvas.clientHeight - extent.height * view.scale) / 2);
    place();
  };

  const pointers = new Map();
  let moved = false;
  svg.addEventListener("pointerdown", (event) => {
    if (!pointers.size) moved = false;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...pointers].find(([id]) => id !== event.pointerId);
    if (other) {
      const box = canvas.getBoundingClientRect();
      const far = (point) => Math.hypot(point.x - other[1].x, point.y - other[1].y) || 1;
      zoom(far(now) / far(before), { x: (now.x + other[1].x) / 2 - box.left, y: (now.y + other[1].y) / 2 - box.top });
    } else {
      view.x += now.x - before.x;
      view.y += now.y - before.y;
      place();
    }
    if (Math.hypot(now.x - before.x, now.y - before.y) > 2) { moved = true; svg.classList.add("moving"); }
    pointers.set(event.pointerId, now);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    addEventListener(name, (event) => { pointers.delete(event.pointerId); svg.classList.remove("moving"); });
  }
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 300), { x: event.clientX - box.left, y: event.clientY - box.top });
  }, { passive: false });

  const press = (id, action) => document.getElementById(id).addEventListener("click", action);
  press("closer", () => zoom(1.25));
  press("wider", () => zoom(0.8));
  press("fit", () => fit(0));
  press("open-all", () => { for (const group of modules.values()) opened.add(group.path); draw(); fit(0.5); });
  press("close-all", () => { opened.clear(); draw(); fit(0.5); });

  document.getElementById("viewer").hidden = false;
  if (nodes.length) { openFew(); draw(); fit(0.75); }
})();
