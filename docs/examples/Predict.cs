// Labels a picture with a model that `featx export MODEL --out model.onnx --with-resize` wrote. Untested.
//
//   dotnet add package Microsoft.ML.OnnxRuntime
//   dotnet add package SixLabors.ImageSharp

using System.Text.Json;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using SixLabors.ImageSharp;
using SixLabors.ImageSharp.PixelFormats;
using SixLabors.ImageSharp.Processing;

using var session = new InferenceSession(args[0]);
var classes = JsonSerializer.Deserialize<string[]>(session.ModelMetadata.CustomMetadataMap["classes"])!;
using var picture = Image.Load<Rgb24>(args[1]);
picture.Mutate(x => x.AutoOrient());
var bytes = new byte[picture.Width * picture.Height * 3];
picture.CopyPixelDataTo(bytes);
var pixels = new DenseTensor<byte>(bytes, new[] { 1, picture.Height, picture.Width, 3 });
using var results = session.Run(new[] { NamedOnnxValue.CreateFromTensor("pixels", pixels) });
var probabilities = results.First().AsEnumerable<float>().ToArray();
var best = Array.IndexOf(probabilities, probabilities.Max());
Console.WriteLine($"{args[1]}: {classes[best]} ({probabilities[best]:F3})");
