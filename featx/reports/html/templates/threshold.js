// Two classes: what a threshold on the probability of the positive one would give, and what it would cost.
const curve = report.threshold;

function countsAt(threshold) {
  // Thresholds fall: the last one that is not below the slider's counts.
  let place = 0;
  while (place + 1 < curve.thresholds.length && curve.thresholds[place + 1] >= threshold - 1e-9) place += 1;
  return { found: curve.true_positives[place], alarms: curve.false_positives[place] };
}

function costOf(counts) {
  const missed = Number(document.getElementById("cost-missed").value) || 0;
  const alarm = Number(document.getElementById("cost-alarm").value) || 0;
  return (curve.positives - counts.found) * missed + counts.alarms * alarm;
}

function share(part, whole) {
  return whole ? (part / whole).toFixed(3) : "–";
}

function putMark(name, x, y) {
  const svg = document.querySelector(`svg[aria-labelledby^="${name}-title"]`);
  if (!svg) return;
  const [x0, y0, x1, y1] = svg.dataset.frame.split(" ").map(Number);
  let mark = svg.querySelector(".threshold-mark");
  if (!mark) {
    mark = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    mark.setAttribute("class", "threshold-mark");
    mark.setAttribute("r", "6");
    mark.setAttribute("style", "fill: var(--bad); stroke: var(--card); stroke-width: 2");
    svg.append(mark);
  }
  mark.setAttribute("visibility", y === null ? "hidden" : "visible");
  if (y === null) return;
  mark.setAttribute("cx", x0 + x * (x1 - x0));
  mark.setAttribute("cy", y0 + y * (y1 - y0));
}

function showThreshold() {
  const threshold = Number(document.getElementById("threshold-slider").value);
  const counts = countsAt(threshold);
  const called = counts.found + counts.alarms;
  const right = counts.found + curve.negatives - counts.alarms;
  const values = {
    sensitivity: share(counts.found, curve.positives),
    specificity: share(curve.negatives - counts.alarms, curve.negatives),
    precision: share(counts.found, called),
    accuracy: share(right, curve.positives + curve.negatives),
    missed: String(curve.positives - counts.found),
    alarms: String(counts.alarms),
    cost: String(Number(costOf(counts).toPrecision(6))),
  };
  for (const [name, value] of Object.entries(values)) document.getElementById(`t-${name}`).textContent = value;
  document.getElementById("threshold-value").textContent = threshold.toFixed(3);
  const sensitivity = curve.positives ? counts.found / curve.positives : 0;
  putMark("roc", curve.negatives ? counts.alarms / curve.negatives : 0, sensitivity);
  putMark("precision", sensitivity, called ? counts.found / called : null);
}

function chooseCheapest() {
  let best = null;
  curve.thresholds.forEach((threshold, place) => {
    const cost = costOf({ found: curve.true_positives[place], alarms: curve.false_positives[place] });
    if (best === null || cost < best.cost) best = { cost, threshold };
  });
  const slider = document.getElementById("threshold-slider");
  slider.value = Math.floor(Math.min(1, best.threshold) * 1000) / 1000;
  showThreshold();
}

if (curve) {
  for (const id of ["threshold-slider", "cost-missed", "cost-alarm"]) document.getElementById(id).addEventListener("input", showThreshold);
  document.getElementById("cheapest").addEventListener("click", chooseCheapest);
  showThreshold();
}
