// Maps of images on canvas: pointing at one shows it, a click keeps it; arrow keys do the same.
const mapCanvases = [...document.querySelectorAll("canvas[data-map]")];
const mapMargin = 14;
let mapChosen = null;

function mapColour() {
  return document.querySelector('input[name="map-colour"]:checked').value;
}

// Colours of classes go round the circle; neighbours on it lie far apart in the list.
function classColour(code, isDark) {
  const hue = (210 + code * 137.508) % 360;
  return `hsl(${hue} ${isDark ? "65% 66%" : "60% 44%"})`;
}

function pointColour(map, place, how, style) {
  if (how === "class") return classColour(map.labels[place], isDark());
  const isHeldOut = map.predicted[place] >= 0;
  if (how === "split") return style.getPropertyValue(isHeldOut ? "--series-svm" : "--series-logreg");
  if (!isHeldOut) return style.getPropertyValue("--line");
  return style.getPropertyValue(map.predicted[place] === map.labels[place] ? "--good" : "--bad");
}

function placeOf(canvas, map, place) {
  const width = canvas.clientWidth - 2 * mapMargin;
  const height = canvas.clientHeight - 2 * mapMargin;
  return [mapMargin + map.x[place] * width, mapMargin + (1 - map.y[place]) * height];
}

function drawMap(canvas) {
  const map = report.maps[canvas.dataset.map];
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const how = mapColour();
  const only = document.getElementById("map-class").value;
  const radius = map.rows.length > 1500 ? 2.2 : 3.4;
  const order = [...map.rows.keys()];
  // Mistakes lie on top.
  if (how === "mistake") order.sort((a, b) => isMistake(map, a) - isMistake(map, b));
  for (const place of order) {
    const [x, y] = placeOf(canvas, map, place);
    context.globalAlpha = only === "" || map.labels[place] === Number(only) ? 0.85 : 0.1;
    context.fillStyle = pointColour(map, place, how, style);
    context.beginPath();
    context.arc(x, y, isMistake(map, place) && how === "mistake" ? radius + 1.2 : radius, 0, 2 * Math.PI);
    context.fill();
  }
  context.globalAlpha = 1;
  const chosen = map.rows.indexOf(mapChosen);
  if (chosen < 0) return;
  const [x, y] = placeOf(canvas, map, chosen);
  context.strokeStyle = style.getPropertyValue("--ink");
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, radius + 4, 0, 2 * Math.PI);
  context.stroke();
}

function isMistake(map, place) {
  return map.predicted[place] >= 0 && map.predicted[place] !== map.labels[place];
}

function drawMaps() {
  mapCanvases.forEach(drawMap);
  const words = { class: "One colour a class.", mistake: "Green: held out and right. Red: held out and wrong. Pale: trained on.", split: "Blue: trained on. Orange: held out." };
  const legend = document.getElementById("map-legend");
  legend.replaceChildren(words[mapColour()]);
  if (mapColour() !== "class" || report.classes.length > 20) return;
  legend.replaceChildren();
  report.classes.forEach((name, code) => {
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = classColour(code, isDark());
    legend.append(swatch, nameElement(name));
  });
}

function nearestPoint(canvas, event) {
  const map = report.maps[canvas.dataset.map];
  const box = canvas.getBoundingClientRect();
  let best = null;
  let least = 15 ** 2;
  map.rows.forEach((row, place) => {
    const [x, y] = placeOf(canvas, map, place);
    const distance = (x - (event.clientX - box.left)) ** 2 + (y - (event.clientY - box.top)) ** 2;
    if (distance < least) {
      least = distance;
      best = row;
    }
  });
  return best;
}

function describePoint(row, map, place) {
  if (report.images[row]) return pictureFigure(row);
  const figure = document.createElement("figure");
  const box = document.createElement("span");
  box.className = "no-picture";
  box.textContent = report.classes[map.labels[place]];
  figure.append(box);
  return figure;
}

function choosePoint(row, canvas) {
  if (row === null || row === mapChosen) return;
  mapChosen = row;
  const map = report.maps[canvas.dataset.map];
  const place = map.rows.indexOf(row);
  const words = document.createElement("p");
  words.append(nameElement(report.classes[map.labels[place]]));
  if (isMistake(map, place)) words.append(", called ", nameElement(report.classes[map.predicted[place]]));
  else words.append(map.predicted[place] < 0 ? ", trained on" : ", right");
  document.getElementById("map-picture").replaceChildren(describePoint(row, map, place), words);
  drawMaps();
}

function keepPoint(row, canvas) {
  const kept = document.getElementById("map-kept");
  if (row === null || kept.querySelector(`[data-kept="${row}"]`)) return;
  const map = report.maps[canvas.dataset.map];
  const item = document.createElement("li");
  item.dataset.kept = row;
  item.append(describePoint(row, map, map.rows.indexOf(row)));
  kept.append(item);
}

function moveOnMap(event, canvas) {
  const map = report.maps[canvas.dataset.map];
  const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  if (event.key === "Enter") keepPoint(mapChosen, canvas);
  const step = steps[event.key];
  if (!step) return;
  event.preventDefault();
  const from = map.rows.indexOf(mapChosen);
  if (from < 0) {
    choosePoint(map.rows[0], canvas);
    return;
  }
  let best = null;
  let least = Infinity;
  map.rows.forEach((row, place) => {
    const dx = map.x[place] - map.x[from];
    const dy = map.y[place] - map.y[from];
    const along = dx * step[0] + dy * step[1];
    const across = Math.abs(dx * step[1]) + Math.abs(dy * step[0]);
    if (along > 0 && along + 2 * across < least) {
      least = along + 2 * across;
      best = row;
    }
  });
  choosePoint(best, canvas);
}

if (mapCanvases.length) {
  for (const canvas of mapCanvases) {
    canvas.addEventListener("mousemove", (event) => choosePoint(nearestPoint(canvas, event), canvas));
    canvas.addEventListener("click", (event) => keepPoint(nearestPoint(canvas, event), canvas));
    canvas.addEventListener("keydown", (event) => moveOnMap(event, canvas));
  }
  for (const input of document.querySelectorAll('input[name="map-colour"], #map-class')) input.addEventListener("change", drawMaps);
  document.addEventListener("themechange", drawMaps);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMaps);
  new ResizeObserver(drawMaps).observe(document.getElementById("maps"));
}
