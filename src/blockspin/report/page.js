(function () {
  "use strict";
  window.addEventListener("error", function (event) { document.documentElement.dataset.error = String(event.message); });
  var root = document.documentElement, dark = window.matchMedia("(prefers-color-scheme: dark)");
  function tone(name) { return getComputedStyle(root).getPropertyValue("--" + name).trim(); }
  function coloured(value) {
    if (typeof value === "string" && value.indexOf("var:") === 0) { return tone(value.slice(4)); }
    if (Array.isArray(value)) { return value.map(coloured); }
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(function (pair) { return [pair[0], coloured(pair[1])]; }));
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
  function draw(canvas) {
    var plot = coloured(JSON.parse(canvas.dataset.plot));
    var axis = { gridcolor: tone("line"), linecolor: tone("line"), zerolinecolor: tone("soft"), automargin: true };
    var layout = merged({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: tone("ink"), size: 12 },
      margin: { l: 50, r: 12, t: 34, b: 40 }, xaxis: Object.assign({}, axis), yaxis: Object.assign({}, axis),
      legend: { orientation: "h", y: -0.22, font: { size: 11 } }, hoverlabel: { namelength: -1 },
      hovermode: "closest", colorway: [tone("accent"), tone("open"), tone("in"), tone("out")]
    }, plot.layout);
    Plotly.react(canvas, plot.data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
  }
  function drawAll() { document.querySelectorAll("[data-plot]").forEach(draw); root.dataset.drawn = "yes"; }
  function knob(input) {
    var levels = document.querySelectorAll("[data-level]"), shown = document.getElementById(input.getAttribute("aria-describedby"));
    function show() {
      levels.forEach(function (level) { level.hidden = level.dataset.level !== input.value; });
      var level = document.querySelector('[data-level="' + input.value + '"]');
      shown.textContent = level.dataset.label;
      input.setAttribute("aria-valuetext", level.dataset.label);
      level.querySelectorAll("[data-plot]").forEach(draw);
    }
    input.addEventListener("input", show);
    show();
  }
  drawAll();
  document.querySelectorAll("input[data-knob]").forEach(knob);
  dark.addEventListener("change", drawAll);
})();
