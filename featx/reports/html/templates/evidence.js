// Maps over pictures. Of the evidence: red speaks for the class, blue against it; they lie over a picture while it is
// pointed at or focused, and in the part on layers always. Of what a channel answers to: in the part on layers.
function placesCanvas(found) {
  const height = found.values.length / found.width;
  const canvas = document.createElement("canvas");
  canvas.width = found.width;
  canvas.height = height;
  canvas.className = "evidence";
  canvas.setAttribute("aria-hidden", "true");
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(found.width, height);
  found.values.forEach((value, place) => {
    pixels.data.set(value > 0 ? [230, 30, 30, 1.7 * value] : [40, 80, 230, -1.7 * value], 4 * place);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// The base sees the middle of a picture: the largest square whose side is the shorter one, less what its crop takes.
function layOver(img, canvas) {
  const frame = document.createElement("span");
  frame.className = "with-evidence";
  img.replaceWith(frame);
  frame.append(img, canvas);
  const fit = () => {
    if (!img.naturalWidth) return;
    const scale = Math.min(img.clientWidth / img.naturalWidth, img.clientHeight / img.naturalHeight);
    const side = Math.min(img.naturalWidth, img.naturalHeight) * scale * report.cropShare;
    canvas.style.width = canvas.style.height = `${side}px`;
    canvas.style.left = `${(img.clientWidth - side) / 2}px`;
    canvas.style.top = `${(img.clientHeight - side) / 2}px`;
  };
  img.addEventListener("load", fit);
  new ResizeObserver(fit).observe(img);
}

for (const img of document.querySelectorAll("#mistakes .picture img, #layers figure img")) {
  const found = report.evidence[img.dataset.row];
  if (found) layOver(img, placesCanvas(found));
}

for (const item of document.querySelectorAll("#layers [data-answer]")) {
  const found = report.answers[item.dataset.answer];
  const img = item.querySelector("img");
  if (found && img) layOver(img, placesCanvas(found));
}

document.getElementById("show-answers")?.addEventListener("change", (event) => {
  document.getElementById("layers").classList.toggle("without-answers", !event.target.checked);
});
