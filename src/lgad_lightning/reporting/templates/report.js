"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const probe = document.body.appendChild(document.createElement("i"));
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const faint = (rgb) => rgb.replace("rgb(", "rgba(").replace(")", ", 0.18)");
  // Plotly reads some HTML in texts; these are names that people gave.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const number = ",.4~g";

  const line = (series, hue) => {
    const base = { type: "scatter", x: series.x, legendgroup: series.name };
    const mode = series.x.length < 40 ? "lines+markers" : "lines";
    const shown = { ...base, y: series.y, mode, name: plain(series.name), line: { color: hue, width: 1.75 } };
    shown.marker = { color: hue, size: 5 };
    shown.hovertemplate = `%{y:${number}}`;
    if (!series.low.length) return [shown];
    const edge = { ...base, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
    return [{ ...edge, y: series.low }, { ...edge, y: series.high, fill: "tonexty", fillcolor: faint(hue) }, shown];
  };

  const bar = (series, hue) => [{
    type: "bar", orientation: "h", y: series.x.map(plain), x: series.y, name: plain(series.name),
    marker: { color: hue }, hovertemplate: `%{y}: %{x:${number}}<extra></extra>`,
  }];

  const interval = (series, hue) => [{
    type: "scatter", mode: "markers", y: series.x.map(plain), x: series.y, name: plain(series.name),
    marker: { color: hue, size: 10 }, hovertemplate: `%{y}: %{x:${number}}<extra></extra>`,
    error_x: {
      type: "data", symmetric: false, color: hue, thickness: 2, width: 6,
      array: series.high.map((high, place) => high === null ? 0 : high - series.y[place]),
      arrayminus: series.low.map((low, place) => low === null ? 0 : series.y[place] - low),
    },
  }];

  const traces = { lines: line, bars: bar, intervals: interval };

  const layout = (chart, narrow) => {
    const axis = { gridcolor: colour("grid"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
    const sideways = chart.kind !== "lines";
    const share = chart.from_zero ? { rangemode: "tozero" } : {};
    const scale = chart.logarithmic ? { type: "log", dtick: "D2" } : { nticks: 6 };
    const title = plain(chart.x_title);
    const x = sideways
      ? { ...axis, zerolinewidth: 2, ...(chart.from_zero ? { range: [0, 1] } : { rangemode: "tozero" }) }
      : { ...axis, title: { text: title, standoff: 8 }, unifiedhovertitle: { text: `${title} %{x}` } };
    const y = sideways
      ? { ...axis, type: "category", range: [chart.series[0].x.length - 0.5, -0.5], ticksuffix: "  " }
      : { ...axis, ...share, ...scale };
    return {
      xaxis: x, yaxis: y,
      margin: { l: 8, r: 12, t: 12, b: 8 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("quiet") },
      hovermode: sideways ? "closest" : "x unified",
      hoverdistance: -1,  // however far the next point is
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
      showlegend: chart.series.length > 1,
      legend: { orientation: "h", y: -0.22, x: 0, yanchor: "top" },
      dragmode: narrow ? false : "zoom",
      bargap: 0.35,
      shapes: chart.gaps.map(([from, to]) => ({
        type: "rect", xref: "x", yref: "paper", x0: from, x1: to, y0: 0, y1: 1, layer: "below",
        fillcolor: colour("shade"), line: { color: colour("shade"), width: 2 },
      })),
    };
  };

  const draw = () => {
    const hues = [0, 1, 2, 3, 4, 5].map((place) => colour(`c${place}`));
    const narrow = matchMedia("(max-width: 50rem)").matches;
    for (const plot of document.querySelectorAll(".plot")) {
      const chart = charts[plot.dataset.chart];
      const count = chart.series.length;
      const height = chart.kind === "lines"
        ? 17 + 1.6 * Math.max(0, Math.ceil(count / (narrow ? 2 : 4)) - 1)  // rows of the legend
        : Math.max(9, 4 + 1.7 * chart.series[0].x.length + 1.3 * count);
      plot.style.height = `${height}rem`;
      const drawn = chart.series.flatMap((series, place) => traces[chart.kind](series, hues[place % hues.length]));
      Plotly.react(plot, drawn, layout(chart, narrow), { responsive: true, displayModeBar: false });
    }
  };
  draw();

  // A browser prints without asking plotly to draw anew: with a view box the style sheet can scale what is there.
  for (const plot of document.querySelectorAll(".plot")) {
    const scalable = () => plot.querySelectorAll(".main-svg").forEach((svg) => {
      svg.setAttribute("viewBox", `0 0 ${svg.getAttribute("width")} ${svg.getAttribute("height")}`);
    });
    scalable();
    plot.on("plotly_afterplot", scalable);
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", draw);
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const is = root.style.colorScheme || (dark.matches ? "dark" : "light");
    root.style.colorScheme = is === "dark" ? "light" : "dark";
    draw();
  });
  matchMedia("print").addEventListener("change", draw);  // on white, whatever the screen was

  for (const choice of document.querySelectorAll("input[name=stage]")) {
    choice.addEventListener("change", () => {
      for (const maps of document.querySelectorAll(".maps")) maps.hidden = maps.dataset.stage !== choice.value;
    });
  }

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.text);
        button.textContent = "Copied";
      } catch {  // a page from disk may not be allowed to: let the reader copy it
        getSelection().selectAllChildren(button.previousElementSibling);
        button.textContent = "Selected";
      }
    });
  }
})();
