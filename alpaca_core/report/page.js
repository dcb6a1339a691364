"use strict";
// The sunburst: choose a verb to see all its objects, and go back. Without this script it is a picture.
(() => {
  const figure = document.getElementById("figure-sunburst");
  const svg = figure && figure.querySelector("svg.sunburst");
  if (!svg) return;
  const objects = JSON.parse(figure.dataset.objects);
  const make = (name, attributes, parent, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  };
  const middle = 360, inner = 96, outer = 334;
  const at = (radius, turn) => [middle + radius * Math.sin(turn), middle - radius * Math.cos(turn)];
  const whole = [...svg.children].filter((node) => !["style", "title"].includes(node.tagName));
  const back = document.createElement("button");
  back.type = "button";
  back.className = "back";
  back.textContent = "All verbs";
  back.hidden = true;
  const said = document.createElement("p");
  said.className = "said";
  said.setAttribute("role", "status");
  figure.prepend(back);
  figure.append(said);
  let near = null, chosen = null;

  const leave = () => {
    if (!near) return;
    near.remove();
    near = null;
    back.hidden = true;
    said.textContent = "";
    for (const node of whole) node.style.display = "";
    chosen.focus();
  };

  const enter = (verb, wedge) => {
    const parts = objects[verb];
    if (!parts) return;
    const total = parts.reduce((sum, [, count]) => sum + count, 0);
    const outside = whole.find((node) => node.dataset.verb === verb && node.dataset.object);
    const colour = outside.querySelector("path").getAttribute("fill");
    for (const node of whole) node.style.display = "none";
    near = make("g", {class: "near"}, svg);
    let turn = 0;
    parts.forEach(([name, count], place) => {
      const sweep = Math.min((2 * Math.PI * count) / total, 2 * Math.PI - 0.001);
      const large = sweep > Math.PI ? 1 : 0;
      const [a, b, c, d] = [at(outer, turn), at(outer, turn + sweep), at(inner, turn + sweep), at(inner, turn)];
      const part = make("g", {"data-object": name, "data-count": count}, near);
      make("title", {}, part, `${verb} ${name}: ${count.toLocaleString("en")} rows`);
      make("path", {
        class: "edge", fill: colour, "fill-opacity": place % 2 ? 0.82 : 1,
        d: `M${a}A${outer} ${outer} 0 ${large} 1 ${b}L${c}A${inner} ${inner} 0 ${large} 0 ${d}Z`,
      }, part);
      const centre = turn + sweep / 2, label = `${name} ${count.toLocaleString("en")}`;
      const size = Math.min(26, (outer - inner - 20) / (0.56 * label.length), sweep * (inner + 60) * 0.8);
      if (size >= 8) {
        const [x, y] = at((inner + outer) / 2, centre);
        let degrees = (centre * 180) / Math.PI - 90;
        if (degrees > 90 && degrees < 270) degrees += 180;
        make("text", {
          x, y, dy: "0.35em", "text-anchor": "middle", "font-size": size, fill: "#1f2328",
          transform: `rotate(${degrees} ${x} ${y})`,
        }, part, label);
      }
      turn += sweep;
    });
    make("text", {
      class: "ink", x: middle, y: middle + 8, "text-anchor": "middle",
      "font-size": Math.min(30, 170 / (0.56 * verb.length)),
    }, near, verb);
    near.addEventListener("click", leave);
    back.hidden = false;
    chosen = wedge;
    said.textContent = `${verb}: ${parts.map(([name, count]) => `${name} ${count}`).join(", ")}`;
    back.focus({preventScroll: true});
  };

  svg.setAttribute("role", "group");
  figure.classList.add("zooms");
  back.addEventListener("click", leave);
  figure.addEventListener("keydown", (event) => { if (event.key === "Escape") leave(); });
  for (const wedge of svg.querySelectorAll(".wedge")) {
    const verb = wedge.dataset.verb, open = () => enter(verb, wedge.dataset.object ? inside[verb] : wedge);
    wedge.addEventListener("click", open);
    if (wedge.dataset.object) continue;
    wedge.setAttribute("tabindex", "0");
    wedge.setAttribute("role", "button");
    wedge.setAttribute("aria-label", `${verb}, ${wedge.dataset.count} rows: show its objects`);
    wedge.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      open();
    });
  }
  const inside = Object.fromEntries(whole.filter((n) => n.matches(".wedge") && !n.dataset.object).map((n) => [n.dataset.verb, n]));
})();
