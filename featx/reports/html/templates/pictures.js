// Pictures lie in the page once, and are put where they are wanted when they come near the window.
const report = JSON.parse(document.getElementById("report-data").textContent);
const pictures = JSON.parse(document.getElementById("report-pictures").textContent);

function showPicture(img) {
  const source = pictures[img.dataset.row];
  if (source === undefined) {
    img.replaceWith(withoutPicture(img.dataset.row));
    return;
  }
  img.addEventListener("load", () => img.classList.toggle("tiny", img.naturalWidth <= 64 && img.naturalHeight <= 64), { once: true });
  img.src = "data:image/webp;base64," + source;
}

function withoutPicture(row) {
  const box = document.createElement("span");
  box.className = "no-picture";
  box.textContent = report.images[row] ? report.images[row][0] : "";
  return box;
}

const nearby = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      nearby.unobserve(entry.target);
      showPicture(entry.target);
    }
  }
}, { rootMargin: "800px" });

function watchPictures(root) {
  for (const img of root.querySelectorAll("img[data-row]")) nearby.observe(img);
}

function showAllPictures() {
  for (const img of document.querySelectorAll("img[data-row]:not([src])")) showPicture(img);
}

// A name of a file or class is text, in its own direction.
function nameElement(text, tag = "bdi") {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function pictureFigure(row) {
  const [name, truth, predicted, probability] = report.images[row];
  const figure = document.createElement("figure");
  const label = report.classes[truth];
  const called = predicted < 0 ? "" : report.classes[predicted];
  if (report.showsImages && pictures[row] !== undefined) {
    const img = document.createElement("img");
    img.dataset.row = row;
    img.alt = called && called !== label ? `${label}, called ${called}` : label;
    showPicture(img);
    figure.append(img);
  } else {
    figure.append(withoutPicture(row));
  }
  const caption = document.createElement("figcaption");
  if (probability !== null) caption.append(probability.toFixed(3), " ");
  caption.append(nameElement(name));
  caption.title = name;
  figure.append(caption);
  return figure;
}

watchPictures(document);
window.addEventListener("beforeprint", showAllPictures);
