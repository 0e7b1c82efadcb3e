// Labels pictures with a model that `featx export MODEL --out model.onnx --with-resize --json > model.json` wrote.
//
//   npm install onnxruntime-node sharp
//   node predict.mjs model.onnx model.json photo.jpg ...

import { readFileSync } from "node:fs";
import ort from "onnxruntime-node";
import sharp from "sharp";

const [modelFile, factsFile, ...pictures] = process.argv.slice(2);
const { classes } = JSON.parse(readFileSync(factsFile, "utf8"));
const session = await ort.InferenceSession.create(modelFile);

for (const file of pictures) {
  // Upright, in RGB, whole: the graph resizes and crops.
  const picture = sharp(file).rotate().flatten({ background: "white" }).toColourspace("srgb").raw();
  const { data, info } = await picture.toBuffer({ resolveWithObject: true });
  const pixels = new ort.Tensor("uint8", data, [1, info.height, info.width, 3]);
  const { probabilities } = await session.run({ pixels });
  const best = probabilities.data.indexOf(Math.max(...probabilities.data));
  console.log(JSON.stringify({ path: file, label: classes[best], probability: probabilities.data[best] }));
}
