"use strict";
// The sunburst: choose a verb to see all its objects, and go back. Without this script it is a picture.
(() => {
  const middle = 360, inner = 92, outer = 344;  // the figure's measures
  const at = (radius, turn) => [middle + radius * Math.sin(turn), middle - radius * Math.cos(turn)];
  const make = (name, attributes, parent, text = "") => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    node.textContent = text;
    parent.append(node);
    return node;
  };

  // A ring of `parts`, [object, rows] each, in the place of what `svg` shows.
  const ring = (svg, verb, parts, colour) => {
    const group = make("g", {class: "near"}, svg);
    const total = parts.reduce((sum, [, rows]) => sum + rows, 0);
    let turn = 0;
    parts.forEach(([object, rows], place) => {
      const sweep = Math.min((2 * Math.PI * rows) / total, 2 * Math.PI - 0.001), large = sweep > Math.PI ? 1 : 0;
      const [a, b, c, d] = [at(outer, turn), at(outer, turn + sweep), at(inner, turn + sweep), at(inner, turn)];
      const part = make("g", {"data-object": object, "data-count": rows}, group);
      const path = `M${a}A${outer} ${outer} 0 ${large} 1 ${b}L${c}A${inner} ${inner} 0 ${large} 0 ${d}Z`;
      make("path", {class: "edge", d: path, fill: colour, "fill-opacity": place % 2 ? 0.8 : 1}, part);
      make("title", {}, part, `${verb} ${object}: ${rows.toLocaleString("en")} rows`);
      const label = `${object} ${rows.toLocaleString("en")}`;
      const size = Math.min(26, (outer - inner - 20) / (0.56 * label.length), sweep * (inner + 60) * 0.8);
      if (size >= 8) {
        const [x, y] = at((inner + outer) / 2, turn + sweep / 2);
        let degrees = ((turn + sweep / 2) * 180) / Math.PI - 90;
        if (degrees > 90 && degrees < 270) degrees += 180;
        const turned = `rotate(${degrees} ${x} ${y})`;
        const looks = {"text-anchor": "middle", "font-size": size, fill: "#1f2328", transform: turned};
        make("text", {x, y, dy: "0.35em", ...looks}, part, label);
      }
      turn += sweep;
    });
    const size = Math.min(30, 170 / (0.56 * verb.length));
    make("text", {class: "ink", x: middle, y: middle + 9, "text-anchor": "middle", "font-size": size}, group, verb);
    return group;
  };

  const figure = document.getElementById("figure-sunburst");
  for (const svg of figure ? figure.querySelectorAll("svg.sunburst") : []) {
    const objects = JSON.parse(figure.dataset.objects);
    const shown = [...svg.children].filter((node) => node.tagName === "g" || node.tagName === "text");
    const wedge = (verb) => shown.find((node) => node.dataset.verb === verb && !node.dataset.object);
    const back = document.createElement("button");
    const said = document.createElement("p");
    let near = null, verb = "";

    const leave = () => {
      near?.remove();
      near = null;
      back.hidden = true;
      said.textContent = "";
      for (const node of shown) node.style.display = "";
      wedge(verb).focus({preventScroll: true});
    };
    const enter = () => {
      const outside = shown.find((node) => node.dataset.verb === verb && node.dataset.object);
      const named = objects[verb].reduce((sum, [, rows]) => sum + rows, 0), others = wedge(verb).dataset.count - named;
      const parts = others > 0 ? [...objects[verb], ["others", others]] : objects[verb];
      near = ring(svg, verb, parts, outside.querySelector("path").getAttribute("fill"));
      near.addEventListener("click", leave);
      for (const node of shown) node.style.display = "none";
      back.hidden = false;
      said.textContent = `${verb}: ${parts.map(([object, rows]) => `${object} ${rows.toLocaleString("en")}`).join(", ")}`;
      back.focus({preventScroll: true});
    };

    svg.setAttribute("role", "group");
    figure.classList.add("zooms");
    Object.assign(back, {type: "button", className: "back", textContent: "← All verbs", hidden: true});
    Object.assign(said, {className: "said", role: "status"});
    svg.parentNode.before(back);
    svg.parentNode.after(said);
    back.addEventListener("click", leave);
    figure.addEventListener("keydown", (event) => { if (near && event.key === "Escape") leave(); });
    for (const node of shown.filter((node) => node.dataset.verb in objects)) {
      const open = () => { verb = node.dataset.verb; enter(); };
      node.addEventListener("click", open);
      if (node.dataset.object) continue;
      node.setAttribute("tabindex", "0");
      node.setAttribute("role", "button");
      node.setAttribute("aria-label", `${node.dataset.verb}, ${node.dataset.count} rows: show its objects`);
      node.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        open();
      });
    }
  }
})();
