(function () {
  "use strict";
  var root = document.documentElement, dark = window.matchMedia("(prefers-color-scheme: dark)");
  function tone(name) { return getComputedStyle(root).getPropertyValue("--" + name).trim(); }
  // "var:name" stands for a colour of the style sheet, under keys that end in "color" alone: labels stay as they are
  function coloured(value, key) {
    if (typeof value === "string") { return /color$/.test(key) && value.indexOf("var:") === 0 ? tone(value.slice(4)) : value; }
    if (Array.isArray(value)) { return value.map(function (item) { return coloured(item, key); }); }
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(function (pair) { return [pair[0], coloured(pair[1], pair[0])]; }));
    }
    return value;
  }
  function merged(base, more) {
    Object.entries(more).forEach(function (pair) {
      var plain = pair[1] && typeof pair[1] === "object" && !Array.isArray(pair[1]);
      base[pair[0]] = plain ? merged(Object.assign({}, base[pair[0]]), pair[1]) : pair[1];
    });
    return base;
  }
  function axis() {
    return {
      gridcolor: tone("line"), linecolor: tone("line"), zeroline: false, automargin: true, fixedrange: true,
      title: { font: { size: 12, color: tone("soft") }, standoff: 8 }, tickfont: { color: tone("soft"), size: 11 }
    };
  }
  function draw(canvas) {
    if (!canvas.offsetParent) { return; } // hidden: drawn when it is shown
    var plot = coloured(JSON.parse(canvas.dataset.plot), "");
    var layout = merged({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: tone("ink"), size: 12, family: getComputedStyle(document.body).fontFamily },
      margin: { l: 48, r: 18, t: 10, b: 36 }, xaxis: axis(), yaxis: axis(),
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
      hovermode: "closest", hoverlabel: { namelength: -1, bgcolor: tone("paper"), bordercolor: tone("line"), font: { color: tone("ink") } },
      colorway: [tone("accent"), tone("out"), tone("in"), tone("open")]
    }, plot.layout);
    Plotly.react(canvas, plot.data, layout, { responsive: true, displayModeBar: false });
  }
  function drawIn(part) { part.querySelectorAll("[data-plot]").forEach(draw); }
  function drawAll() { drawIn(document); root.dataset.drawn = dark.matches ? "dark" : "light"; }
  function knob(input) {
    var levels = document.querySelectorAll("[data-level]"), shown = document.getElementById(input.getAttribute("aria-describedby"));
    function show() {
      levels.forEach(function (level) { level.hidden = level.dataset.level !== input.value; });
      var level = document.querySelector('[data-level="' + input.value + '"]');
      shown.textContent = level.dataset.label;
      input.setAttribute("aria-valuetext", level.dataset.label);
      drawIn(level);
    }
    input.addEventListener("input", show);
    show();
  }
  drawAll();
  document.querySelectorAll("input[data-knob]").forEach(knob);
  document.querySelectorAll("details").forEach(function (part) {
    part.addEventListener("toggle", function () { drawIn(part); });
  });
  dark.addEventListener("change", drawAll);
})();
